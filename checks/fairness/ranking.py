"""Fairness of a ranking: which exposure do groups get, and is it for what they merit?

What it measures: rows are ranked by the score of the positive label, or by the predicted value of a regression, the
highest first, within the lists that the option `query` tells apart (without it all rows are one list). A position j
has exposure 1 / log2(1 + j). For every group: its mean exposure per item, in units of the mean of each list; its skew,
the natural logarithm of its share in the first k items over its share in all; and its pairwise accuracy, how often a
truly positive item of the group stands above a negative one of the same list. For every attribute: the smallest over
the largest mean exposure, the same per unit of merit (the share of true positives, or the mean truth of a regression),
the smallest and the largest skew, the gap in pairwise accuracy, and NDKL, how far the composition of every beginning of
a list is from that of the whole list, in natural logarithms, earlier beginnings counting more. Items with equal scores
are each given what they get on average over all their orders, never what the order of the data gives them. Every row
counts once: weights are not used, but that rows of weight 0 are left out. So are lists of a single item.

With several lists, these are the sample, and a list is a unit. One list is itself the sample: its items are taken as
drawn from many like them, and the jackknife says what others would have given. In either case no standard error of an
exposure is taken to be smaller than that of a random order. In simulations of 50 to 2,000 items the intervals of two
groups' exposure ratio cover .95 to 1.00, whether or not the groups differ, and .90 where a group of 20 items in 400 is
much favoured. NDKL of one list is exact: it describes this list and no other, tied items as they are mixed on average.
It is hardly ever 0 by chance alone, so what a random order would give stands beside it, and a test. The p-value of the
exposure ratio compares it with random orders, too.

Why it matters: what stands first is seen, clicked and hired. A small difference in scores can move a whole group from
the first page to the third.

What it cannot show: what people really looked at, or whether the truth that merit is measured by is itself biased. Of
a ranking of which only the top was kept, the shares in all are not known.

References:

- Singh & Joachims (2018), Fairness of exposure in rankings, KDD, 2219-2228. arXiv:1802.07281
- Geyik, Ambler & Kenthapadi (2019), Fairness-aware ranking in search and recommendation systems with application to
  LinkedIn talent search, KDD, 2221-2231. arXiv:1905.01989
- Beutel et al. (2019), Fairness in recommendation ranking through pairwise comparisons, KDD, 2212-2220.
  arXiv:1903.00780
- Zehlike et al. (2017), FA*IR: a fair top-k ranking algorithm, CIKM, 1569-1578. arXiv:1706.06368
- Efron & Stein (1981), The jackknife estimate of variance, Annals of Statistics 9:586-596
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.columns import MISSING
from fairwitness.audit.evidence import Column, Measurement, Metric, NotAssessed
from fairwitness.audit.tallies import Records
from fairwitness.checks.fairness._left_out import beside
from fairwitness.checks.fairness._ranking_groups import Ranking, numbered, ranking_of
from fairwitness.checks.fairness._ranking_lists import ranked
from fairwitness.checks.fairness._ranking_said import exposure_by_group, exposure_ratio, in_order, of_pairs, of_top

RATE: dict[str, Any] = {"evidence": ("EV-GROUP-RATE",)}
GAP: dict[str, Any] = {"better": "low", "ideal": 0.0, "evidence": ("EV-GROUP-GAP",)}
RATIO: dict[str, Any] = {"better": "high", "range": (0.0, 1.0), "ideal": 1.0, "evidence": ("EV-GROUP-GAP",)}

METRICS = {
    "exposure": Metric("Relative exposure", range=(0.0, None), ideal=1.0, **RATE),
    "exposure_ratio": Metric("Exposure ratio", **RATIO),
    "exposure_merit_ratio": Metric("Ratio of exposure to merit", **RATIO),
    "ndkl": Metric("Divergence of the top from the whole (NDKL)", range=(0.0, None), **GAP),
    "skew": Metric("Skew in the top", ideal=0.0, **RATE),
    "min_skew": Metric("Smallest skew in the top", better="high", ideal=0.0, evidence=("EV-GROUP-GAP",)),
    "max_skew": Metric("Largest skew in the top", **GAP),
    "pairwise_accuracy": Metric("Pairwise accuracy", better="high", range=(0.0, 1.0), **RATE),
    "pairwise_accuracy_difference": Metric("Pairwise accuracy difference", range=(0.0, 1.0), **GAP),
}


def measure(
    records: Records,
    rng: np.random.Generator,
    *,
    query: Annotated[str, Column()] = "",
    top: tuple[Annotated[int, Field(ge=1)], ...] = (10, 100),
    merit: Literal["label", "none"] = "label",
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield what a ranking gives every group, and how far the groups of every attribute are apart.

    Args:
        records: all rows.
        rng: randomness for simultaneous critical values and permutation tests.
        query: column that tells the lists apart; rows without a value in it are left out. Empty: all rows are one list.
        top: sizes k of the top that the skew is measured in.
        merit: what exposure is compared with: the true label (or value), or nothing.
        level: confidence level of the intervals.
        min_denominator: groups of fewer items (or positives, or places in the top) are not estimable.
    """
    layout = records.layout
    if layout.target.task == "multiclass":
        raise NotAssessed("multiclass")
    if not records.names:
        raise NotAssessed("no_attributes")
    if not records.seen:
        raise NotAssessed("no_rows")
    regression = layout.target.task == "regression"
    score = _score(records, regression=regression)
    if not records.complete:
        raise NotAssessed("rows_not_held", held=len(score), rows=records.seen)
    list_of = _queries(records, query) if query else np.zeros(len(score), dtype=np.int64)
    counted = np.ones(len(score), dtype=bool) if records.weights is None else records.weights > 0
    lists = ranked(np.where(counted, list_of, -1), score)
    if not lists.rows.size:
        alone = (counted & (list_of >= 0) & np.isfinite(score)).any()
        raise NotAssessed("single_items" if alone else "no_rows")
    truth = _merit(records, regression=regression) if merit == "label" else None
    for attribute in records.names:
        try:
            names = records.groups(attribute)
        except NotAssessed as why:
            for metric in ("exposure_ratio", "ndkl"):
                yield Measurement(metric=metric, attribute=attribute, n=0, status="not_estimable", reason=why.reason)
            continue
        left_out = {"unanswered": counted & ~np.isfinite(score), "unlisted": counted & (list_of < 0)}
        ranking = ranking_of(attribute, names, lists, truth, **left_out)
        labels = truth is not None and not regression
        said = _of_attribute(ranking, rng, top, level, min_denominator, labels=labels)
        yield from beside(said, ranking.left_out)


