"""Ranked lists: who stands where, which exposure that gives, and how sure a group's mean exposure is.

Items with equal scores stand in any order, so each is given what it has on average over all their orders.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_ITEMS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Lists:
    """Items list by list, each from the highest score to the lowest.

    Attributes:
        rows: which row of the data each item is, shape (items,).
        list_of: number of its list, rising, shape (items,).
        tie_of: number of its tie, a run of equal scores in a list, rising, shape (items,).
        start: first item of each list, shape (lists,).
        size: items of each list, shape (lists,).
        before: items of the list before each tie, shape (ties,).
        tied: items of each tie, shape (ties,).
    """

    rows: Counts
    list_of: Counts
    tie_of: Counts
    start: Counts
    size: Counts
    before: Counts
    tied: Counts

    @property
    def list_of_tie(self) -> Counts:
        """Number of each tie's list."""
        return np.asarray(self.list_of[np.cumsum(self.tied) - self.tied])


def ranked(query: Counts, score: Floats) -> Lists:
    """Rank items within their lists, the highest score first.

    Args:
        query: which list each row belongs to; negative for none; shape (rows,).
        score: what rows are ranked by, shape (rows,); a row without a finite score is in no list.

    Returns:
        The lists with two items or more: a list of one ranks nothing.
    """
    rows = np.flatnonzero((query >= 0) & np.isfinite(score))
    _, at, sizes = np.unique(query[rows], return_inverse=True, return_counts=True)
    rows = rows[sizes[at] > 1]
    _, of = np.unique(query[rows], return_inverse=True)
    order = np.lexsort((-score[rows], of))
    rows, of = rows[order], of[order].astype(np.int64)
    size = np.bincount(of).astype(np.int64)
    start = np.cumsum(size) - size
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (np.diff(of) > 0) | (np.diff(score[rows]) != 0)
    tie_of = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    return Lists(rows, of, tie_of, start, size, first - start[of[first]], np.bincount(tie_of).astype(np.int64))


def discounts(longest: int) -> Floats:
    """Exposure of the first so many positions added up: entry j is the sum of 1 / log2(1 + i) over i = 1, ..., j.

    Source: Singh & Joachims (2018), section 3.1; the discount of Järvelin & Kekäläinen (2002).

    >>> discounts(3).round(4).tolist()
    [0.0, 1.0, 1.6309, 2.1309]
    """
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, longest + 2)))])


def exposure(lists: Lists) -> Floats:
    """Exposure of each item in units of the mean of its list, shape (items,): 1 on average."""
    total = discounts(int(lists.size.max(initial=0)))
    of_tie = (total[lists.before + lists.tied] - total[lists.before]) / lists.tied
    mean = total[lists.size] / lists.size
    return np.asarray((of_tie / mean[lists.list_of_tie])[lists.tie_of])


def in_top(lists: Lists, k: int) -> Floats:
    """Chance of each item to be among the first k of its list, shape (items,)."""
    return np.clip((k - lists.before) / lists.tied, 0.0, 1.0)[lists.tie_of]


def by_list(lists: Lists, group: Counts, groups: int, values: Floats) -> Floats:
    """Sums over the items of each list and group, shape (lists, groups)."""
    flat = np.bincount(lists.list_of * groups + group, values, minlength=len(lists.size) * groups)
    return flat.reshape(-1, groups).astype(np.float64)


def list_covariance(influence: Floats) -> Floats:
    """Covariance of estimates over independent lists.

    Source: the linearised variance of a ratio of sums over clusters, L / (L - 1) sum u u' (Särndal, Swensson & Wretman
    1992, Model Assisted Survey Sampling, chapter 5).

    Args:
        influence: shape (lists, groups), each list's part in each estimate's error; the columns add up to 0.

    Returns:
        Shape (groups, groups).
    """
    lists = len(influence)
    return np.asarray(influence.T @ influence * (lists / max(lists - 1, 1)))


