"""An artifact: rows of each group, which other checks of the house may ask for by its name too."""

from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import Contingency


def headcounts(contingency: Contingency) -> dict[str, dict[str, int]]:
    """Rows by attribute and group; an attribute with too many groups is left out.

    Args:
        contingency: the engine's own tally, filled in its one pass over the data.
    """
    return {
        attribute: dict(zip(table.groups, table.n.sum(axis=(1, 2)).tolist(), strict=True))
        for attribute, table in contingency.by_attribute()
        if not isinstance(table, NotAssessed)
    }
