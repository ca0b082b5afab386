"""What is on users' lists: one number for every user, and two for the catalogue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from fairwitness.checks.fairness._recommendation_table import Codes, Floats, Pairs, normalised

ALPHA = 0.01  # Steck (2018), below equation 7: keeps the divergence finite
LARGEST_DIVERGENCE = -float(np.log(ALPHA))


def ndcg(pairs: Pairs, top: int) -> Floats:
    """Normalised discounted cumulative gain of every user's list; NaN without a list, or if nothing is worth anything.

    Gains are linear and the discount of place j is 1 / log2(j + 1). The ideal list is made of all the user's rows.
    Source: Järvelin & Kekäläinen (2002), ACM Transactions on Information Systems 20:422-446.

    Args:
        pairs: gains must not be negative.
        top: length of the lists.

    Returns:
        Shape (users,), in [0, 1].
    """
    listed = pairs.recommended(top)
    found = pairs.per_user(pairs.gain / np.log2(pairs.place + 2), listed)
    by_gain = pairs.gain[np.lexsort((-pairs.gain, pairs.user))]
    ideal = pairs.per_user(by_gain / np.log2(pairs.place + 2), pairs.place < top)
    return np.where(pairs.per_user(listed) > 0, np.minimum(_divided(found, ideal), 1.0), np.nan)


def mean_popularity(pairs: Pairs, popularity: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Mean popularity of each user's chosen items, shape (users,); NaN for users without any of known popularity."""
    chosen = chosen & np.isfinite(popularity[pairs.item])
    return _divided(pairs.per_user(popularity[pairs.item], chosen), pairs.per_user(chosen))


def calibration_divergence(pairs: Pairs, categories: sparse.csr_array, top: int) -> Floats:
    """How far the categories of a user's list are from those of the user's profile, shape (users,), in nats.

    Kullback-Leibler divergence sum p log(p / q~) of the profile's shares p from the list's q~ = (1 - a) q + a p, all
    items counting alike, a = 0.01: 0 where they agree and -log a where they share nothing. NaN for a user whose list or
    profile has no item of a category.
    Source: Steck (2018), Calibrated recommendations, RecSys, equations 2, 3, 6 and 7.
    """
    liked, listed = (
        normalised(_by_user(pairs, chosen) @ categories) for chosen in (pairs.relevant, pairs.recommended(top))
    )
    profile = liked.tocoo()
    row, column = profile.coords
    p = profile.data
    q = np.asarray(listed[row, column]).ravel() if len(p) else np.zeros(0)
    terms = p * np.log(p / ((1 - ALPHA) * q + ALPHA * p))
    divergence = np.bincount(row, terms, minlength=pairs.users)
    defined = (np.diff(liked.indptr) > 0) & (np.diff(listed.indptr) > 0)
    return np.where(defined, np.clip(divergence, 0.0, LARGEST_DIVERGENCE), np.nan)


def intra_list_diversity(pairs: Pairs, categories: sparse.csr_array, top: int) -> Floats:
    """Mean dissimilarity of all pairs of items on a user's list, shape (users,); NaN for fewer than two items.

    One minus the cosine of their categories: with one category an item, the share of pairs of different categories.
    Source: Ziegler, McNee, Konstan & Lausen (2005), WWW, equation 5, scaled to a mean.
    """
    listed = _by_user(pairs, pairs.recommended(top))
    length = np.sqrt(np.asarray(categories.multiply(categories).sum(axis=1)).ravel())
    unit = sparse.diags_array(np.divide(1.0, length, out=np.zeros(len(length)), where=length > 0)) @ categories
    together = listed @ unit
    # The sum of all entries of the Gram matrix is the squared length of the sum, and its diagonal is of ones.
    n = np.asarray(listed @ (length > 0).astype(np.float64)).ravel()
    square = np.asarray(together.multiply(together).sum(axis=1)).ravel()
    return np.clip(1 - _divided(square - n, n * (n - 1)), 0.0, 1.0)


def listed_share(pairs: Pairs, chosen: NDArray[np.bool_], top: int) -> Floats:
    """Share of the places on each user's list that chosen items, shape (items,), hold; NaN without a list."""
    listed = pairs.recommended(top)
    return _divided(pairs.per_user(chosen[pairs.item], listed), pairs.per_user(listed))


@dataclass(frozen=True)
class Spread:
    """A number of the whole catalogue with its jackknife interval over users."""

    value: float
    low: float
    high: float


