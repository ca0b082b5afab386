"""How far a rate in a subgroup is from the rate of all rows: the estimate, its interval, its tests.

A subgroup is part of all rows, so the two rates are not independent; those inside and outside of the subgroup are.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from fairwitness.audit.statistics.intervals import FloatArray, Limits, mover_difference, wilson

Count = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Contrast:
    """A rate inside of every subgroup and outside of it; a rate is x / n.

    Attributes:
        count: rows of the denominator inside, shape (subgroups,).
        x: successes inside; an effective number where rows are weighted, as are the next three.
        n: trials inside.
        x_outside: successes of all other rows.
        n_outside: trials of all other rows.
        share: share of the denominator's weight that is inside.
        whole: successes and trials of all rows.
    """

    count: Count
    x: FloatArray
    n: FloatArray
    x_outside: FloatArray
    n_outside: FloatArray
    share: FloatArray
    whole: tuple[float, float]

    @classmethod
    def of_counts(cls, x: npt.ArrayLike, n: npt.ArrayLike, whole: tuple[int, int]) -> "Contrast":
        """Make a contrast of counts: successes and trials by subgroup, and those of all rows."""
        hits, trials = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
        total, all_trials = float(whole[0]), float(whole[1])
        share = trials / all_trials if all_trials else np.zeros_like(trials)
        count = np.asarray(n, dtype=np.int64)
        return cls(count, hits, trials, total - hits, all_trials - trials, share, (total, all_trials))

    @classmethod
    def of_weights(
        cls, count: Count, hit: FloatArray, w: FloatArray, w2: FloatArray, whole: tuple[float, float, float]
    ) -> "Contrast":
        """Make a contrast of weighted rows, at Kish's effective numbers.

        Args:
            count: rows of the denominator, shape (subgroups,).
            hit: weight of its successes.
            w: weight of its rows.
            w2: sum of their squared weights.
            whole: the last three of all rows.
        """
        x, n = _effective(hit, w, w2)
        x_outside, n_outside = _effective(
            *(_rest(part, total) for part, total in zip((hit, w, w2), whole, strict=True))
        )
        x_all, n_all = _effective(*(np.array([total]) for total in whole))
        share = w / whole[1] if whole[1] else np.zeros_like(w)
        return cls(count, x, n, x_outside, n_outside, share, (float(x_all[0]), float(n_all[0])))

    def at(self, chosen: Index) -> "Contrast":
        """Give the contrast of some subgroups."""
        return Contrast(
            self.count[chosen],
            self.x[chosen],
            self.n[chosen],
            self.x_outside[chosen],
            self.n_outside[chosen],
            self.share[chosen],
            self.whole,
        )

    @property
    def rate(self) -> FloatArray:
        """Rate inside; 0 where there are no trials."""
        return _divided(self.x, self.n)

    @property
    def divergence(self) -> FloatArray:
        """Rate inside less the rate of all rows: (1 - share) times the difference to the rest; 0 without a rest."""
        return np.asarray((1 - self.share) * (self.rate - _divided(self.x_outside, self.n_outside)))

    def interval(self, critical: npt.ArrayLike) -> Limits:
        """Interval of the divergence, given which rows are inside.

        Inside and outside are independent, so MOVER on Wilson limits (Newcombe's method 10) bounds their difference.
        The rate of all rows holds both, which scales the difference by 1 - share and changes nothing else.
        """
        inside, outside = wilson(self.x, self.n, critical), wilson(self.x_outside, self.n_outside, critical)
        low, high = mover_difference(self.rate, inside, _divided(self.x_outside, self.n_outside), outside)
        scale, value = 1 - self.share, self.divergence
        return np.minimum(scale * low, value), np.maximum(scale * high, value)

    @property
    def standardised(self) -> FloatArray:
        """Standard deviations between inside and outside if outcomes were dealt out at random.

        That is a hypergeometric number of successes inside, less its mean, over its standard deviation. 0 where nothing
        can differ: no rows inside or outside, all outcomes equal.
        """
        total = self.n + self.n_outside
        pooled = _divided(self.x + self.x_outside, total)
        each = _divided(np.ones_like(self.n), self.n) + _divided(np.ones_like(self.n), self.n_outside)
        variance = pooled * (1 - pooled) * each * _divided(total, total - 1)
        possible = (self.n > 0) & (self.n_outside > 0)
        return _divided(self.rate - _divided(self.x_outside, self.n_outside), np.sqrt(np.where(possible, variance, 0)))

    @property
    def beta_t(self) -> FloatArray:
        """DivExplorer's t: |difference| of the Beta(x + 1, n - x + 1) means of subgroup and whole, over its deviation.

        Source: Pastor, de Alfaro & Baralis (2021), section 4.3; the two are taken as independent there, so it is not a
        test (the whole holds the subgroup).
        """
        moments = [(x, n - x) for x, n in ((self.x, self.n), self.whole)]
        (mean, variance), (mean_all, variance_all) = (
            ((x + 1) / (x + y + 2), (x + 1) * (y + 1) / ((x + y + 2) ** 2 * (x + y + 3))) for x, y in moments
        )
        return np.asarray(np.abs(mean - mean_all) / np.sqrt(variance + variance_all))

    @property
    def exact_p(self) -> FloatArray:
        """Two-sided p of the hypergeometric test, twice the smaller tail (Fisher 1935); counts only."""
        total, successes = (round(number) for number in (self.whole[1], self.whole[0]))
        law = stats.hypergeom(total, successes, np.rint(self.n).astype(np.int64))
        tails = np.minimum(law.cdf(np.rint(self.x)), law.sf(np.rint(self.x) - 1))
        return np.asarray(np.minimum(1.0, 2 * tails))


def _rest(part: FloatArray, total: float) -> FloatArray:
    """Give the sum of the other rows; a difference that is a rounding error of the sums is none."""
    rest = total - part
    return np.asarray(np.where(rest > total * 1e-12, rest, 0.0))


def _effective(hit: FloatArray, w: FloatArray, w2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Effective successes and trials (Kish 1965), from weights."""
    n = _divided(w * w, w2)
    return np.minimum(_divided(hit, w) * n, n), n


def _divided(a: FloatArray, b: FloatArray) -> FloatArray:
    """Divide; 0 where there is nothing to divide by, which callers leave out or know to be 0."""
    return np.asarray(np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b > 0))


def normal_p(t: npt.ArrayLike) -> FloatArray:
    """Two-sided p-values of standardised differences, by the normal distribution."""
    return np.asarray(2 * special.ndtr(-np.abs(t)))


def permutation_p(observed: npt.ArrayLike, maxima: FloatArray) -> FloatArray:
    """Adjusted p-values: how often the largest of all was at least as large, (1 + #) / (draws + 1)."""
    # Equal tables give statistics that differ in their last digits.
    reached = np.asarray(observed, dtype=np.float64)[..., None] * (1 - 1e-9) <= maxima
    return np.asarray((1 + reached.sum(axis=-1)) / (1 + len(maxima)))


def permutation_critical(maxima: FloatArray, level: float) -> float:
    """The smallest draw that the observed maximum exceeds with probability 1 - level at most; inf with too few draws.

    >>> permutation_critical(np.arange(1.0, 200.0), 0.95)
    190.0
    """
    rank = math.ceil(level * (len(maxima) + 1) - 1e-9)
    return float(np.sort(maxima)[rank - 1]) if rank <= len(maxima) else math.inf
