"""SageMaker Clarify's open library: advantaged minus disadvantaged facet, for two groups."""

import pandas as pd
from smclarify.bias.metrics import posttraining, pretraining  # type: ignore[import-not-found]

TWO_GROUPS = True
BOTH_LABELS = ("DCA", "DCR", "RD", "SD", "DAR", "DRR", "AD", "TE")


def values(rows: pd.DataFrame, reference: str) -> dict[str, float]:
    """The reference group is facet a; facet d, the sensitive one, is the other."""
    sensitive, y, decided = rows["group"] != reference, rows["y"] == 1, rows["yhat"] == 1
    found = {name: getattr(posttraining, name)(rows["group"], sensitive, y, decided) for name in BOTH_LABELS}
    return found | {
        "CI": pretraining.CI(rows["group"], sensitive),
        "DPL": pretraining.DPL(rows["group"], sensitive, y),
        "DPPL": posttraining.DPPL(rows["group"], sensitive, decided),
        "DI": posttraining.DI(rows["group"], sensitive, decided),
        "CDDPL": posttraining.CDDPL(rows["group"], sensitive, decided, rows["stratum"]),
    }