def item_covariance(lists: Lists, group: Counts, groups: int, own: Floats) -> Floats:
    """Covariance of the logarithms of the groups' mean exposures in one list whose items are a sample.

    The jackknife: each item in turn is left out, those below move up by one, and every mean is computed anew, all from
    running sums. It is exact, costs one pass, and on average errs to the safe side.
    Source: Efron & Stein (1981), The jackknife estimate of variance, Annals of Statistics 9:586-596.

    Args:
        lists: one list.
        group: of each item, shape (items,).
        groups: how many there are.
        own: shape (items,), what leaving out an item adds to its own group's logarithm, beside exposure: that of its
            merit, or 0.

    Returns:
        Shape (groups, groups).
    """
    n, total = len(lists.rows), discounts(len(lists.rows))
    before, tied = lists.before, lists.tied
    here = (total[before + tied] - total[before]) / tied  # mean exposure of a tie as it stands,
    # of one that has moved up by one (a first tie never does), and of one that has lost an item.
    moved = np.where(before > 0, (total[before + tied - 1] - total[np.maximum(before - 1, 0)]) / tied, 0.0)
    fewer = np.where(tied > 1, (total[before + tied - 1] - total[before]) / np.maximum(tied - 1, 1), 0.0)
    size = np.bincount(group, minlength=groups).astype(np.float64)
    sums = np.bincount(group, here[lists.tie_of], minlength=groups)
    mean = np.divide(sums, size, out=np.ones(groups), where=sums > 0)
    # Per group: below = exposure of the ties below, moved up; above = of those above, as they stand.
    below, above = np.bincount(group, moved[lists.tie_of], minlength=groups), np.zeros(groups)
    change = (total[n - 1] / (n - 1)) / (total[n] / n)  # of the list's mean
    products, means = np.zeros((groups, groups)), np.zeros(groups)
    last = np.cumsum(tied)
    begin = 0
    while begin < len(tied):
        end = max(begin + 1, int(np.searchsorted(last, last[begin] + _ITEMS_AT_ONCE)))
        ties, items = slice(begin, end), slice(int(last[begin] - tied[begin]), int(last[end - 1]))
        tie, of = lists.tie_of[items] - begin, group[items]
        count = np.bincount(tie * groups + of, minlength=(end - begin) * groups).reshape(-1, groups)
        passed = np.cumsum(count * here[ties, None], axis=0)
        risen = np.cumsum(count * moved[ties, None], axis=0)
        left = (above + passed - count * here[ties, None]) + (below - risen) + count * fewer[ties, None]
        above, below = above + passed[-1], below - risen[-1]
        without = (np.divide(left, size, out=np.ones_like(left), where=size > 0) / mean)[tie]
        place = np.arange(len(of))
        lost = left[tie, of] - fewer[ties][tie]
        without[place, of] = lost / np.maximum(size[of] - 1, 1.0) / mean[of]
        influence = without / change - 1
        influence[place, of] += own[items]
        products += influence.T @ influence
        means += influence.sum(axis=0)
        begin = end
    return np.asarray((products - np.outer(means, means) / n) * ((n - 1) / n))


def exchangeable_covariance(lists: Lists, group: Counts, groups: int, values: Floats) -> Floats:
    """Covariance of the groups' means if every order of the groups within a list were as likely.

    Source: Hájek, Šidák & Sen (1999), Theory of Rank Tests, section 3.3.1, of each list; lists are independent.

    Args:
        lists: the lists.
        group: of each item, shape (items,).
        groups: how many there are.
        values: of each item, shape (items,), with mean 1 in every list.

    Returns:
        Shape (groups, groups).
    """
    count = by_list(lists, group, groups, np.ones(len(group)))
    spread = np.bincount(lists.list_of, (values - 1) ** 2, minlength=len(lists.size)) / (lists.size - 1)
    together = np.diag(spread @ count) - (count * (spread / lists.size)[:, None]).T @ count
    size = np.maximum(count.sum(axis=0), 1.0)
    return np.asarray(together / size / size[:, None])


def divergence(lists: Lists, group: NDArray[np.int64], groups: int) -> Floats:
    """NDKL of each list: how far the groups' shares in its first i items are from those in all, whatever i.

    (1/Z) sum_i KL(D_i || D) / log2(i + 1), Z = sum_i 1 / log2(i + 1), in natural logarithms; 0 where every beginning of
    the list is composed like the whole. Within a tie the composition is the one expected over its orders.
    Source: Geyik, Ambler & Kenthapadi (2019), definition 3.

    Args:
        lists: the lists.
        group: of each item, shape (..., items): several assignments of groups to items at once.
        groups: how many there are.

    Returns:
        Shape (..., lists).
    """
    first = np.cumsum(lists.tied) - lists.tied
    position = np.arange(len(lists.rows)) - lists.start[lists.list_of] + 1.0
    apart = np.zeros(group.shape)
    for g in range(groups):
        there = (group == g).astype(np.float64)
        share = np.add.reduceat(there, lists.start, axis=-1) / lists.size
        expected = (np.add.reduceat(there, first, axis=-1) / lists.tied)[..., lists.tie_of]
        run = np.cumsum(expected, axis=-1)
        offset = run[..., lists.start] - expected[..., lists.start]
        found = (run - offset[..., lists.list_of]) / position
        whole = share[..., lists.list_of]
        inside = (found > 1e-12) & (whole > 0)
        apart += found * np.log(np.divide(found, whole, out=np.ones_like(found), where=inside))
    discount = 1 / np.log2(position + 1)
    weight = np.add.reduceat(discount, lists.start)
    found = np.add.reduceat(apart * discount, lists.start, axis=-1) / weight
    # What is left of equal shares is rounding error.
    return np.where(found > 1e-12, found, 0.0)
