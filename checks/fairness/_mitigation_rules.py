"""Group-dependent thresholds that meet a parity constraint, by fairlearn, evaluated in expectation."""

import warnings
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from fairlearn.postprocessing import ThresholdOptimizer
from numpy.typing import NDArray
from pandas.errors import PerformanceWarning
from sklearn.base import BaseEstimator

Constraint = Literal["demographic_parity", "equalized_odds", "true_positive_rate_parity"]
Objective = Literal["accuracy_score", "balanced_accuracy_score"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LARGEST_SCORE = 1e300  # fairlearn refuses infinite scores, and the sum of two of these is still finite
MOST_THRESHOLDS = 1000


class StoredScore(BaseEstimator):  # type: ignore[misc]
    """An estimator whose answer is its only feature: scores that were computed before."""

    def fit(self, X: Floats, y: Ints) -> Self:  # noqa: ARG002  scikit-learn's signature
        """Do nothing."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def decision_function(self, X: Floats) -> Floats:
        """Give the stored scores, shape (rows,)."""
        return np.asarray(X)[:, 0]


def levels(scores: Floats) -> Floats:
    """Finite scores of at most `MOST_THRESHOLDS` values: each is lowered to the nearest quantile.

    The search for thresholds visits each distinct score of each group; a thousand are as good as a million.

    Args:
        scores: shape (rows,), no NaN.
    """
    finite = np.clip(scores, -LARGEST_SCORE, LARGEST_SCORE)
    edges = np.unique(finite)
    if len(edges) > MOST_THRESHOLDS:
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, MOST_THRESHOLDS), method="lower"))
    return np.asarray(edges[np.searchsorted(edges, finite, side="right") - 1])


def optimized(
    scores: Floats,
    truth: Flags,
    group: Ints,
    constraint: Constraint,
    objective: Objective,
    tolerance: float | None = None,
) -> Mapping[int, Any]:
    """Search thresholds by group that meet a constraint at the best objective.

    Source: Hardt, Price & Srebro (2016), arXiv:1610.02413, as fairlearn's `ThresholdOptimizer` has it.

    Args:
        scores: shape (rows,), finite.
        truth: whether the label is positive, likewise; both occur in every group.
        group: number of the group, likewise.
        constraint: what is to be equal among groups.
        objective: what is maximized.
        tolerance: largest difference allowed; None for none. Not for equalized odds.

    Returns:
        The rule of each group, as fairlearn's `InterpolatedThresholder.interpolation_dict` documents it.
    """
    search = ThresholdOptimizer(
        estimator=StoredScore(),
        constraints=constraint,
        objective=objective,
        prefit=True,
        predict_method="decision_function",
        tol=tolerance,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerformanceWarning)  # of its data frame, which has columns for every group
        search.fit(scores[:, None], truth.astype(np.int64), sensitive_features=group)
    rules: Mapping[int, Any] = search.interpolated_thresholder_.interpolation_dict
    return rules


def chance(rules: Mapping[int, Any], scores: Floats, group: Ints) -> Floats:
    """Chance of each row to be selected by the rule of its group, which may draw lots between two thresholds.

    Args:
        rules: of each group, from `optimized`.
        scores: shape (rows,), finite.
        group: number of the group, likewise.

    Returns:
        Shape (rows,), between 0 and 1.
    """
    found = np.zeros(len(scores))
    for number, rule in rules.items():
        rows = group == number
        selected = rule.p0 * rule.operation0(scores[rows]) + rule.p1 * rule.operation1(scores[rows])
        if "p_ignore" in rule:
            selected = rule.p_ignore * rule.prediction_constant + (1 - rule.p_ignore) * selected
        found[rows] = selected
    return np.asarray(np.clip(found, 0.0, 1.0))
