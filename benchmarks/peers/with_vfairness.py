"""vfairness: largest minus smallest, as fairlearn has it, with a floor under group sizes."""

import pandas as pd
from vfairness.evaluation.vfairness_metrics import classification  # type: ignore[import-not-found]

TWO_GROUPS = False
NAMES = (
    "demographic_parity_difference", "demographic_parity_ratio", "disparate_impact_ratio",
    "equal_opportunity_difference", "equalized_odds_difference", "predictive_parity_difference",
    "negative_predictive_value_difference", "fpr_parity_difference", "fnr_parity_difference",
    "accuracy_parity_difference",
)  # fmt: skip


def values(rows: pd.DataFrame, _reference: str) -> dict[str, float]:
    """With the floor at one row, so that the same groups are compared; the reference group plays no part."""
    given = [rows[name].to_numpy() for name in ("y", "yhat", "group")]
    found = {name: getattr(classification, name)(*given, min_group_size=1) for name in NAMES}
    strata = rows["stratum"].to_numpy()
    found["conditional_demographic_disparity"] = classification.conditional_demographic_disparity(
        given[1], given[2], strata, min_group_size=1, min_cell=1
    )
    found["auroc_parity"] = classification.auroc_parity(given[0], rows["score"].to_numpy(), given[2], min_group_size=1)
    return found
