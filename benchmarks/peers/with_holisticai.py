"""holisticai: group a minus (or over) group b, for two groups; a is the one that is not the reference."""

import pandas as pd
from holisticai.bias import metrics  # type: ignore[import-not-found]

TWO_GROUPS = True
OF_DECISIONS = ("statistical_parity", "disparate_impact", "four_fifths")
OF_BOTH = ("equal_opportunity_diff", "false_positive_rate_diff", "average_odds_diff", "accuracy_diff")


def values(rows: pd.DataFrame, reference: str) -> dict[str, float]:
    """Group b is the reference."""
    b = (rows["group"] == reference).to_numpy().astype(int)
    decided, y, score = (rows[name].to_numpy() for name in ("yhat", "y", "score"))
    found = {name: getattr(metrics, name)(1 - b, b, decided) for name in OF_DECISIONS}
    found |= {name: getattr(metrics, name)(1 - b, b, decided, y) for name in OF_BOTH}
    return found | {"abroca": metrics.abroca(1 - b, b, score, y)}
