"""Any model that can be asked: shap's exact and permutation explainers over raw columns of any type."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairwitness.checks.explanation._games import Floats, Found, Question
from fairwitness.checks.explanation._linear import distinct

BACKGROUND = 50  # rows at most: every coalition is asked about with each of them
LEAST_ROWS = 30  # below so many rows, fewer background rows are taken
MOST_PERMUTATIONS = 10  # shap's own default


@dataclass(frozen=True)
class Effort:
    """How much of the question the budget allows.

    Attributes:
        exact: every coalition is asked about, instead of permutations.
        asked: largest number of coalitions a row.
        background: number of background rows.
        rows: number of rows explained.
    """

    exact: bool
    asked: int
    background: int
    rows: int


def effort(columns: int, rows: int, background: int, evaluations: int) -> Effort:
    """Share a budget out: first one permutation there and back for every row, then up to ten.

    Args:
        columns: number of players.
        rows: number of rows to explain.
        background: number of background rows there are.
        evaluations: rows that the model may be asked about.

    >>> effort(50, 1000, 200, 1_000_000)
    Effort(exact=False, asked=101, background=50, rows=198)
    >>> effort(4, 1000, 200, 1_000_000)
    Effort(exact=True, asked=16, background=50, rows=1000)
    """
    once = 2 * columns + 1
    exact = columns <= 10 and 2**columns <= MOST_PERMUTATIONS * once
    least = 2**columns if exact else once
    size = min(BACKGROUND, background, max(1, evaluations // (least * LEAST_ROWS)))
    affordable = max(1, evaluations // (least * size))
    kept = min(rows, affordable)
    permutations = 1 if exact else min(MOST_PERMUTATIONS, affordable // kept)
    return Effort(exact, least * permutations, size, kept)


def permuted(question: Question) -> Found:
    """Shapley values by antithetic permutations of the raw columns.

    shap's explainers work on numbers. They are given the place of each value among the column's own values, and what
    they ask about is turned back into a data frame of raw values: a column is one player, of whatever type. With few
    columns all coalitions are asked about. Columns are taken in the order of their names, so that the order in the
    data changes nothing.
    """
    from shap import ExactExplainer, PermutationExplainer
    from shap.maskers import Independent

    order = list(question.rows.columns)
    names = sorted(order)
    plan = effort(len(names), len(question.rows), len(question.background), question.evaluations)
    background = question.background.iloc[: plan.background]
    both = pd.concat([question.rows.iloc[: plan.rows], background], ignore_index=True)
    coded = {name: distinct(both[name]) for name in names}
    codes = np.column_stack([coded[name][0] for name in names]).astype(np.float64)
    pools = {name: both[name].take(coded[name][1]).array for name in names}
    game = question.games[question.scale]

    def asked(given: NDArray[Any]) -> Floats:
        places = np.asarray(given).astype(np.intp)
        columns = {name: pools[name].take(places[:, j]) for j, name in enumerate(names)}
        return game(pd.DataFrame(columns)[order])

    masker = Independent(codes[plan.rows :], max_samples=plan.background)
    with _global_seed_kept():
        if plan.exact:
            found = ExactExplainer(asked, masker)(codes[: plan.rows], max_evals=plan.asked + 1, silent=True)
        else:
            explainer = PermutationExplainer(asked, masker, seed=question.seed)
            found = explainer(codes[: plan.rows], max_evals=plan.asked, silent=True)
    values = np.asarray(found.values, dtype=np.float64).reshape(plan.rows, len(names))
    return Found(values[:, [names.index(name) for name in order]], background)


@contextmanager
def _global_seed_kept() -> Iterator[None]:
    """Shap seeds numpy's global generator; nobody else's numbers shall depend on that."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
