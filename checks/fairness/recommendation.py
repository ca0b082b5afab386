"""Recommendations: who is served well by a recommender, which items are shown, and does it narrow what people see?

What it measures: a long table has a row for every pair of a user and an item, with the recommender's score and, where
known, whether the item is relevant to the user (or the user's rating). Every user's best-scored items are the list that
is recommended. Of the lists: the share of the catalogue that anybody is shown and how unequally items are shown; how
popular shown items are, beside the popularity of what the user likes; how far the categories on the list are from those
that the user likes; how diverse the list is; and how good its order is (NDCG). By group of users, and how far groups
are apart. Where a sensitive attribute belongs to items (the sex of the author, say) it is measured which share of the
places each group of items gets and which share of them is shown at all. Lastly a feedback loop is simulated: users
take up some of what they are shown, the recommender learns from it, and it is measured how much that narrows the
categories on their lists (filter bubbles) and makes the lists alike (homogenisation), beside the same rounds without
learning. Users are the unit of every interval. Equal scores are ranked at random by a hash of the names of user and
item, so the order of rows does not matter. Rows without a label count as not relevant.

Why it matters: what a recommender does not show is not read, bought or hired. One that learns mostly from the majority
serves others worse with the same code, and feedback can shut people into what they clicked first.

What it cannot show: the filter bubble is a simulation under a stated model of users, not an observation of them; its
parameters stand beside the number, and other parameters give other numbers. Labels are known only for items that users
came across, which were mostly recommended or popular ones. Coverage and Gini index depend on the number of users and
are to be compared between audits of as many. If the table holds only the pairs that were rated, lists are made of those
and say little of the whole catalogue.

References:

- Järvelin & Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, ACM Transactions on Information
  Systems 20:422-446
- Abdollahpouri, Mansoury, Burke & Mobasher (2020), The connection between popularity bias, calibration, and fairness in
  recommendation, RecSys. arXiv:2008.09273
- Steck (2018), Calibrated recommendations, RecSys. doi:10.1145/3240323.3240372
- Ziegler, McNee, Konstan & Lausen (2005), Improving recommendation lists through topic diversification, WWW
- Chaney, Stewart & Engelhardt (2018), How algorithmic confounding in recommendation systems increases homogeneity and
  decreases utility, RecSys. arXiv:1710.11214
- Efron & Stein (1981), The jackknife estimate of variance, Annals of Statistics 9:586-596
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.comparison import left_out
from fairwitness.audit.evidence import (
    Column,
    Details,
    Excluded,
    Interval,
    Measurement,
    Metric,
    NotAssessed,
    Reason,
    Scalar,
)
from fairwitness.audit.tallies import Records
from fairwitness.checks.fairness import _recommendation_lists as lists
from fairwitness.checks.fairness._left_out import beside
from fairwitness.checks.fairness._recommendation_bubble import Bubble, bubble_of
from fairwitness.checks.fairness._recommendation_feedback import Model
from fairwitness.checks.fairness._recommendation_groups import (
    Grouping,
    PerUser,
    averaged,
    between_groups,
    by_group,
    said,
)
from fairwitness.checks.fairness._recommendation_table import (
    Floats,
    Pairs,
    categories_of,
    constant_within,
    groups_of,
    pairs_of,
    popularity_of,
)

DIVERGENCE = (0.0, lists.LARGEST_DIVERGENCE)
VALUE: dict[str, Any] = {"evidence": ("EV-GROUP-RATE",)}
GAP: dict[str, Any] = {"better": "low", "ideal": 0.0, "evidence": ("EV-GROUP-GAP",)}

METRICS = {
    "catalogue_coverage": Metric("Catalogue coverage", better="high", range=(0.0, 1.0), **VALUE),
    "gini": Metric("Gini index of exposure", better="low", range=(0.0, 1.0), **VALUE),
    "average_popularity": Metric("Average popularity of recommended items", range=(0.0, None), **VALUE),
    "popularity_lift": Metric("Popularity lift", better="low", range=(-1.0, None), ideal=0.0, **VALUE),
    "calibration_divergence": Metric("Calibration divergence", better="low", range=DIVERGENCE, ideal=0.0, **VALUE),
    "intra_list_diversity": Metric("Intra-list diversity", better="high", range=(0.0, 1.0), **VALUE),
    "ndcg": Metric("Normalised discounted cumulative gain", better="high", range=(0.0, 1.0), **VALUE),
    "exposure_share": Metric("Share of exposure", range=(0.0, 1.0), **VALUE),
    "filter_bubble_drift": Metric("Filter bubble drift", better="high", range=(-1.0, 1.0), ideal=0.0, **VALUE),
    "homogenisation_drift": Metric("Homogenisation drift", better="low", range=(-1.0, 1.0), ideal=0.0, **VALUE),
    "ndcg_difference": Metric("NDCG difference", range=(0.0, 1.0), **GAP),
    "popularity_lift_difference": Metric("Popularity lift difference", range=(0.0, None), **GAP),
    "calibration_divergence_difference": Metric("Calibration divergence difference", range=DIVERGENCE, **GAP),
    "intra_list_diversity_difference": Metric("Intra-list diversity difference", range=(0.0, 1.0), **GAP),
    "filter_bubble_drift_difference": Metric("Filter bubble drift difference", range=(0.0, 2.0), **GAP),
}

COMPARED = ("ndcg", "popularity_lift", "calibration_divergence", "intra_list_diversity", "filter_bubble_drift")
JACKKNIFE = "Jackknife over users"
UNNAMED = Reason(code="no_user_or_item")

Share = Annotated[float, Field(ge=0, le=1)]
Said = dict[str, PerUser | Reason]


def measure(
    records: Records,
    rng: np.random.Generator,
    *,
    user: Annotated[str, Column()] = "",
    item: Annotated[str, Column()] = "",
    category: Annotated[str, Column()] = "",
    separator: str = "|",
    popularity: Annotated[str, Column()] = "",
    liked: float | None = None,
    top: Annotated[int, Field(ge=1)] = 10,
    rounds: Annotated[int, Field(ge=2, le=100)] = 10,
    repeats: Annotated[int, Field(ge=1, le=100)] = 5,
    feedback: Annotated[float, Field(ge=0)] = 0.5,
    popularity_feedback: Annotated[float, Field(ge=0)] = 0.1,
    uptake: Share = 0.8,
    curiosity: Share = 0.1,
    again: bool = False,
    simulated_users: Annotated[int, Field(ge=2)] = 1000,
    simulated_items: Annotated[int, Field(ge=2)] = 500,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield what is measured of all lists, then of groups of users and of items.

    Args:
        records: all rows of the data.
        rng: randomness of the simulation and for simultaneous critical values.
        user: column that names the user of a row.
        item: column that names its item.
        category: column that names the item's category or categories.
        separator: between several categories; empty where there is one only.
        popularity: column with the item's interactions; default: its relevant rows, or all where no row is relevant.
        liked: rating from which on an item is relevant, where the target is a rating; default: the user's mean.
        top: length of the lists.
        rounds: of the simulated loop.
        repeats: of the whole simulation, each with luck of its own.
        feedback: how much a category that was all a user took gains, in standard deviations of the user's scores.
        popularity_feedback: how much the item gains that most users took, likewise.
        uptake: chance that the most appealing item is taken up from the first place.
        curiosity: chance of an item without appeal, as a share of that.
        again: whether what was taken up is recommended again.
        simulated_users: how many at most, drawn at random.
        simulated_items: how many of a user's best-scored items the simulated recommender draws on.
        level: confidence level of the intervals.
        min_denominator: a mean over fewer users than this is not estimable.
    """
    lacking = [name for name, column in (("user", user), ("item", item)) if not column]
    if lacking:
        raise NotAssessed("needs_columns", options=", ".join(lacking))
    if not records.complete:
        raise NotAssessed("rows_not_held", held=len(records.labels), rows=records.seen)
    if records.layout.cluster not in (None, user):
        raise NotAssessed("clustered", column=records.layout.cluster)
    pairs = pairs_of(records, user, item, liked)
    if not (pairs.recommended(top) & (pairs.weight > 0)[pairs.user]).any():
        raise NotAssessed("no_rows")
    model = Model(rounds, repeats, top, feedback, popularity_feedback, uptake, curiosity, again)
    popular: Floats | Reason
    try:
        popular, popular_by = popularity_of(records, pairs, popularity)
    except NotAssessed as why:
        popular, popular_by = why.reason, popularity
    found = _of_truth(pairs, popular, top)
    bubble = _of_categories(
        records, pairs, (category, separator), model, (simulated_items, simulated_users), rng, found
    )
    facts = _facts(records, pairs, top) | {"Popularity counted by": popular_by}
    everybody = chain(
        _of_catalogue(pairs, top, level, min_denominator, facts),
        _of_everybody(pairs, found, bubble, level, min_denominator),
    )
    yield from beside(everybody, _left_out(pairs, np.zeros(len(pairs.row_user), dtype=np.int64), ("(all rows)",)))
    for attribute in records.names:
        yield from _of_attribute(records, attribute, pairs, found, bubble, top, rng, level, min_denominator)


