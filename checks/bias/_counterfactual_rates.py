"""Rates and gaps of slots: how often decisions change between versions, and how far scores move."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.statistics.clusters import effective_trials
from fairwitness.audit.statistics.intervals import critical_value, mean, mover_difference, wilson
from fairwitness.checks.bias._counterfactual_answers import TEXTS, Floats, Slots

DRAWS = 2_000  # permutations; p-values are 1 / 2001 at least
_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Changes:
    """Comparisons of two versions of a slot, and those where the decision differs.

    Attributes:
        hits: weight of the comparisons whose decision differs, shape (slots,).
        trials: weight of all comparisons, likewise.
        squares: sum of squared weights of the comparisons, likewise.
        cluster: number of the slot's cluster, likewise.
    """

    hits: Floats
    trials: Floats
    squares: Floats
    cluster: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Slots that have a comparison."""
        return int(np.count_nonzero(self.trials > 0))

    @property
    def rate(self) -> float:
        """Share of the comparisons whose decision differs; 0 without any."""
        total = float(self.trials.sum())
        return min(float(self.hits.sum()) / total, 1.0) if total else 0.0

    @property
    def effective(self) -> float:
        """Number of independent comparisons that the share is worth: see `clusters.effective_trials`."""
        if not self.n:
            return 0.0
        _, cluster = np.unique(self.cluster, return_inverse=True)
        whole = np.zeros(len(cluster), dtype=np.int64)
        by_cluster = float(effective_trials(self.hits, self.trials, cluster, whole, 1)[0])
        return min(by_cluster, float(self.trials.sum() ** 2 / self.squares.sum()))

    def limits(self, level: float) -> tuple[float, float]:
        """Wilson's interval on the effective number."""
        low, high = wilson(self.rate * self.effective, self.effective, critical_value(level))
        return float(low), float(high)


def changes(slots: Slots, term: int | None = None) -> Changes:
    """Compare decisions: of the user's texts with the text as it was, of sentences every two terms.

    Args:
        slots: with their answers.
        term: compare only versions with and without this one.
    """
    d, w = slots.decided, slots.weights
    first, second = np.triu_indices(d.shape[1], k=1)
    if slots.source == TEXTS:
        second = np.arange(1, d.shape[1])
        first = np.zeros_like(second)
    both = np.isfinite(d[:, first]) & np.isfinite(d[:, second])
    if term is not None:
        shown = slots.shown[:, :, term]
        both &= shown[:, first] != shown[:, second]
    count = both.sum(axis=1)
    differ = (both & (d[:, first] != d[:, second])).sum(axis=1)
    return Changes(differ * w, count * w, count * w**2, slots.cluster)


@dataclass(frozen=True)
class Excess:
    """How much oftener decisions change with terms of identity than with neutral words.

    Attributes:
        value: difference of the two rates.
        low: its lower limit.
        high: its upper limit.
        p_value: of no difference.
    """

    value: float
    low: float
    high: float
    p_value: float


def excess(identity: Changes, neutral: Changes, level: float, rng: np.random.Generator) -> Excess:
    """Compare two rates of change, over clusters that may have comparisons of either kind.

    The interval is MOVER's of two Wilson intervals on effective numbers, which takes the rates for independent: where
    clusters have comparisons of both kinds and are alike in them, that is on the safe side. The test is a permutation
    test of whole clusters: one with comparisons of both kinds has its two rates exchanged, or not; those of one kind
    only are dealt out anew, as many to either kind as there were.
    Source: Fisher (1935), The Design of Experiments, section 21; Ernst (2004), Permutation methods, Statistical
    Science 19:676-685; p-values count the data as a draw (Phipson & Smyth 2010, SAGMB 9:39).

    Args:
        identity: changes of terms of identity, at least one.
        neutral: changes of neutral words, at least one.
        level: confidence level.
        rng: randomness of the permutations.
    """
    value = identity.rate - neutral.rate
    first, second = (
        (side.rate, wilson(side.rate * side.effective, side.effective, critical_value(level)))
        for side in (identity, neutral)
    )
    low, high = mover_difference(*first, *second)
    drawn = _permuted(identity, neutral, rng)
    beyond = int(np.count_nonzero(np.abs(drawn) >= abs(value) * (1 - 1e-9)))
    return Excess(value, max(float(low), -1.0), min(float(high), 1.0), (beyond + 1) / (len(drawn) + 1))


