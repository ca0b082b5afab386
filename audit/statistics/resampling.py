"""Draws of whole tables of counts: a posterior for composites, and permutations under equal rates."""

import numpy as np
import numpy.typing as npt

from fairwitness.audit.statistics.intervals import FloatArray

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
