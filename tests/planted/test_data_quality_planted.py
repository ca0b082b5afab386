"""Single columns audited many times: a planted signal is covered, and a column that says nothing is not praised."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fairwitness.checks.data_quality._power import AUC, FOLDS, LAMBDA, R2, Power, Problem, _power, _within

AUDITS = 200


def binary(y: Any) -> Problem:
    return Problem(np.arange(len(y)), y.astype(np.float64)[:, None], _within(y.astype(np.int64)), AUC)


def power(values: Any, problem: Problem, level: float = 0.95) -> Power:
    return _power("x", pa.chunked_array([pa.array(values)]), problem, level)


@pytest.mark.parametrize("kind", ["number", "three levels", "many levels", "never twice"])
def test_columns_that_say_nothing(kind: str) -> None:
    """Their mean area is one half: no rare level or lucky split is taken for knowledge."""
    rng = np.random.default_rng(1)
    n = 400
    columns: dict[str, Callable[[], Any]] = {
        "number": lambda: rng.normal(size=n),
        "three levels": lambda: rng.choice(["a", "b", "c"], n),
        "many levels": lambda: [str(i) for i in rng.integers(0, n // 4, n)],
        "never twice": lambda: [f"id{i}" for i in range(n)],
    }
    found = [power(columns[kind](), binary(rng.random(n) < 0.2)) for _ in range(AUDITS)]
    values = np.array([p.value for p in found])
    assert abs(values.mean() - 0.5) < 0.01
    assert values.max() < 0.7
    assert np.mean([p.low > 0.5 for p in found]) < 0.12  # a nominal .025: see the module's docstring


def test_area_of_levels_is_covered() -> None:
    """Levels with known rates have a known area."""
    rng = np.random.default_rng(2)
    rate, share = np.array([0.1, 0.3, 0.5, 0.8]), np.array([0.4, 0.3, 0.2, 0.1])
    hits, misses = share * rate / (share @ rate), share * (1 - rate) / (share @ (1 - rate))
    true = hits @ (np.tril(np.ones((4, 4)), -1) + np.eye(4) / 2) @ misses
    covered = []
    for _ in range(AUDITS):
        level = rng.choice(4, 400, p=share)
        found = power(np.array(list("abcd"))[level], binary(rng.random(400) < rate[level]))
        covered.append(found.low <= true <= found.high)
    assert np.mean(covered) > 0.9


def test_explained_variance_of_a_line_is_covered() -> None:
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(AUDITS):
        x = rng.normal(size=400)
        y = x + rng.normal(size=400)
        found = power(x, Problem(np.arange(400), y[:, None], np.arange(400) % FOLDS, R2))
        covered.append(found.low <= 0.5 <= found.high)
    assert np.mean(covered) > 0.9


def test_lambda_is_covered() -> None:
    """A label of three that is copied in 6 of 10 rows and drawn at random in the others."""
    rng = np.random.default_rng(4)
    share = np.array([0.5, 0.3, 0.2])
    joint = share[:, None] * (0.6 * np.eye(3) + 0.4 / 3)
    true = (joint.max(axis=0).sum() - 0.5) / 0.5
    covered = []
    for _ in range(AUDITS):
        y = rng.choice(3, 400, p=share)
        x = np.where(rng.random(400) < 0.6, y, rng.integers(0, 3, 400))
        found = power(x.astype(str), Problem(np.arange(400), np.eye(3)[y], _within(y), LAMBDA))
        covered.append(found.low <= true <= found.high)
    assert np.mean(covered) > 0.9


@pytest.mark.parametrize("wrong", [0, 1, 5])
def test_a_leak_with_few_exceptions(wrong: int) -> None:
    """A copy of the label is found with a handful of rows amiss, and its interval never has a zero width."""
    rng = np.random.default_rng(5)
    y = rng.random(1000) < 0.3
    x = y.copy()
    x[:wrong] = ~x[:wrong]
    found = power(x, binary(y))
    assert found.value > 0.98
    assert found.low < found.high
    assert (found.value == 1) == (wrong == 0)
