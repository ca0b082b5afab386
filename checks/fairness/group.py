"""Group fairness: do groups get the same decisions, and the same errors?

What it measures: for every group of every sensitive attribute, and of their intersections, how often it is selected
and how often the decision is right or wrong in each way; and for every attribute how far the groups are apart, as the
largest minus the smallest rate or the smallest over the largest. Rates have Wilson intervals. A gap or ratio has the
interval spanned by simultaneous intervals of all pairs of groups, so that it reaches "no difference" when no pair
differs, beside a test that all groups are equal and the spread to be expected if they were.

Why it matters: a system that allots loans, jobs or attention less often to one group, or errs against it more often,
harms people for what they are, whatever the cause in the data.

What it cannot show: equal rates can hide unequal reasons, and unequal rates can mirror unequal circumstances. True
labels may themselves be biased. Several of these criteria cannot hold together when base rates differ.

References:

- Hardt, Price & Srebro (2016), Equality of opportunity in supervised learning, NeurIPS. arXiv:1610.02413
- Chouldechova (2017), Fair prediction with disparate impact, Big Data 5:153-163. doi:10.1089/big.2016.0047
- Newcombe (1998), Interval estimation for the difference between independent proportions, Statistics in Medicine
  17:873-890
- Donner & Zou (2012), Closed-form confidence intervals for functions of the normal mean and standard deviation,
  Statistical Methods in Medical Research 21:347-359
- Hothorn, Bretz & Westfall (2008), Simultaneous inference in general parametric models, Biometrical Journal 50:346-363
"""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.comparison import Shares, between_groups, by_group, weighted
from fairwitness.audit.evidence import Measurement, Metric, NotAssessed, Reason
from fairwitness.audit.tallies import Contingency, Crosstab

RATE: dict[str, Any] = {"range": (0.0, 1.0), "evidence": ("EV-GROUP-RATE",)}
GAP: dict[str, Any] = {"better": "low", "range": (0.0, 1.0), "ideal": 0.0, "evidence": ("EV-GROUP-GAP",)}
RATIO: dict[str, Any] = {"better": "high", "range": (0.0, 1.0), "ideal": 1.0, "evidence": ("EV-GROUP-GAP",)}

METRICS = {
    "selection_rate": Metric("Selection rate", **RATE),
    "true_positive_rate": Metric("True positive rate", better="high", **RATE),
    "false_positive_rate": Metric("False positive rate", better="low", **RATE),
    "true_negative_rate": Metric("True negative rate", better="high", **RATE),
    "false_negative_rate": Metric("False negative rate", better="low", **RATE),
    "positive_predictive_value": Metric("Positive predictive value", better="high", **RATE),
    "negative_predictive_value": Metric("Negative predictive value", better="high", **RATE),
    "accuracy": Metric("Accuracy", better="high", **RATE),
    "demographic_parity_difference": Metric("Demographic parity difference", **GAP),
    "demographic_parity_ratio": Metric("Demographic parity ratio", **RATIO),
    "equal_opportunity_difference": Metric("Equal opportunity difference", **GAP),
    "equalized_odds_difference": Metric("Equalized odds difference", **GAP),
    "equalized_odds_ratio": Metric("Equalized odds ratio", **RATIO),
    "predictive_parity_difference": Metric("Predictive parity difference", **GAP),
    "accuracy_difference": Metric("Accuracy difference", **GAP),
}

