"""Measurements of a ranking: values with their intervals, or why there are none."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Details, Interval, Measurement, Reason, Scalar
from fairwitness.audit.statistics.intervals import critical_value, mover_difference
from fairwitness.audit.statistics.means import (
    difference_degrees,
    equal_estimates,
    equal_means,
    expected_gap,
    gap_interval,
    shared_critical,
    student,
    widest_gap,
)
from fairwitness.audit.statistics.multiplicity import simultaneous_critical
from fairwitness.checks.fairness._ranking_groups import Pairs, Ranking, Top, exposures, pairs_of, too_few, top_of
from fairwitness.checks.fairness._ranking_lists import Floats, divergence

# Random orders of the groups, by the numbers that computing one takes.
_ORDERS = ((200_000, 199), (1_000_000, 39))


def exposure_by_group(metric: str, ranking: Ranking, *, level: float, least: int) -> Iterator[Measurement]:
    """Yield each group's mean exposure with its interval."""
    found = exposures(ranking, least, per_merit=False)
    half = student(critical_value(level), found.degrees) * found.deviation
    low, high = found.value * np.exp(-half), found.value * np.exp(half)
    for i, group in enumerate(ranking.groups):
        said = _said(metric, ranking, int(ranking.count[i]), group=group)
        if (reason := found.why[i]) is not None or not np.isfinite(high[i]):
            yield Measurement(**said, status="not_estimable", reason=reason or Reason(code="no_variation"))
        else:
            interval = Interval(
                low=float(low[i]), high=float(high[i]), level=level, method=f"Student t {_method(ranking)}"
            )
            yield Measurement(**said, value=float(found.value[i]), interval=interval)


def exposure_ratio(
    metric: str, ranking: Ranking, rng: np.random.Generator, *, level: float, least: int, per_merit: bool
) -> Measurement:
    """Measure the smallest mean exposure (per unit of merit) over the largest."""
    found = exposures(ranking, least, per_merit=per_merit)
    kept = _kept(found.why)
    excluded = ranking.excluded(found.why)
    said = _said(metric, ranking, int(ranking.count[kept].sum()))
    if kept.size < 2:
        return _too_few_groups(said, ranking, found.why, excluded)
    square = np.ix_(kept, kept)
    value, equal = np.log(found.value[kept]), found.equal[square]
    deviations, spread = found.deviations[square], found.deviation[kept]
    degrees = difference_degrees(np.diag(spread**2), found.degrees[kept])
    critical = shared_critical(np.diag(spread**2), level, rng)
    limits = gap_interval(value, deviations, degrees, critical)
    names = [ranking.groups[i] for i in kept]
    facts: dict[str, Scalar] = {
        "Lowest group": names[int(value.argmin())],
        "Highest group": names[int(value.argmax())],
        "Lists": len(ranking.lists.size),
        "Simultaneous critical value": critical,
    }
    p_value = None
    if not per_merit:
        facts["Smallest ratio expected in random order"] = float(np.exp(-expected_gap(equal, rng)))
        p_value = equal_estimates(found.value[kept], equal)
    ratio, low, high = (float(np.exp(-end)) for end in limits)
    method = f"Simultaneous Student t {_method(ranking)}"
    interval = Interval(low=min(high, ratio), high=max(low, ratio), level=level, method=method)
    details = Details(facts=facts, excluded=excluded)
    return Measurement(**said, value=ratio, interval=interval, p_value=p_value, details=details)


def in_order(metric: str, ranking: Ranking, rng: np.random.Generator, *, level: float) -> Measurement:
    """Measure NDKL: of one list exactly, of several their mean."""
    lists, groups = ranking.lists, len(ranking.groups)
    said = _said(metric, ranking, len(ranking.group))
    why = [too_few(n, 1, "items") for n in ranking.count.tolist()]
    excluded = ranking.excluded(why)
    if _kept(why).size < 2:
        return _too_few_groups(said, ranking, why, excluded)
    each = divergence(lists, ranking.group, groups)
    value, number = float(each.mean()), len(each)
    facts: dict[str, Scalar] = {"Lists": number}
    p_value = None
    drawn = _in_random_order(ranking, rng)
    if drawn.size:
        facts["Expected in random order"] = float(drawn.mean())
        # Equal numbers differ in their last digits, by the order of sums.
        reached = int(np.count_nonzero(drawn >= value * (1 - 1e-9) - 1e-12))
        p_value = (1 + reached) / (drawn.size + 1)
        facts["Random orders"] = drawn.size
    details = Details(facts=facts, excluded=excluded)
    if number == 1:
        return Measurement(**said, value=value, exact=True, p_value=p_value, details=details)
    deviation = float(each.std(ddof=1)) / np.sqrt(number)
    if not deviation > 1e-12:
        return Measurement(**said, status="not_estimable", reason=Reason(code="no_variation"), details=details)
    half = float(student(critical_value(level), number - 1)) * deviation
    interval = Interval(low=max(value - half, 0.0), high=value + half, level=level, method="Student t over lists")
    return Measurement(**said, value=value, interval=interval, p_value=p_value, details=details)


