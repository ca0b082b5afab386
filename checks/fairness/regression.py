"""Fairness of a regression: are predictions, and their errors, the same for every group?

What it measures: for every group of every sensitive attribute, and of their intersections, the mean prediction, the
mean error (prediction less truth: above zero the model predicts too much), the mean absolute error, the root mean
squared error and the share of the target's variance that is explained; and for every attribute how far the groups are
apart in each. Beside these stand the measures of lending practice: the largest difference of two mean predictions, and
of two mean errors, in standard deviations of all rows; the smallest over the largest share of a group that is predicted
above an overall quantile (the median, the upper fifth, the upper tenth); and the distance between whole distributions
of predictions, as Kolmogorov and Smirnov's largest and Wasserstein's mean distance.

Means have Student intervals; the errors' sizes and the explained variance have them on the log scale. A gap or ratio
has the interval spanned by simultaneous intervals of all pairs of groups, so that it reaches "no difference" when no
pair differs. In simulations of normal and Laplace errors, two to five groups of 15 to 400 rows, these cover .93 to .98.

Why it matters: a predicted salary, price, risk or grade decides like a label does. A model can be as precise for all
and still put one group lower, or be right on average for all and worthless for one of them.

What it cannot show: unequal predictions can mirror unequal circumstances, and a measured truth may itself be biased.
The quantile of all predictions is taken as fixed, which makes the interval of its ratio a little too wide.
A group with fewer rows than skewed or heavy-tailed values need for their own variance (Cochran's 25 times the squared
skewness for means; ten times the kurtosis less one for sizes of errors and explained variance) is lent that of all
groups. With one large error in fifty, or lognormal ones, intervals then exclude equality in .00 to .05 of samples of
equal groups, instead of up to .89; of explained variance, where truth and errors are both lognormal, still in .13. If
such a group's errors are of another kind than everybody else's, its intervals are too wide, or ignore rare errors that
nobody has shown. Half the errors of others are then found in 40 Laplace rows in .46 instead of .86 of samples (root
mean squared error), while with normal errors little is lost from 20 rows on.

References:

- Agarwal, Dudík & Wu (2019), Fair regression: quantitative definitions and reduction-based algorithms, ICML.
  arXiv:1905.12843
- Welch (1938), The significance of the difference between two means when the population variances are unequal,
  Biometrika 29:350-362
- Games & Howell (1976), Pairwise multiple comparison procedures with unequal n's and/or variances, Journal of
  Educational Statistics 1:113-125
- Hothorn, Bretz & Westfall (2008), Simultaneous inference in general parametric models, Biometrical Journal 50:346-363
- Cochran (1977), Sampling Techniques, 3rd edition, section 2.15: rows that a skewed mean needs
- van der Vaart (1998), Asymptotic Statistics, chapters 3 and 20: the delta method and influence functions
"""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from fairwitness.audit.comparison import left_out
from fairwitness.audit.evidence import Measurement, Metric, NotAssessed, Reason
from fairwitness.audit.tallies import GroupScores, Moments
from fairwitness.audit.tallies.moments import MomentsTable
from fairwitness.checks.fairness._left_out import beside
from fairwitness.checks.fairness._regression_distributions import DISTANCES, above_quantile, distances, quantile_of
from fairwitness.checks.fairness._regression_estimates import estimates, standardized
from fairwitness.checks.fairness._regression_gaps import between, by_group, in_deviations

RATE: dict[str, Any] = {"evidence": ("EV-GROUP-RATE",)}
GAP: dict[str, Any] = {"better": "low", "range": (0.0, None), "ideal": 0.0, "evidence": ("EV-GROUP-GAP",)}
RATIO: dict[str, Any] = {"better": "high", "range": (0.0, 1.0), "ideal": 1.0, "evidence": ("EV-GROUP-GAP",)}

METRICS = {
    "mean_prediction": Metric("Mean prediction", **RATE),
    "mean_error": Metric("Mean error", ideal=0.0, **RATE),
    "mean_absolute_error": Metric("Mean absolute error", better="low", range=(0.0, None), **RATE),
    "root_mean_squared_error": Metric("Root mean squared error", better="low", range=(0.0, None), **RATE),
    "r2": Metric("Explained variance", better="high", range=(None, 1.0), **RATE),
    "mean_prediction_difference": Metric("Mean prediction difference", **GAP),
    "mean_error_difference": Metric("Mean error difference", **GAP),
    "mean_absolute_error_difference": Metric("Mean absolute error difference", **GAP),
    "mean_absolute_error_ratio": Metric("Mean absolute error ratio", **RATIO),
    "root_mean_squared_error_difference": Metric("Root mean squared error difference", **GAP),
    "root_mean_squared_error_ratio": Metric("Root mean squared error ratio", **RATIO),
    "r2_difference": Metric("Explained variance difference", **GAP),
    "standardized_mean_difference": Metric("Standardized mean difference", **GAP),
    "residual_standardized_mean_difference": Metric("Residual standardized mean difference", **GAP),
    "quantile_impact_ratio": Metric("Impact ratio at a quantile", **RATIO),
    "kolmogorov_smirnov": Metric("Kolmogorov-Smirnov distance", **GAP | {"range": (0.0, 1.0)}),
    "wasserstein": Metric("Wasserstein distance", **GAP),
}

