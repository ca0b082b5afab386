"""Fairlearn: `MetricFrame` over any metric, and a few gaps and ratios by name."""

from functools import partial

import pandas as pd
from fairlearn import metrics
from sklearn.metrics import accuracy_score, precision_score

TWO_GROUPS = False
NAMED = (
    "demographic_parity_difference", "demographic_parity_ratio", "equal_opportunity_difference",
    "equal_opportunity_ratio", "equalized_odds_difference", "equalized_odds_ratio",
)  # fmt: skip
RATES = {
    "false_positive_rate": metrics.false_positive_rate,
    "precision": precision_score,
    "negative_predictive_value": partial(precision_score, pos_label=0),
    "accuracy": accuracy_score,
}


def values(rows: pd.DataFrame, _reference: str) -> dict[str, float]:
    """Largest minus smallest, smallest over largest; the reference group plays no part."""
    given = {"y_true": rows["y"], "y_pred": rows["yhat"], "sensitive_features": rows["group"]}
    found = {name: getattr(metrics, name)(**given) for name in NAMED}
    found["equalized_odds_difference(agg='mean')"] = metrics.equalized_odds_difference(**given, agg="mean")
    frame = metrics.MetricFrame(metrics=RATES, **given)
    return found | {f"MetricFrame({name}).difference()": value for name, value in frame.difference().items()}
