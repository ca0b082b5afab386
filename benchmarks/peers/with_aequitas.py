"""Aequitas: every metric of a group over that of the reference group."""

import pandas as pd
from aequitas.bias import Bias  # type: ignore[import-not-found]
from aequitas.group import Group  # type: ignore[import-not-found]

TWO_GROUPS = False
NAMES = ("ppr", "pprev", "tpr", "fpr", "fnr", "tnr", "precision", "fdr", "npv", "for")


def values(rows: pd.DataFrame, reference: str) -> dict[str, float]:
    """The disparity of each name furthest from 1 on the low side; one group is compared where there are two."""
    frame = pd.DataFrame({"score": rows["yhat"], "label_value": rows["y"], "group": rows["group"]})
    table, _ = Group().get_crosstabs(frame, attr_cols=["group"])
    found = Bias().get_disparity_predefined_groups(
        table, original_df=frame, ref_groups_dict={"group": reference}, check_significance=False
    )
    others = found[found["attribute_value"] != reference]
    return {f"{name}_disparity": others[f"{name}_disparity"].min() for name in NAMES}