def _left_out(pairs: Pairs, codes: NDArray[np.int64], groups: tuple[str, ...]) -> tuple[Excluded, ...]:
    """Rows of each group that are no pair of a user and an item with a score."""
    silent, unnamed = (
        np.bincount(codes[rows], minlength=len(groups)) for rows in (pairs.unanswered, pairs.row_user < 0)
    )
    return (*left_out(groups, silent), *left_out(groups, unnamed, UNNAMED))


def _of_truth(pairs: Pairs, popular: Floats | Reason, top: int) -> Said:
    """What every user's list is worth, and how popular it is."""
    found: Said = {"ndcg": PerUser(lists.ndcg(pairs, top), (0.0, 1.0))}
    if (pairs.gain < 0).any():
        found["ndcg"] = Reason(code="negative_gains")
    if isinstance(popular, Reason):
        found["average_popularity"] = found["popularity_lift"] = popular
    else:
        listed = lists.mean_popularity(pairs, popular, pairs.recommended(top))
        profile = lists.mean_popularity(pairs, popular, pairs.relevant)
        found["average_popularity"] = PerUser(listed, (0.0, None))
        found["popularity_lift"] = PerUser(listed, (-1.0, None), base=profile)
    if not pairs.known.any():
        found["ndcg"] = found["popularity_lift"] = Reason(code="needs_labels")
    return found


