"""What a ranking gives the groups of one attribute: exposure, places in the top, and pairs in the right order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from fairwitness.audit.comparison import left_out
from fairwitness.audit.evidence import Excluded, Reason
from fairwitness.audit.statistics.intervals import Limits, logit_interval, wilson
from fairwitness.audit.statistics.means import student
from fairwitness.audit.statistics.ranking import auc_interval, delong_variance, roc_auc
from fairwitness.checks.fairness._ranking_lists import (
    Counts,
    Floats,
    Lists,
    by_list,
    exchangeable_covariance,
    exposure,
    in_top,
    item_covariance,
    list_covariance,
)

NO_LIST = Reason(code="no_list")


@dataclass(frozen=True)
class Ranking:
    """The items of all lists by the groups of one attribute.

    Attributes:
        attribute: `sex`, or `sex & race`.
        groups: names, those without an item included.
        lists: the lists, the items of a tie in an order that the order of the data has no part in.
        group: place of each item's group, shape (items,).
        merit: of each item, NaN where the truth is missing, shape (items,); None without truths.
        left_out: rows of each group that are in no list, by why.
    """

    attribute: str
    groups: tuple[str, ...]
    lists: Lists
    group: Counts
    merit: Floats | None
    left_out: tuple[Excluded, ...]

    @property
    def count(self) -> Counts:
        """Items of each group."""
        return np.bincount(self.group, minlength=len(self.groups))

    @property
    def several(self) -> bool:
        """Whether lists, and not the items of one, are the sample."""
        return len(self.lists.size) > 1

    def excluded(self, why: Sequence[Reason | None]) -> tuple[Excluded, ...]:
        """The groups that a comparison leaves out, which have a reason."""
        each = zip(self.groups, self.count.tolist(), why, strict=True)
        return tuple(Excluded(group=group, n=n, reason=reason) for group, n, reason in each if reason is not None)


def ranking_of(
    attribute: str, names: Any, lists: Lists, merit: Floats | None, *, unanswered: Any, unlisted: Any
) -> Ranking:
    """Number the groups of the items.

    Args:
        attribute: whose groups these are.
        names: group of each row, shape (rows,).
        lists: the lists.
        merit: of each row, shape (rows,).
        unanswered: which rows have no score.
        unlisted: which rows belong to no list.
    """
    groups, place = numbered(names)
    silent, nowhere = (np.bincount(place[rows], minlength=len(groups)) for rows in (unanswered, unlisted & ~unanswered))
    out = (*left_out(groups, silent), *left_out(groups, nowhere, NO_LIST))
    worth = np.zeros(len(place)) if merit is None else merit
    order = np.lexsort((worth[lists.rows], place[lists.rows], lists.tie_of))
    lists = replace(lists, rows=lists.rows[order])
    return Ranking(attribute, groups, lists, place[lists.rows], None if merit is None else merit[lists.rows], out)


def numbered(names: NDArray[np.object_]) -> tuple[tuple[str, ...], Counts]:
    """Number names in their order.

    Returns:
        The distinct names, and the place of each.
    """
    encoded = pa.array(names, pa.large_string()).dictionary_encode()
    found = encoded.dictionary.to_pylist()
    order = sorted(range(len(found)), key=found.__getitem__)
    place = np.empty(len(found), dtype=np.int64)
    place[order] = np.arange(len(found))
    return tuple(found[i] for i in order), place[encoded.indices.to_numpy()]


@dataclass(frozen=True)
class Exposures:
    """Mean exposure of the groups, or that per unit of merit, each array of shape (groups,).

    Attributes:
        value: the estimate; 0 where there is none.
        deviations: standard errors of the logarithms' differences, shape (groups, groups).
        deviation: of each logarithm.
        degrees: degrees of freedom of each.
        equal: covariance of the mean exposures if every order of the groups were as likely.
        why: why a group has no estimate; None where it has.
    """

    value: Floats
    deviations: Floats
    deviation: Floats
    degrees: Floats
    equal: Floats
    why: tuple[Reason | None, ...]


def exposures(ranking: Ranking, least: int, *, per_merit: bool) -> Exposures:
    """Estimate the groups' mean exposures, in units of the mean exposure of each list.

    The standard error of a difference is the larger of two: that of the sample (of lists, or of the items of one list
    by the jackknife), and that of the same number of items in random order. The first alone is too small when a group
    happens not to stand near the top, where nearly all of the variance comes from.
    """
    lists, group, k = ranking.lists, ranking.group, len(ranking.groups)
    count = ranking.count.astype(np.float64)
    values = exposure(lists)
    total = np.bincount(group, values, minlength=k)
    mean = np.divide(total, count, out=np.zeros(k), where=count > 0)
    equal = exchangeable_covariance(lists, group, k, values)
    why = [too_few(int(n), least, "items") for n in count]
    own, merit_variance, merit = np.zeros(len(group)), np.zeros(k), np.ones(k)
    known = np.zeros(len(group), dtype=bool)
    if per_merit and ranking.merit is not None:
        known = np.isfinite(ranking.merit)
        merit, merit_variance, own, poor = _merit(ranking, known, least)
        why = [a or b for a, b in zip(why, poor, strict=True)]
    rows = count
    if ranking.several:
        items = by_list(lists, group, k, np.ones(len(group)))
        influence = (by_list(lists, group, k, values) - mean * items) / np.where(count > 0, total, 1.0)
        if per_merit:
            influence = influence + by_list(lists, group, k, own)
        sampled = list_covariance(influence)
        rows = (items > 0).sum(axis=0).astype(np.float64)
        why = [a or too_few(int(n), 2, "lists") for a, n in zip(why, rows, strict=True)]
    else:
        sampled = item_covariance(lists, group, k, own)
    random = equal + np.diag(merit_variance)
    why = [a or (None if equal[i, i] > 1e-24 else Reason(code="no_variation")) for i, a in enumerate(why)]
    degrees = np.maximum(rows - 1, 1.0)
    apart = [_differences(c) for c in (sampled, random)]
    single = [np.sqrt(np.maximum(np.diag(c), 0.0)) for c in (sampled, random)]
    return Exposures(mean / merit, np.maximum(*apart), np.maximum(*single), degrees, equal, tuple(why))


def _differences(covariance: Floats) -> Floats:
    v = np.diag(covariance)
    return np.sqrt(np.maximum(v[:, None] + v - 2 * covariance, 0.0))


def _merit(ranking: Ranking, known: Any, least: int) -> tuple[Floats, Floats, Floats, list[Reason | None]]:
    """Mean merit by group, the variance of its logarithm, each item's part in its error, and why there is none."""
    assert ranking.merit is not None  # noqa: S101
    group, k, merit = ranking.group, len(ranking.groups), np.where(known, ranking.merit, 0.0)
    n = np.bincount(group[known], minlength=k)
    mean = np.bincount(group, merit, minlength=k) / np.maximum(n, 1)
    positive = np.where(mean > 0, mean, 1.0)
    error = np.where(known, (merit - mean[group]) / positive[group], 0.0) / np.maximum(n - 1, 1)[group]
    variance = np.bincount(group, error**2, minlength=k).astype(np.float64)
    binary = bool(np.isin(merit[known], (0.0, 1.0)).all())
    hits = np.bincount(group[known], merit[known] > 0, minlength=k) if binary else n
    what = "positives" if binary else "labelled rows"
    why = [
        too_few(int(hits[i]), least, what) or (None if mean[i] > 0 else Reason(code="merit_not_positive"))
        for i in range(k)
    ]
    # Leaving out an item of more than the mean merit lowers the mean: the exposure per merit rises.
    return positive, variance, error if not ranking.several else -error, why