def coverage(pairs: Pairs, top: int, level: float, among: NDArray[np.bool_] | None = None) -> Spread:
    """Share of the catalogue that is on anybody's list.

    It grows with the number of users, so what is estimated is its expectation over as many users. The jackknife's
    variance is too large rather than too small for that (Efron & Stein 1981, Annals of Statistics 9:586-596); a
    percentile bootstrap would be far off, for a resample holds 63 % of the users only. A standard error of less than
    one item is taken as one item, because it may be 0 where chance is not.

    Args:
        pairs: the ranked table; users without weight do not count.
        top: length of the lists.
        level: confidence level.
        among: the items that make the catalogue, shape (items,); None for all.
    """
    counted = pairs.recommended(top) & (pairs.weight > 0)[pairs.user]
    if among is not None:
        counted = counted & among[pairs.item]
    size = pairs.items if among is None else int(among.sum())
    item, user = pairs.item[counted], pairs.user[counted]
    times = np.bincount(item, minlength=pairs.items)
    alone = np.bincount(user[times[item] == 1], minlength=pairs.users)[pairs.weight > 0]
    value = int((times > 0).sum()) / size
    return _jackknifed(value, value - alone / size, level, 1 / size)


def gini(pairs: Pairs, top: int, level: float) -> Spread:
    """Gini index of how often items are listed, over the catalogue: 0 all alike, towards 1 a few items take it all.

    It falls with the number of users, as chance is evened out, so what is estimated is its expectation over as many
    users, by the jackknife. Leaving a user out changes the sum of |x_i - x_j| over pairs of items by the items on the
    user's list; pairs within one list, a share of top / items of all, are taken as unchanged.

    Args:
        pairs: the ranked table; a listing counts by the user's weight.
        top: length of the lists.
        level: confidence level.
    """
    counted = pairs.recommended(top) & (pairs.weight > 0)[pairs.user]
    item, user = pairs.item[counted], pairs.user[counted]
    w = pairs.weight[user]
    x = np.asarray(np.bincount(item, w, minlength=pairs.items), dtype=np.float64)
    ordered = np.sort(x)
    apart = float(((2 * np.arange(1, pairs.items + 1) - pairs.items - 1) * ordered).sum())
    total = float(x.sum())
    value = apart / (pairs.items * total)
    less = np.bincount(user, _lowered(ordered, x[item], w), minlength=pairs.users)
    lost = np.bincount(user, w, minlength=pairs.users)
    there = pairs.weight > 0
    rest = np.divide(
        apart + less, pairs.items * (total - lost), out=np.full(pairs.users, value), where=total - lost > 1e-12 * total
    )
    return _jackknifed(value, rest[there], level, 0.0)


def _lowered(ordered: Floats, x: Floats, w: Floats) -> Floats:
    """Change of sum_j |x - x_j| when one x falls by w, for each of some x; `ordered` are all of them, rising."""
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    # Sums of weights that are equal may differ by rounding, which changes nothing here.
    below, under = np.searchsorted(ordered, x - w, side="right"), np.searchsorted(ordered, x, side="left")
    above = len(ordered) - under - 1  # but for itself
    between = under - below
    return np.asarray(w * (above - below + between) + 2 * (sums[under] - sums[below]) - 2 * x * between)


def _jackknifed(value: float, without: Floats, level: float, least: float) -> Spread:
    """Student t interval in [0, 1] from what the value is without each user; one user says nothing."""
    n = len(without)
    if n < 2:
        return Spread(value, 0.0, 1.0)
    variance = (n - 1) / n * float(((without - without.mean()) ** 2).sum())
    half = float(stats.t.isf((1 - level) / 2, n - 1)) * max(variance**0.5, least)
    return Spread(value, max(value - half, 0.0), min(value + half, 1.0))


def _by_user(pairs: Pairs, chosen: NDArray[np.bool_]) -> sparse.csr_array:
    """Which items each user has, shape (users, items)."""
    rows: tuple[Codes, Codes] = (pairs.user[chosen], pairs.item[chosen])
    return sparse.csr_array((np.ones(int(chosen.sum())), rows), shape=(pairs.users, pairs.items))


def _divided(a: Floats, b: Floats) -> Floats:
    """Divide, NaN where b is 0 or less: an undefined number is never 0."""
    return np.asarray(np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0))
