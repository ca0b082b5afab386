"""The audit audited: planted gaps are found, equal groups are not accused, and intervals cover what they claim.

Everything is drawn from fixed seeds and counted into a tally at once, so that a thousand audits take seconds.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from fairwitness.audit.dataset import Target
from fairwitness.audit.evidence import Measurement
from fairwitness.audit.tallies import Contingency, Layout
from fairwitness.checks.fairness import group

Rates = Sequence[float] | NDArray[np.float64]
LAYOUT = Layout(Target("binary", "1", "number"), ("g",), (), {}, 0)
PARITY, OPPORTUNITY, ODDS = (
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
)


def audited(
    sizes: Sequence[int],
    seed: int,
    *,
    metrics: Sequence[str],
    base: float = 0.5,
    tpr: Rates = (0.5,),
    fpr: Rates = (0.5,),
) -> dict[str, Measurement]:
    """Draw rows of groups of such sizes with such true rates, and audit them.

    Args:
        sizes: rows of each group.
        seed: of the rows and of the check.
        metrics: which gaps are wanted.
        base: share of positive labels.
        tpr: share of positives selected, one for all groups or one each.
        fpr: share of negatives selected, likewise.
    """
    rng = np.random.default_rng(seed)
    k = len(sizes)
    positives = rng.binomial(sizes, base)
    negatives = np.array(sizes) - positives
    hits = rng.binomial(positives, np.broadcast_to(tpr, k))
    alarms = rng.binomial(negatives, np.broadcast_to(fpr, k))
    cells = {("1", "1"): hits, ("1", "0"): positives - hits, ("0", "1"): alarms, ("0", "0"): negatives - alarms}
    names = [f"g{i}" for i in range(k)]
    text = pa.large_string()
    table = pa.table(
        {
            "a0": pa.array(names * 4, text),
            "truth": pa.array([truth for truth, _ in cells for _ in names], text),
            "decided": pa.array([decided for _, decided in cells for _ in names], text),
            "n": np.concatenate(list(cells.values())),
        }
    )
    found: dict[str, Measurement] = {}
    for measurement in group.measure(Contingency(LAYOUT, table, frozenset()), rng):
        if measurement.metric in metrics:
            found[measurement.metric] = measurement
        if len(found) == len(metrics):
            break
    return found


def limits(measurement: Measurement) -> tuple[float, float]:
    assert measurement.interval is not None
    return measurement.interval.low, measurement.interval.high


def declining(n: int, k: int) -> list[int]:
    """Unbalanced sizes: each group is 0.8 times the one before, the last ones not below 1.5 % of all."""
    shares = np.maximum(0.8 ** np.arange(k), 0.015 * sum(0.8 ** np.arange(k)))
    return [int(size) for size in n * shares / shares.sum()]


@pytest.mark.parametrize("seed", range(5))
def test_a_gap_of_forty_points_fails(seed: int) -> None:
    """Selection rates .6 and .2, 2,000 rows, gate max = 0.10: the whole interval is beyond it."""
    gap = audited([1000, 1000], seed, metrics=[PARITY], tpr=[0.6, 0.2], fpr=[0.6, 0.2])[PARITY]
    assert limits(gap)[0] > 0.10
    assert gap.p_value is not None
    assert gap.p_value < 1e-6


@pytest.mark.parametrize("k", [2, 3, 5, 10, 20])
@pytest.mark.parametrize("balanced", [True, False])
def test_equal_groups_never_fail(k: int, balanced: bool) -> None:
    """2,000 rows, gate max = 0.10: the observed gap is often beyond it, its interval never wholly."""
    sizes = [2000 // k] * k if balanced else declining(2000, k)
    beyond = 0
    for seed in range(20):
        found = audited(sizes, 100 * k + seed, metrics=[PARITY, OPPORTUNITY, ODDS], base=0.4, tpr=[0.7], fpr=[0.2])
        for metric in (PARITY, OPPORTUNITY, ODDS):
            value = found[metric].value
            assert value is not None
            beyond += value > 0.10
            assert limits(found[metric])[0] <= 0.10, metric
    # The test would show nothing where even the observed gap is small.
    assert k < 5 or beyond >= 10


@pytest.mark.parametrize("gap", [0.0, 0.15])
def test_sixty_rows_decide_nothing(gap: float) -> None:
    for seed in range(10):
        rates = [0.4, 0.4 + gap]
        low, high = limits(audited([30, 30], seed, metrics=[PARITY], tpr=rates, fpr=rates)[PARITY])
        assert low <= 0.10 < high


@pytest.mark.parametrize("k", [2, 6])
def test_two_hundred_thousand_equal_rows_pass(k: int) -> None:
    found = audited([200_000 // k] * k, k, metrics=[PARITY, OPPORTUNITY, ODDS], tpr=[0.7], fpr=[0.2])
    for metric, gap in found.items():
        assert limits(gap)[1] < 0.10, metric


@pytest.mark.parametrize(
    ("sizes", "rate"), [([200, 200], 0.3), ([100, 60, 40], 0.5), ([60] * 5, 0.2), ([400, 20, 15, 10], 0.05)]
)
def test_false_alarms_are_near_nominal(sizes: list[int], rate: float) -> None:
    """Of 200 tables without a difference at most 8 % (16) have p <= .05: the last design by permutation."""
    alarms = {PARITY: 0, ODDS: 0}
    for seed in range(200):
        found = audited(
            sizes, 7000 + seed, metrics=[PARITY, ODDS] if len(sizes) < 4 else [PARITY], tpr=[rate], fpr=[rate]
        )
        for metric, gap in found.items():
            assert gap.p_value is not None
            alarms[metric] += gap.p_value <= 0.05
    assert all(count <= 16 for count in alarms.values()), alarms


@pytest.mark.parametrize("sizes", [[300, 300], [250, 50]])
def test_a_real_difference_has_small_p_values(sizes: list[int]) -> None:
    """Rates .3 and .6: found nine times in ten."""
    found = [audited(sizes, seed, metrics=[PARITY], tpr=[0.3, 0.6], fpr=[0.3, 0.6])[PARITY] for seed in range(50)]
    assert sum(gap.p_value is not None and gap.p_value < 0.05 for gap in found) >= 45


@pytest.mark.parametrize("spread", [0.0, 0.25])
@pytest.mark.parametrize("k", [2, 5, 10])
def test_intervals_of_gaps_cover(k: int, spread: float) -> None:
    """The true gap is inside at least 93 of 100 intervals of nominal 95, for groups of 40 to 400 rows."""
    rates = np.linspace(0.3, 0.3 + spread, k)
    sizes = np.geomspace(400, 40, k).astype(int).tolist()
    inside = 0
    for seed in range(200):
        low, high = limits(audited(sizes, 9000 + seed, metrics=[PARITY], tpr=rates, fpr=rates)[PARITY])
        inside += low <= spread <= high
    assert inside >= 0.93 * 200


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_intervals_of_equalized_odds_cover(spread: float) -> None:
    """The true gap is the larger of two: of the true positive rates here."""
    rates = np.array([0.5, 0.5 + spread, 0.5 + spread / 2])
    inside = 0
    for seed in range(200):
        found = audited([200, 120, 80], 11000 + seed, metrics=[ODDS], tpr=rates, fpr=[0.3])
        low, high = limits(found[ODDS])
        inside += low <= spread <= high
    assert inside >= 0.93 * 200