def _of_categories(
    records: Records,
    pairs: Pairs,
    column: tuple[str, str],
    model: Model,
    size: tuple[int, int],
    rng: np.random.Generator,
    found: Said,
) -> Bubble | None:
    """Add what needs the categories of items to what was found, and give the simulation's course."""
    names = ("calibration_divergence", "intra_list_diversity", "filter_bubble_drift", "homogenisation_drift")
    if not column[0]:
        found |= dict.fromkeys(names, Reason(code="needs_columns", params={"options": "category"}))
        return None
    try:
        categories, categories_named = categories_of(records, pairs, *column)
    except NotAssessed as why:
        found |= dict.fromkeys(names, why.reason)
        return None
    if len(categories_named) < 2:
        found |= dict.fromkeys(names, Reason(code="no_variation"))
        return None
    divergence = PerUser(lists.calibration_divergence(pairs, categories, model.top), DIVERGENCE)
    found["calibration_divergence"] = divergence if pairs.known.any() else Reason(code="needs_labels")
    found["intra_list_diversity"] = PerUser(lists.intra_list_diversity(pairs, categories, model.top), (0.0, 1.0))
    bubble = bubble_of(pairs, categories, model, *size, rng)
    found |= {"filter_bubble_drift": bubble.narrowing, "homogenisation_drift": bubble.homogenising}
    return bubble


def _facts(records: Records, pairs: Pairs, top: int) -> dict[str, Scalar]:
    """What the lists are made of."""
    listed = pairs.recommended(top)
    candidates = pairs.per_user(np.isfinite(pairs.score))
    return {
        "Users": int((pairs.per_user(listed) > 0).sum()),
        "Items in the catalogue": pairs.items,
        "Longest list": top,
        "Users whose list holds all their items": int(((candidates > 0) & (candidates <= top)).sum()),
        "Rows without a user or an item": int((pairs.row_user < 0).sum()),
        "Rows that repeat a pair": pairs.repeated,
        "Pairs without a score, never recommended": int((~np.isfinite(pairs.score)).sum()),
        "Pairs without a label, counted as not relevant": int((~pairs.known).sum()) if records.layout.label else None,
    }


def _of_catalogue(
    pairs: Pairs, top: int, level: float, least: int, facts: Mapping[str, Scalar]
) -> Iterator[Measurement]:
    """Which items are shown, and how often."""
    for metric, of in (("catalogue_coverage", lists.coverage), ("gini", lists.gini)):
        details = Details(facts=dict(facts)) if metric == "catalogue_coverage" else None
        yield _spread(metric, of(pairs, top, level), pairs, top, level, least, details)