_OF_GROUPS = ("mean_prediction", "mean_error", "mean_absolute_error", "root_mean_squared_error", "r2")
_RATIOS = ("mean_absolute_error", "root_mean_squared_error")
_IN_DEVIATIONS = {
    "standardized_mean_difference": ("mean_prediction", "predictions"),
    "residual_standardized_mean_difference": ("mean_error", "errors"),
}
# Variances of squares, and their squares, must be finite.
_LARGEST = 1e30
QUANTILES = ("0.5", "0.8", "0.9")


def measure(
    moments: Moments,
    group_scores: GroupScores,
    rng: np.random.Generator,
    *,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield every estimate of every group, and every gap, ratio and distance of every attribute.

    Args:
        moments: sums of errors and predictions by group.
        group_scores: rows by group and predicted value.
        rng: randomness for simultaneous critical values, draws and permutations.
        level: confidence level of the intervals.
        min_denominator: an estimate from fewer rows than this (and in any case than 4) is not estimable.
    """
    if not moments.names:
        raise NotAssessed("no_attributes")
    how: dict[str, Any] = {"level": level, "least": min_denominator}
    with np.errstate(over="ignore", invalid="ignore"):
        whole = moments.of_attribute()
    squares = (whole.errors["e2"], whole.errors["d2"], whole.predictions["p2"])
    if not all((values < _LARGEST**2).all() for values in squares):
        raise NotAssessed("values_too_large", limit=_LARGEST)
    for attribute, table in moments.by_attribute():
        if isinstance(table, NotAssessed):
            yield from _refused(attribute, table.reason, by_moments=True)
        else:
            said = _of_moments(table, whole, rng, **how)
            yield from beside(said, left_out(table.groups, table.unanswered))
    cuts = {share: quantile_of(group_scores.of_attribute(), float(share)) for share in QUANTILES}
    for attribute, scores in group_scores.by_attribute():
        if isinstance(scores, NotAssessed):
            yield from _refused(attribute, scores.reason, by_moments=False)
            continue
        above = (above_quantile("quantile_impact_ratio", scores, cut, share, rng, **how) for share, cut in cuts.items())
        said = chain(above, distances(scores, rng, **how))
        yield from beside(said, left_out(scores.groups, scores.unanswered))


def _of_moments(
    table: MomentsTable, whole: MomentsTable, rng: np.random.Generator, *, level: float, least: int
) -> Iterator[Measurement]:
    """All that rests on moments of one attribute."""
    found = estimates(table)
    labelled = table.rows.sum() > 0
    for metric in _OF_GROUPS:
        if labelled or metric == "mean_prediction":
            yield from by_group(metric, found[metric], level=level, least=least)
    for metric in _OF_GROUPS:
        yield between(f"{metric}_difference", found[metric], rng, level=level, least=least)
    for metric in _RATIOS:
        yield between(f"{metric}_ratio", found[metric], rng, level=level, least=least, ratio=True)
    for metric, (mean, of) in _IN_DEVIATIONS.items():
        yield in_deviations(metric, found[mean], standardized(table, whole, of=of), rng, level=level, least=least)


def _refused(attribute: str, reason: Reason, *, by_moments: bool) -> Iterator[Measurement]:
    """Say of every gap of an attribute why there is none."""
    if by_moments:
        metrics = [f"{m}_difference" for m in _OF_GROUPS] + [f"{m}_ratio" for m in _RATIOS] + list(_IN_DEVIATIONS)
        places: list[tuple[str, dict[str, str]]] = [(metric, {}) for metric in metrics]
    else:
        places = [("quantile_impact_ratio", {"quantile": share}) for share in QUANTILES]
        places += [(metric, {}) for metric in DISTANCES]
    for metric, where in places:
        yield Measurement(metric=metric, attribute=attribute, n=0, where=where, status="not_estimable", reason=reason)