def _in_random_order(ranking: Ranking, rng: np.random.Generator) -> Floats:
    """Mean NDKL of random orders of the groups within their lists, shape (orders,); none where that takes long."""
    items = len(ranking.group)
    cost = items * len(ranking.groups)
    orders = next((orders for most, orders in _ORDERS if cost <= most), 0)
    found = np.empty(orders)
    at_once = max(1, 200_000 // cost)
    for start in range(0, orders, at_once):
        some = min(at_once, orders - start)
        # Sorting by list and a random number shuffles each list.
        key = ranking.lists.list_of + rng.random((some, items))
        drawn = ranking.group[np.argsort(key, axis=1)]
        found[start : start + some] = divergence(ranking.lists, drawn, len(ranking.groups)).mean(axis=-1)
    return found


def of_top(ranking: Ranking, k: int, *, level: float, least: int) -> Iterator[Measurement]:
    """Yield the skew of each group in the first k items, and the smallest and largest of them."""
    top, where = top_of(ranking, k), {"k": str(k)}
    why = [_not_in_top(ranking, top, k, i, least) for i in range(len(ranking.groups))]
    low, high = top.limits(critical_value(level))
    for i, group in enumerate(ranking.groups):
        said = _said("skew", ranking, top.n, group=group, where=where)
        if (reason := why[i]) is not None:
            yield Measurement(**said, status="not_estimable", reason=reason)
        else:
            interval = Interval(low=float(low[i]), high=float(high[i]), level=level, method=_top_method(top))
            yield Measurement(**said, value=float(top.skew[i]), interval=interval)
    for metric in ("min_skew", "max_skew"):
        yield _worst_skew(metric, ranking, top, why, _said(metric, ranking, top.n, where=where), level)


def _not_in_top(ranking: Ranking, top: Top, k: int, i: int, least: int) -> Reason | None:
    """Why a group has no skew; None where it has."""
    found, needed = min(int(ranking.count[i]), top.n), least
    if not top.lists:
        found, needed = int(ranking.lists.size.max()), k + 1
    if found < needed:
        return Reason(code="too_few", params={"needed": needed, "found": found, "what": "items"})
    if not top.there[i] > 0:
        return Reason(code="absent_from_top", params={"group": ranking.groups[i], "k": k})
    return None


def _worst_skew(
    metric: str, ranking: Ranking, top: Top, why: Sequence[Reason | None], said: dict[str, Any], level: float
) -> Measurement:
    """The smallest or the largest skew: limits of all groups that hold together (Bonferroni), and the worst of them."""
    kept, excluded = _kept(why), ranking.excluded(why)
    absent = [reason for reason in why if reason is not None and reason.code == "absent_from_top"]
    if kept.size + len(absent) < 2:
        return _too_few_groups(said, ranking, why, excluded)
    smallest = metric == "min_skew"
    if kept.size == 0 or (absent and smallest):
        return Measurement(**said, status="not_estimable", reason=absent[0], details=Details(excluded=excluded))
    low, high = (ends[kept] for ends in top.limits(critical_value(1 - (1 - level) / kept.size)))
    skew = top.skew[kept]
    place = int(kept[int(skew.argmin() if smallest else skew.argmax())])
    value = float(top.skew[place])
    facts: dict[str, Scalar] = {
        "Group": ranking.groups[place],
        "Share in the top": float(top.there[place] / top.n),
        "Share in all": float(top.expected[place]),
    }
    # Shares add up to 1: the smallest is never above what is expected, and the largest never below.
    if smallest:
        below, above = float(low.min()), min(float(high.min()), max(value, 0.0))
        tail = top.prefix_test(place)
        facts |= {} if tail is None else {"Smallest binomial tail of a prefix (FA*IR)": tail}
    else:
        below, above = max(float(low.max()), min(value, 0.0)), float(high.max())
    interval = Interval(
        low=min(below, value), high=max(above, value), level=level, method=f"{_top_method(top)}, simultaneous"
    )
    return Measurement(**said, value=value, interval=interval, details=Details(facts=facts, excluded=excluded))


def _top_method(top: Top) -> str:
    return "Wilson on the log scale" if top.lists < 2 else "Wilson or Student t over lists, on the log scale"


def of_pairs(ranking: Ranking, rng: np.random.Generator, *, level: float, least: int) -> Iterator[Measurement]:
    """Yield each group's pairwise accuracy, and the largest gap."""
    pairs = pairs_of(ranking)
    why = [pairs.why(i, least) for i in range(len(ranking.groups))]
    method = "Logit, over lists" if ranking.several else "DeLong on the logit, or Newcombe"
    single = critical_value(level)
    for i, group in enumerate(ranking.groups):
        said = _said("pairwise_accuracy", ranking, int(pairs.positives[i]), group=group)
        if (reason := why[i]) is not None:
            yield Measurement(**said, status="not_estimable", reason=reason)
        else:
            low, high = pairs.limits(i, single)
            interval = Interval(low=low, high=high, level=level, method=method)
            yield Measurement(**said, value=float(pairs.value[i]), interval=interval)
    yield _pairs_gap("pairwise_accuracy_difference", ranking, pairs, why, rng, level)


def _pairs_gap(
    metric: str, ranking: Ranking, pairs: Pairs, why: Sequence[Reason | None], rng: np.random.Generator, level: float
) -> Measurement:
    """The largest difference in pairwise accuracy.

    Groups are taken as independent. They share their negatives, which makes them alike, so the interval is rather too
    wide than too narrow.
    """
    kept = _kept(why)
    excluded = ranking.excluded(why)
    said = _said(metric, ranking, int(pairs.positives[kept].sum()))
    if kept.size < 2:
        return _too_few_groups(said, ranking, why, excluded)
    value, single = pairs.value[kept], critical_value(level)
    deviation = np.array([np.ptp(pairs.limits(int(i), single)) / (2 * single) for i in kept])
    critical = simultaneous_critical([deviation], level, rng)
    low, high = np.array([pairs.limits(int(i), critical) for i in kept]).T
    column = value[:, None], (low[:, None], high[:, None])
    gap, below, above = widest_gap(value, *mover_difference(*column, value, (low, high)))
    names = [ranking.groups[i] for i in kept]
    facts: dict[str, Scalar] = {
        "Lowest group": names[int(value.argmin())],
        "Highest group": names[int(value.argmax())],
        "Largest gap expected if all groups were equal": expected_gap(np.diag(deviation**2), rng),
        "Simultaneous critical value": critical,
    }
    p_value = equal_means(
        value, deviation, np.minimum(pairs.degrees[kept], np.maximum(pairs.positives[kept] - 1.0, 1.0))
    )
    method = "Simultaneous MOVER on the limits of each group"
    interval = Interval(low=below, high=min(above, 1.0), level=level, method=method)
    details = Details(facts=facts, excluded=excluded)
    return Measurement(**said, value=gap, interval=interval, p_value=p_value, details=details)


def _method(ranking: Ranking) -> str:
    sample = "lists" if ranking.several else "items (jackknife)"
    return f"on the log scale, over {sample} or random orders"


def _said(metric: str, ranking: Ranking, n: int, **further: Any) -> dict[str, Any]:
    return {"metric": metric, "attribute": ranking.attribute, "n": n} | further


def _kept(why: Sequence[Reason | None]) -> NDArray[np.int64]:
    return np.array([i for i, reason in enumerate(why) if reason is None], dtype=np.int64)


def _too_few_groups(said: dict[str, Any], ranking: Ranking, why: Sequence[Reason | None], excluded: Any) -> Measurement:
    """Say why nothing can be compared: one reason for all groups, or too few groups."""
    estimable = int(_kept(why).size)
    params: dict[str, Scalar] = {"attribute": ranking.attribute, "estimable": estimable}
    details = Details(excluded=excluded) if excluded else None
    reason = Reason(code="fewer_than_two_groups", params=params)
    if len(why) > 1 and all(other is not None and other.code == "no_variation" for other in why):
        reason = Reason(code="no_variation")
    return Measurement(**said, status="not_estimable", reason=reason, details=details)
