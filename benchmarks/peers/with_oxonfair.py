"""OxonFair: the mean over all pairs of groups of the absolute difference."""

import pandas as pd
from oxonfair.utils import group_metrics  # type: ignore[import-not-found]

TWO_GROUPS = False
NAMES = (
    "demographic_parity", "disparate_impact", "equal_opportunity", "equalized_odds", "equalized_odds_max",
    "predictive_parity", "predictive_equality", "cond_use_accuracy", "accuracy_parity", "treatment_equality",
)  # fmt: skip


def values(rows: pd.DataFrame, _reference: str) -> dict[str, float]:
    """Each named measure; the reference group plays no part."""
    given = [rows[name].to_numpy() for name in ("y", "yhat", "group")]
    return {name: getattr(group_metrics, name)(*given)[0] for name in NAMES}