# A rate is a share of cells of the table (truth: negative, positive, missing) x (decision: negative, positive):
# what its denominator is called, the cells counted, and the cells that count for it.
_CELLS = {
    "selection_rate": ("rows", [[1, 1], [1, 1], [1, 1]], [[0, 1], [0, 1], [0, 1]]),
    "true_positive_rate": ("positives", [[0, 0], [1, 1], [0, 0]], [[0, 0], [0, 1], [0, 0]]),
    "false_positive_rate": ("negatives", [[1, 1], [0, 0], [0, 0]], [[0, 1], [0, 0], [0, 0]]),
    "true_negative_rate": ("negatives", [[1, 1], [0, 0], [0, 0]], [[1, 0], [0, 0], [0, 0]]),
    "false_negative_rate": ("positives", [[0, 0], [1, 1], [0, 0]], [[0, 0], [1, 0], [0, 0]]),
    "positive_predictive_value": ("predicted positives", [[0, 1], [0, 1], [0, 0]], [[0, 0], [0, 1], [0, 0]]),
    "negative_predictive_value": ("predicted negatives", [[1, 0], [1, 0], [0, 0]], [[1, 0], [0, 0], [0, 0]]),
    "accuracy": ("labelled rows", [[1, 1], [1, 1], [0, 0]], [[1, 0], [0, 1], [0, 0]]),
}

# A criterion compares one rate, or two at once (equalized odds), between groups.
_GAPS = {
    "demographic_parity_difference": ("selection_rate",),
    "equal_opportunity_difference": ("true_positive_rate",),
    "equalized_odds_difference": ("true_positive_rate", "false_positive_rate"),
    "predictive_parity_difference": ("positive_predictive_value",),
    "accuracy_difference": ("accuracy",),
}
_RATIOS = {
    "demographic_parity_ratio": ("selection_rate",),
    "equalized_odds_ratio": ("true_positive_rate", "false_positive_rate"),
}


def measure(
    contingency: Contingency,
    rng: np.random.Generator,
    *,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield every rate of every group, and every gap and ratio of every attribute.

    Args:
        contingency: rows by group, true label and decision.
        rng: randomness for simultaneous critical values and permutation tests.
        level: confidence level of the intervals.
        min_denominator: a rate on fewer rows than this is not estimable.
    """
    target = contingency.layout.target
    if target.positive is None:
        raise NotAssessed("task", needed="binary", task=target.task)
    if not contingency.names:
        raise NotAssessed("no_attributes")
    refused = contingency.refusal()
    for attribute, table in contingency.by_attribute():
        if isinstance(table, NotAssessed):
            yield from (_not_estimable(metric, attribute, 0, table.reason) for metric in (*_GAPS, *_RATIOS))
        else:
            yield from _of_attribute(table, target.positive, rng, level, min_denominator, refused)


def _of_attribute(
    whole: Crosstab, positive: str, rng: np.random.Generator, level: float, least: int, refused: Reason | None
) -> Iterator[Measurement]:
    """All that is said of one attribute; `refused` says why nothing can be."""
    attribute, table = str(whole.attribute), whole.binary(positive)
    rates = {metric: _rates(table, metric, whole.undecided) for metric in _CELLS}
    labelled = table.n[:, :2].sum() > 0
    for metric, rate in rates.items():
        if labelled or metric == "selection_rate":
            yield from by_group(metric, rate, level=level, least=least, refused=refused)
    for metric, names in (_GAPS | _RATIOS).items():
        compared = [rates[name] for name in names]
        n = int(max(rate.count.sum() for rate in compared))
        if refused is None and not labelled and names != ("selection_rate",):
            yield _not_estimable(metric, attribute, n, Reason(code="needs_labels"))
        elif refused is not None:
            yield _not_estimable(metric, attribute, n, refused)
        else:
            yield between_groups(metric, compared, rng, level=level, least=least, ratio=metric in _RATIOS)


def _rates(table: Crosstab, metric: str, undecided: NDArray[np.int64]) -> Shares:
    what, counted, successes = _CELLS[metric]
    denominator = np.array(counted, dtype=bool)
    w, w2 = table.w[:, denominator].sum(axis=1), table.w2[:, denominator].sum(axis=1)
    n, x = weighted(w, w2, table.w[:, np.array(successes, dtype=bool)].sum(axis=1))
    return Shares(table.attribute, table.groups, table.n[:, denominator].sum(axis=1), n, x, what, undecided=undecided)


def _not_estimable(metric: str, attribute: str, n: int, reason: Reason) -> Measurement:
    return Measurement(metric=metric, attribute=attribute, n=n, status="not_estimable", reason=reason)