def _spread(
    metric: str,
    found: lists.Spread,
    pairs: Pairs,
    top: int,
    level: float,
    least: int,
    details: Details | None,
    **place: Any,
) -> Measurement:
    n = int(((pairs.per_user(pairs.recommended(top)) > 0) & (pairs.weight > 0)).sum())
    if n < least:
        reason = Reason(code="too_few", params={"needed": least, "found": n, "what": "users"})
        return Measurement(metric=metric, n=n, status="not_estimable", reason=reason, **place)
    interval = Interval(low=found.low, high=found.high, level=level, method=JACKKNIFE)
    return Measurement(metric=metric, value=found.value, interval=interval, n=n, details=details, **place)


def _of_everybody(pairs: Pairs, found: Said, bubble: Bubble | None, level: float, least: int) -> Iterator[Measurement]:
    """Means over all users."""
    everybody = np.ones(pairs.users, dtype=bool)
    for metric, values in found.items():
        if isinstance(values, Reason):
            yield Measurement(metric=metric, n=0, status="not_estimable", reason=values)
        else:
            details = bubble.details(metric, pairs.weight, level) if bubble else None
            yield said(metric, averaged(values, pairs.weight, everybody), level=level, least=least, details=details)


def _of_attribute(
    records: Records,
    attribute: str,
    pairs: Pairs,
    found: Said,
    bubble: Bubble | None,
    top: int,
    rng: np.random.Generator,
    level: float,
    least: int,
) -> Iterator[Measurement]:
    """Compare groups of users, or say what groups of items get."""
    try:
        codes, groups = groups_of(records, attribute)
    except NotAssessed as why:
        yield from _uncompared(attribute, why.reason)
        return
    rows = _left_out(pairs, codes, groups)
    of_user = constant_within(codes, pairs.row_user, pairs.users)
    of_item = constant_within(codes, pairs.row_item, pairs.items) if of_user is None else None
    if of_user is not None:
        grouping = Grouping(attribute, groups, of_user)
        yield from beside(_of_users(grouping, pairs, found, bubble, rng, level, least), rows)
    elif of_item is not None:
        for i, group in enumerate(groups):
            yield from beside(_of_items(attribute, group, of_item == i, pairs, top, level, least), rows)
    else:
        yield from _uncompared(attribute, Reason(code="not_of_user_or_item", params={"attribute": attribute}))


def _uncompared(attribute: str, reason: Reason) -> Iterator[Measurement]:
    for metric in COMPARED:
        yield Measurement(
            metric=f"{metric}_difference", attribute=attribute, n=0, status="not_estimable", reason=reason
        )


def _of_users(
    grouping: Grouping,
    pairs: Pairs,
    found: Said,
    bubble: Bubble | None,
    rng: np.random.Generator,
    level: float,
    least: int,
) -> Iterator[Measurement]:
    attribute = grouping.attribute
    for metric in COMPARED:
        values, difference = found[metric], f"{metric}_difference"
        if isinstance(values, Reason):
            yield Measurement(metric=difference, attribute=attribute, n=0, status="not_estimable", reason=values)
            continue
        means = grouping.means(values, pairs.weight)
        for of_group in by_group(metric, attribute, means, level=level, least=least):
            drawn = metric == "filter_bubble_drift"
            yield bubble.beside(of_group, grouping, pairs.weight, level) if bubble and drawn else of_group
        yield between_groups(difference, attribute, means, rng, level=level, least=least)


def _of_items(
    attribute: str, group: str, members: NDArray[np.bool_], pairs: Pairs, top: int, level: float, least: int
) -> Iterator[Measurement]:
    """What one group of items gets of the places on lists."""
    if not members.any():
        return
    place = {"attribute": attribute, "group": group}
    facts: dict[str, Scalar] = {"Items": int(members.sum()), "Share of the catalogue": float(members.mean())}
    share = averaged(
        PerUser(lists.listed_share(pairs, members, top), (0.0, 1.0)), pairs.weight, np.ones(pairs.users, dtype=bool)
    )
    yield said("exposure_share", share, level=level, least=least, details=Details(facts=facts), **place)
    covered = lists.coverage(pairs, top, level, members)
    yield _spread("catalogue_coverage", covered, pairs, top, level, least, None, **place)