def _permuted(identity: Changes, neutral: Changes, rng: np.random.Generator) -> Floats:
    """Differences of the rates after exchanging kinds in or between clusters, shape (draws,)."""
    clusters, place = np.unique(np.concatenate([identity.cluster, neutral.cluster]), return_inverse=True)
    first, second = place[: len(identity.cluster)], place[len(identity.cluster) :]
    hits, trials = (
        np.stack([np.bincount(first, a, len(clusters)), np.bincount(second, b, len(clusters))])
        for a, b in ((identity.hits, neutral.hits), (identity.trials, neutral.trials))
    )
    both = (trials > 0).all(axis=0)
    # Rates are exchanged and numbers of comparisons stay: else the kind with fewer of them would move further.
    rates = hits[:, both] / trials[:, both]
    apart = rates[1] - rates[0]
    alone = np.flatnonzero((trials > 0).any(axis=0) & ~both)
    is_identity = (trials[0, alone] > 0).astype(np.float64)
    single_hits, single_trials = hits[:, alone].sum(axis=0), trials[:, alone].sum(axis=0)
    found: list[Floats] = []
    step = max(1, _AT_ONCE // max(len(clusters), 1))
    for start in range(0, DRAWS, step):
        draws = min(step, DRAWS - start)
        swapped = rng.integers(0, 2, (draws, len(apart))).astype(np.float64)
        dealt = rng.permuted(np.tile(is_identity, (draws, 1)), axis=1)
        one, other = (
            _rate(
                hits[kind, both].sum() + swapped @ (sign * trials[kind, both] * apart) + chosen @ single_hits,
                trials[kind, both].sum() + chosen @ single_trials,
            )
            for kind, sign, chosen in ((0, 1, dealt), (1, -1, 1 - dealt))
        )
        found.append(one - other)
    return np.concatenate(found)


def _rate(hits: Floats, trials: Floats) -> Floats:
    return np.asarray(np.divide(hits, trials, out=np.zeros_like(hits), where=trials > 1e-12))


@dataclass(frozen=True)
class ScoreGaps:
    """How far the score of versions with a term is from others, slot by slot.

    Attributes:
        gaps: shape (slots,), of the slots that allow the comparison.
        weights: likewise.
        cluster: likewise.
        bounded: whether all scores lie in [0, 1].
    """

    gaps: Floats
    weights: Floats
    cluster: NDArray[np.int64]
    bounded: bool

    @property
    def value(self) -> float:
        """The mean gap."""
        return float(self.weights @ self.gaps / self.weights.sum())

    def units(self) -> tuple[Floats, Floats]:
        """Mean gap and weight of each cluster."""
        _, cluster = np.unique(self.cluster, return_inverse=True)
        weights = np.bincount(cluster, self.weights).astype(np.float64)
        return np.bincount(cluster, self.weights * self.gaps) / weights, weights

    def limits(self, level: float) -> tuple[float, float]:
        """Student's interval of the mean over clusters, the units.

        Raises:
            ValueError: all gaps are equal, and scores are not known to lie between 0 and 1.
        """
        gaps, weights = self.units()
        share, effective = weights / weights.sum(), float(weights.sum() ** 2 / (weights**2).sum())
        value, square = float(share @ gaps), float(share @ gaps**2)
        bounds = (-1.0, 1.0) if self.bounded else (None, None)
        low, high = mean(value * effective, square * effective, effective, level, bounds)
        return min(low, self.value), max(high, self.value)


def score_gaps(slots: Slots, term: int, against: int | None) -> ScoreGaps | None:
    """Compare scores of versions with a term with those of another term, or of all versions.

    Args:
        slots: with their answers.
        term: which.
        against: another term, or None for the mean of all versions.

    Returns:
        None where the model gives no scores.
    """
    if slots.scores is None:
        return None
    there = np.isfinite(slots.scores)
    with_term = there & slots.shown[:, :, term]
    others = there if against is None else there & slots.shown[:, :, against] & ~slots.shown[:, :, term]
    if against is not None:
        with_term &= ~slots.shown[:, :, against]
    usable = with_term.any(axis=1) & others.any(axis=1) & (there.sum(axis=1) > 1)
    gaps = _row_mean(slots.scores, with_term)[usable] - _row_mean(slots.scores, others)[usable]
    known = slots.scores[there]
    bounded = bool(len(known) and known.min() >= 0 and known.max() <= 1)
    return ScoreGaps(gaps, slots.weights[usable], slots.cluster[usable], bounded)


def _row_mean(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    count = chosen.sum(axis=1)
    total = np.where(chosen, values, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.zeros(len(values)), where=count > 0))