def _of_attribute(
    ranking: Ranking, rng: np.random.Generator, top: tuple[int, ...], level: float, least: int, *, labels: bool
) -> Iterator[Measurement]:
    """All that is said of one attribute."""
    how: dict[str, Any] = {"level": level, "least": least}
    yield from exposure_by_group("exposure", ranking, **how)
    yield exposure_ratio("exposure_ratio", ranking, rng, per_merit=False, **how)
    if ranking.merit is not None:
        yield exposure_ratio("exposure_merit_ratio", ranking, rng, per_merit=True, **how)
    yield in_order("ndkl", ranking, rng, level=level)
    for k in sorted(set(top)):
        yield from of_top(ranking, k, **how)
    if labels:
        yield from of_pairs(ranking, rng, **how)


def _score(records: Records, *, regression: bool) -> NDArray[np.float64]:
    """What rows are ranked by."""
    if not regression:
        return records.score
    if "predicted" not in records.keys.column_names:
        raise NotAssessed("needs_predictions")
    return records.predicted_values


def _queries(records: Records, query: str) -> NDArray[np.int64]:
    """Number of each row's list; -1 for a row that is in none."""
    names, place = numbered(records.text(query))
    return np.where(place == names.index(MISSING), -1, place) if MISSING in names else place


def _merit(records: Records, *, regression: bool) -> NDArray[np.float64] | None:
    """Merit of each row: 1 for the positive label, 0 for the other, or the true value; NaN where missing."""
    if regression:
        if "truth" not in records.keys.column_names:
            return None
        truth = records.truth_values
    else:
        labels = records.labels
        truth = np.where(labels == MISSING, np.nan, (labels == records.layout.target.positive).astype(np.float64))
    return truth if np.isfinite(truth).any() else None
