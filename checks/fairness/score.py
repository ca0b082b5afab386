"""Score fairness: do scores rank, separate and mean the same for every group, before any threshold?

What it measures: for every group the area under its ROC curve, the areas across the group's border (its negatives
against everybody else's positives, and its positives against everybody else's negatives), its mean score among
positives, negatives and all, and how far scores are from the share of positives. For every attribute how far groups are
apart in these, and in whole curves: ABROCA between ROC curves, Kolmogorov-Smirnov's and Wasserstein's distance between
score distributions, the standardized mean difference. Each gap has an interval that reaches 0 when no pair differs, a
test that all groups are equal, and the gap to be expected if they were, since no distance between samples is ever 0.

Why it matters: decisions by group hold for one threshold only, and whoever uses the scores may choose another, rank by
them, or price by them. A score that ranks well on the whole can put one group's harmless below another's harmful.

What it cannot show: whether labels are right in every group. Equal ranking within groups does not make scores
comparable across them, and with unequal base rates a calibrated score cannot balance both classes. The test beside the
areas and ABROCA permutes groups within each class, so it asks whether scores are distributed alike there; the interval
is about the curves alone. A group with fewer rows than 25 times the squared skewness of what is averaged (Cochran) is
lent the variance within all groups, since a few rows of rare scores or labels do not show how rare they are; its test
is then that of the interval.

References:

- Gardner, Brooks & Baker (2019), Evaluating the fairness of predictive student models through slicing analysis, LAK,
  225-234. doi:10.1145/3303772.3303791
- Borkan, Dixon, Sorensen, Thain & Vasserman (2019), Nuanced metrics for measuring unintended bias with real data for
  text classification, WWW Companion. arXiv:1903.04561
- Kleinberg, Mullainathan & Raghavan (2017), Inherent trade-offs in the fair determination of risk scores, ITCS.
  arXiv:1609.05807
- DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837-845
- Cochran (1977), Sampling Techniques, 3rd edition, section 2.15
- Hedges & Olkin (1985), Statistical Methods for Meta-Analysis, Academic Press
- Jiang, Pacchiano, Stepleton, Jiang & Chiappa (2020), Wasserstein fair classification, UAI. arXiv:1907.12059
"""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from fairwitness.audit.comparison import left_out
from fairwitness.audit.evidence import Interval, Measurement, Metric, NotAssessed, Reason
from fairwitness.audit.statistics.intervals import critical_value
from fairwitness.audit.tallies import GroupScores, ScoreTable
from fairwitness.checks.fairness._left_out import beside
from fairwitness.checks.fairness._score_cells import LABELLED, NEGATIVE, POSITIVE, Cells
from fairwitness.checks.fairness._score_distances import of_scores
from fairwitness.checks.fairness._score_means import difference, of_groups, standardized
from fairwitness.checks.fairness._score_roc import Area, of_ranking

AREA: dict[str, Any] = {"better": "high", "range": (0.0, 1.0), "evidence": ("EV-GROUP-RATE",)}
MEAN: dict[str, Any] = {"evidence": ("EV-GROUP-RATE",)}
GAP: dict[str, Any] = {"better": "low", "range": (0.0, None), "ideal": 0.0, "evidence": ("EV-GROUP-GAP",)}
SHARE: dict[str, Any] = GAP | {"range": (0.0, 1.0)}

METRICS = {
    "roc_auc": Metric("Area under the ROC curve", **AREA),
    "subgroup_auc": Metric("Subgroup AUC", **AREA),
    "bpsn_auc": Metric("Background positive, subgroup negative AUC", **AREA),
    "bnsp_auc": Metric("Background negative, subgroup positive AUC", **AREA),
    "mean_score": Metric("Mean score", **MEAN),
    "mean_score_positives": Metric("Mean score of positives", **MEAN),
    "mean_score_negatives": Metric("Mean score of negatives", **MEAN),
    "calibration_gap": Metric(
        "Mean score less share of positives", range=(-1.0, 1.0), ideal=0.0, evidence=("EV-GROUP-RATE",)
    ),
    "roc_auc_difference": Metric("Difference of areas under the ROC curve", **SHARE),
    "abroca": Metric("Absolute between-ROC area (ABROCA)", **SHARE),
    "balance_positive_class_difference": Metric("Balance for the positive class, difference", **GAP),
    "balance_negative_class_difference": Metric("Balance for the negative class, difference", **GAP),
    "mean_score_difference": Metric("Mean score difference", **GAP),
    "calibration_gap_difference": Metric("Calibration in the large, difference", **GAP | {"range": (0.0, 2.0)}),
    "standardized_mean_difference": Metric("Standardized mean difference", **GAP),
    "kolmogorov_smirnov": Metric("Kolmogorov-Smirnov distance of scores", **SHARE),
    "wasserstein": Metric("Wasserstein distance of scores", **GAP),
}

ACROSS = ("bpsn_auc", "bnsp_auc")
LARGEST = 1e60  # the fourth power of a score is still a number
UNLABELLED = ("mean_score_difference", "standardized_mean_difference", "kolmogorov_smirnov", "wasserstein")
OF_LABELS = tuple(name for name in METRICS if name not in UNLABELLED and METRICS[name].better == "low")


