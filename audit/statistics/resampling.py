"""Draws of whole tables of counts: a posterior for composites, and permutations under equal rates."""

import numpy as np
import numpy.typing as npt

from fairwitness.audit.statistics.intervals import FloatArray

# Below so many rows labels are shuffled row by row; beyond, tables are drawn score by score.
_MOST_SHUFFLED = 4_000
# numpy.random.Generator.hypergeometric refuses totals from 1e9 on.
_LARGEST_TOTAL = 500_000_000.0
# numpy.random.Generator.multivariate_hypergeometric(method="marginals") refuses totals from here on.
_EXACT_TOTAL = 1_000_000_000


def dirichlet_draws(counts: npt.ArrayLike, draws: int, rng: np.random.Generator) -> FloatArray:
    """Draw cell probabilities from their posterior under the Jeffreys prior.

    A composite of a confusion matrix without closed form (F1, MCC, balanced accuracy) is evaluated on each draw; its
    quantiles are the interval. Cost does not depend on the number of rows.
    Source: Jeffreys (1961), Theory of Probability; Goutte & Gaussier (2005), ECIR, LNCS 3408:345-359.

    Args:
        counts: shape (cells,), counts or effective counts, at least 0.
        draws: number of draws.
        rng: source of randomness.

    Returns:
        Shape (draws, cells); rows are Dirichlet(count + 1/2) and sum to 1.
    """
    return rng.dirichlet(np.asarray(counts, dtype=np.float64) + 0.5, size=draws)


def permuted_counts(x: npt.ArrayLike, n: npt.ArrayLike, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw the successes of each group under permutation of the group labels.

    Group sizes and the total number of successes stay as they are: a multivariate hypergeometric distribution, which
    is what shuffling rows would give (Fisher 1935, The Design of Experiments).

    From a total of 1e9 on, beyond the exact generator's range, independent binomials y at the pooled rate are moved
    to the observed total, y - (sum(y) - sum(x)) n / sum(n), and rounded. That has the exact means and, up to the
    rounding and a factor 1 - 1/sum(n), the exact covariances; small groups keep their binomial shape; the total is met
    within one success a group.

    Args:
        x: shape (groups,), successes, rounded to integers.
        n: shape (groups,), trials, rounded to integers.
        draws: number of permutations.
        rng: source of randomness.

    Returns:
        Shape (draws, groups).
    """
    sizes = np.rint(n).astype(np.int64)
    successes = np.clip(np.rint(x).astype(np.int64), 0, sizes)
    total = int(sizes.sum())
    if total < _EXACT_TOTAL:
        return rng.multivariate_hypergeometric(sizes, int(successes.sum()), size=draws, method="marginals")
    free = rng.binomial(sizes, successes.sum() / total, size=(draws, sizes.size))
    excess = (free.sum(axis=1, keepdims=True) - successes.sum()) * (sizes / total)
    return np.asarray(np.clip(free - np.rint(excess).astype(np.int64), 0, sizes), dtype=np.int64)


def redrawn(table: FloatArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """Draw counts anew around those seen: the Bayesian bootstrap, which keeps a draw of few rows smooth.

    Sums over cells are draws of the sums, so that one draw serves the whole and its parts.
    Source: Rubin (1981), Annals of Statistics 9:130-134: gamma(count) in every cell, a Dirichlet after division.

    Args:
        table: counts of any shape.
        draws: number of draws.
        rng: source of randomness.

    Returns:
        Shape (draws, *table.shape), not normalised; 0 where the count is.
    """
    found = np.zeros((draws, table.size))
    there = np.flatnonzero(table > 0)
    found[:, there] = rng.standard_gamma(table.ravel()[there], size=(draws, there.size))
    return found.reshape(draws, *table.shape)


def widened(drawn: FloatArray, curves: FloatArray, n: FloatArray) -> FloatArray:
    """Give curves from `redrawn` counts the spread of an unbiased variance, (n + 1) / (n - 1) times theirs.

    Args:
        drawn: shape (draws, groups, points).
        curves: shape (groups, points), what they are drawn around.
        n: shape (groups,), effective rows behind each.

    Returns:
        Shape (draws, groups, points).
    """
    factor = np.sqrt((n + 1) / np.maximum(n - 1, 1.0))
    return np.asarray(curves + (drawn - curves) * factor[:, None])


def permuted_tables(table: npt.ArrayLike, draws: int, rng: np.random.Generator) -> FloatArray:
    """Draw the counts of each group by score under permutation of the group labels.

    Both margins stay as they are. Counts that are no integers are rounded on their running sum, which leaves no
    distribution function off by more than one row. A total beyond 5e8 is scaled down to it, and the test conservative.
    Source: Fisher (1935), The Design of Experiments; Patefield (1981), Applied Statistics 30:91-97 (AS 159).

    Args:
        table: shape (groups, scores), counts.
        draws: number of permutations.
        rng: source of randomness.

    Returns:
        Shape (draws, groups, scores).
    """
    counts = np.asarray(table, dtype=np.float64)
    counts = counts * min(1.0, _LARGEST_TOTAL / max(counts.sum(), 1.0))
    whole = np.diff(np.rint(np.cumsum(counts, axis=1)), axis=1, prepend=0.0).astype(np.int64)
    groups, scores = whole.shape
    sizes, at_score = whole.sum(axis=1), whole.sum(axis=0)
    if sizes.sum() <= _MOST_SHUFFLED:
        labels = rng.permuted(np.tile(np.repeat(np.arange(groups), sizes), (draws, 1)), axis=1)
        cell = (labels + groups * np.arange(draws)[:, None]) * scores + np.repeat(np.arange(scores), at_score)
        shuffled = np.bincount(cell.ravel(), minlength=draws * groups * scores)
        return shuffled.reshape(draws, groups, scores).astype(np.float64)
    found = np.zeros((draws, groups, scores))
    left = np.tile(at_score, (draws, 1))
    for g in range(groups - 1):
        wanted, others = np.full(draws, sizes[g]), left.sum(axis=1)
        for s in range(scores):
            others = others - left[:, s]
            found[:, g, s] = rng.hypergeometric(left[:, s], others, wanted)
            wanted = wanted - found[:, g, s].astype(np.int64)
        left = left - found[:, g].astype(np.int64)
    found[:, -1] = left
    return found
