"""AI Fairness 360: unprivileged minus (or over) privileged, for two groups."""

import pandas as pd
from aif360.datasets import BinaryLabelDataset  # type: ignore[import-not-found]
from aif360.metrics import ClassificationMetric  # type: ignore[import-not-found]
from aif360.sklearn.metrics import conditional_demographic_disparity  # type: ignore[import-not-found]

TWO_GROUPS = True
NAMES = (
    "statistical_parity_difference", "disparate_impact", "equal_opportunity_difference", "average_odds_difference",
    "average_abs_odds_difference", "equalized_odds_difference", "false_positive_rate_difference",
    "false_negative_rate_difference", "false_discovery_rate_difference", "false_omission_rate_difference",
    "average_predictive_value_difference", "error_rate_difference",
)  # fmt: skip


def values(rows: pd.DataFrame, reference: str) -> dict[str, float]:
    """The reference group is the privileged one, everybody else is not."""
    coded = pd.DataFrame({"privileged": (rows["group"] == reference).astype(float), "label": rows["y"].astype(float)})
    truth = BinaryLabelDataset(df=coded, label_names=["label"], protected_attribute_names=["privileged"])
    decided = truth.copy()
    decided.labels = rows[["yhat"]].to_numpy(dtype=float)
    sides = {"unprivileged_groups": [{"privileged": 0.0}], "privileged_groups": [{"privileged": 1.0}]}
    metric = ClassificationMetric(truth, decided, **sides)
    found = {name: getattr(metric, name)() for name in NAMES}
    indexed = pd.Series(rows["y"].to_numpy(), index=pd.Index(rows["group"], name="group"))
    disparity = conditional_demographic_disparity(indexed, rows["yhat"].to_numpy(), prot_attr="group")
    return found | {"conditional_demographic_disparity": disparity}