@dataclass(frozen=True)
class Top:
    """How much of the first k items is of each group, each array of shape (groups,).

    Attributes:
        n: items in the tops of all lists.
        there: those of the group; with ties, expected ones.
        expected: share of the group in all items of these lists.
        lists: lists with more than k items; the others say nothing.
        deviation: standard error of log(share in the top / expected) over lists; 0 for one list.
        prefixes: of one list, expected items of each group among its first 1, ..., k, shape (k, groups).
    """

    n: int
    there: Floats
    expected: Floats
    lists: int
    deviation: Floats
    prefixes: Floats | None

    def limits(self, critical: float) -> Limits:
        """Limits of log(share in the top / share in all): Wilson's, or over lists Student's where these are wider."""
        low, high = wilson(np.minimum(self.there, self.n), float(self.n), critical)
        tiny = np.finfo(np.float64).tiny
        below, above = (np.log(np.maximum(end, tiny) / self.expected) for end in (low, high))
        half = student(critical, max(self.lists - 1, 1)) * self.deviation
        return np.minimum(below, self.skew - half), np.maximum(above, self.skew + half)

    @property
    def skew(self) -> Floats:
        """log(share in the top / share in all); a huge negative number where there is nobody."""
        share = np.maximum(self.there / max(self.n, 1), np.finfo(np.float64).tiny)
        return np.asarray(np.log(share / self.expected))

    def prefix_test(self, i: int) -> float | None:
        """Smallest chance that a fair draw has so few of a group among the first items, over all beginnings.

        Source: Zehlike et al. (2017), FA*IR, definition 1: the binomial test of each prefix, not adjusted for their
        number.
        """
        if self.prefixes is None:
            return None
        found = np.floor(self.prefixes[:, i] + 1e-9)
        tail = np.asarray(stats.binom.cdf(found, np.arange(1, len(found) + 1), self.expected[i]))
        return float(tail.min())