def measure(
    group_scores: GroupScores,
    rng: np.random.Generator,
    *,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield what scores do for every group, and how far groups are apart, for every attribute.

    Args:
        group_scores: rows by group, truth and score.
        rng: randomness for permutations, draws and simultaneous critical values.
        level: confidence level of the intervals.
        min_denominator: what rests on fewer rows (or positives, or negatives) than this is not estimable.
    """
    target = group_scores.layout.target
    if target.positive is None:
        raise NotAssessed("task", needed="binary", task=target.task)
    if not group_scores.names:
        raise NotAssessed("no_attributes")
    for attribute, table in group_scores.by_attribute():
        if isinstance(table, ScoreTable) and np.abs(table.scores).max(initial=0.0) > LARGEST:
            low, high = float(table.scores[0]), float(table.scores[-1])
            raise NotAssessed("scores_not_probabilities", low=low, high=high)
        if isinstance(table, NotAssessed):
            gaps = (*OF_LABELS, *UNLABELLED)
            yield from (_not_estimable(metric, attribute, 0, table.reason) for metric in gaps)
        else:
            said = _of_attribute(Cells.of(table), target.positive, rng, level, min_denominator)
            yield from beside(said, left_out(table.groups, table.unanswered), across=ACROSS)


def _of_attribute(
    cells: Cells, positive: str, rng: np.random.Generator, level: float, least: int
) -> Iterator[Measurement]:
    """All that is said of one attribute."""
    labelled, positives = int(cells.rows(LABELLED).sum()), int(cells.rows((POSITIVE,)).sum())
    refused = Reason(code="positive_absent", params={"positive": positive}) if not positives else None
    yield from of_groups(cells, "mean_score", level, least, None)
    if labelled:
        yield from _areas(cells, level, least, refused)
        for metric in ("mean_score_positives", "mean_score_negatives", *(["calibration_gap"] if cells.unit else [])):
            yield from of_groups(cells, metric, level, least, refused)
    if refused is not None:
        reason = refused if labelled else Reason(code="needs_labels")
        yield from (_not_estimable(metric, cells.attribute, labelled, reason) for metric in OF_LABELS)
    else:
        yield from of_ranking(cells, rng, level, least)
        yield difference(cells, "mean_score_positives", rng, level, least)
        yield difference(cells, "mean_score_negatives", rng, level, least)
        if cells.unit:
            yield difference(cells, "calibration_gap", rng, level, least)
        else:
            low, high = (float(cells.scores[i]) for i in (0, -1))
            reason = Reason(code="scores_not_probabilities", params={"low": low, "high": high})
            yield _not_estimable("calibration_gap_difference", cells.attribute, labelled, reason)
    yield difference(cells, "mean_score", rng, level, least)
    yield standardized(cells, rng, level, least)
    yield from of_scores(cells, rng, level, least)


def _areas(cells: Cells, level: float, least: int, refused: Reason | None) -> Iterator[Measurement]:
    """The areas under the ROC curves within each group and across its border."""
    critical = critical_value(level)
    for g, group in enumerate(cells.groups):
        own, rows = cells.counts[g], cells.n[g]
        other_rows, others = cells.others(g)
        within: Area | None = None
        for metric, m, n, counts in (
            ("roc_auc", rows[POSITIVE], rows[NEGATIVE], (own[POSITIVE], own[NEGATIVE])),
            ("subgroup_auc", rows[POSITIVE], rows[NEGATIVE], (own[POSITIVE], own[NEGATIVE])),
            ("bpsn_auc", other_rows[POSITIVE], rows[NEGATIVE], (others[POSITIVE], own[NEGATIVE])),
            ("bnsp_auc", rows[POSITIVE], other_rows[NEGATIVE], (own[POSITIVE], others[NEGATIVE])),
        ):
            said: dict[str, Any] = {"metric": metric, "attribute": cells.attribute, "group": group, "n": int(m + n)}
            found = {"positives": (m, counts[0]), "negatives": (n, counts[1])}
            few = {what: int(min(k, c.sum() + 1e-9)) for what, (k, c) in found.items()}
            short = [what for what in few if few[what] < least]
            if refused is not None or short:
                params: dict[str, Any] = {"needed": least, "found": few[short[0]], "what": short[0]} if short else {}
                reason = refused or Reason(code="too_few", params=params)
                yield Measurement(**said, status="not_estimable", reason=reason)
                continue
            value = within if metric == "subgroup_auc" and within is not None else Area.of(*counts)
            within = value
            low, high = value.limits(critical)
            interval = Interval(low=low, high=high, level=level, method="DeLong on the logit, or Newcombe")
            yield Measurement(**said, value=value.value, interval=interval)


def _not_estimable(metric: str, attribute: str, n: int, reason: Reason) -> Measurement:
    return Measurement(metric=metric, attribute=attribute, n=n, status="not_estimable", reason=reason)