def top_of(ranking: Ranking, k: int) -> Top:
    """Count who is among the first k of the lists with more than k items."""
    lists, group, groups = ranking.lists, ranking.group, len(ranking.groups)
    long = lists.size > k
    inside = by_list(lists, group, groups, in_top(lists, k))[long]
    share = by_list(lists, group, groups, np.ones(len(group)))[long] / lists.size[long, None]
    kept = int(long.sum())
    n = k * kept
    there, expected = inside.sum(axis=0), k * share.sum(axis=0)
    deviation = np.zeros(groups)
    if kept > 1:
        influence = [
            (part - total / kept) / np.where(total > 0, total, np.inf)
            for part, total in ((inside, there), (k * share, expected))
        ]
        deviation = np.sqrt(np.maximum(np.diag(list_covariance(influence[0] - influence[1])), 0.0))
    prefixes = None
    if kept == 1 and not ranking.several:
        ties = int(np.count_nonzero(lists.before < k))
        head = slice(0, int(lists.tied[:ties].sum()))
        count = np.bincount(lists.tie_of[head] * groups + group[head], minlength=ties * groups).reshape(-1, groups)
        chance = (np.arange(1, k + 1)[:, None] - lists.before[:ties]) / lists.tied[:ties]
        prefixes = np.clip(chance, 0.0, 1.0) @ count
    whole = np.where(expected > 0, expected / max(n, 1), 1.0)
    return Top(n, there, whole, kept, deviation, prefixes)


@dataclass(frozen=True)
class Pairs:
    """How often a positive of each group outranks a negative of its list, each array of shape (groups,).

    Attributes:
        positives: of each group, in lists with a negative.
        negatives: of all groups.
        value: share of the pairs, ties half; 0 where there are none.
        variance: of that share; NaN where there is none.
        degrees: degrees of freedom of the variance; infinite for DeLong's.
    """

    positives: Counts
    negatives: int
    value: Floats
    variance: Floats
    degrees: Floats

    def why(self, i: int, least: int) -> Reason | None:
        """Why a group has no estimate; None where it has."""
        return too_few(int(self.positives[i]), least, "positives") or too_few(self.negatives, least, "negatives")

    def limits(self, i: int, critical: float) -> tuple[float, float]:
        """Limits of a group's share."""
        value, variance = float(self.value[i]), float(self.variance[i])
        args = float(self.positives[i]), float(self.negatives)
        if np.isfinite(self.degrees[i]) and variance > 0 and 0 < value < 1:
            t = float(student(critical, self.degrees[i]))
            ends = logit_interval(value, np.sqrt(variance), t)
            return float(ends[0]), float(ends[1])
        low, high = auc_interval(value, variance, *args, critical)
        return min(low, value), max(high, value)


def pairs_of(ranking: Ranking) -> Pairs:
    """Compare every positive with every negative of its list."""
    assert ranking.merit is not None  # noqa: S101
    lists, group, k = ranking.lists, ranking.group, len(ranking.groups)
    positive, negative = ranking.merit == 1, ranking.merit == 0
    by_tie = np.bincount(lists.tie_of, negative, minlength=len(lists.tied))
    run = np.cumsum(by_tie)
    of_tie = lists.list_of_tie
    first_tie = np.searchsorted(of_tie, np.arange(len(lists.size)))
    total = np.add.reduceat(by_tie, first_tie)
    below = total[of_tie] - (run - (run - by_tie)[first_tie][of_tie]) + by_tie / 2
    met = total[lists.list_of] > 0
    counted = positive & met
    wins = np.where(counted, below[lists.tie_of], 0.0)
    pairs = np.where(counted, total[lists.list_of], 0.0)
    won, compared = (np.bincount(group, values, minlength=k) for values in (wins, pairs))
    positives = np.bincount(group[counted], minlength=k)
    some = compared > 0
    value = np.divide(won, compared, out=np.zeros(k), where=some)
    variance, degrees = np.full(k, np.nan), np.full(k, np.inf)
    if ranking.several:
        won_in, compared_in = (by_list(lists, group, k, values) for values in (wins, pairs))
        influence = (won_in - value * compared_in) / np.where(some, compared, 1.0)
        variance = np.diag(list_covariance(influence)).copy()
        degrees = np.maximum((compared_in > 0).sum(axis=0) - 1.0, 1.0)
    elif total.sum() > 0:
        rising = by_tie[::-1]
        for i in np.flatnonzero(some):
            of_group = np.bincount(lists.tie_of[counted & (group == i)], minlength=len(lists.tied))[::-1]
            value[i], variance[i] = roc_auc(of_group, rising), delong_variance(of_group, rising)
    return Pairs(positives, int((negative & met).sum()), value, variance, degrees)


def too_few(found: int, needed: int, what: str) -> Reason | None:
    """Why so many do not suffice; None where they do."""
    if found >= needed:
        return None
    return Reason(code="too_few", params={"needed": needed, "found": found, "what": what})
