"""Attributes that have no groups to speak of: every number says so, and not only those that a check thought of."""

from collections.abc import Mapping

from fairwitness.audit.evidence import CheckResult, Measurement, NotAssessed, Reason
from fairwitness.audit.tallies import Contingency, Tally

ALL_GROUPS = "(all groups)"


def refused_attributes(contingency: Tally | NotAssessed | None) -> dict[str, Reason]:
    """Attributes that have no groups to speak of, and why."""
    if not isinstance(contingency, Contingency):
        return {}
    return {name: table.reason for name, table in contingency.by_attribute() if isinstance(table, NotAssessed)}


def told_of_all(result: CheckResult, refused: Mapping[str, Reason]) -> CheckResult:
    """Say of refused attributes, too, that they are not estimable, in every number that others have.

    A gate that names no attribute is about all of them: one that is merely absent would not keep it from passing.

    Args:
        result: what a check said.
        refused: attributes without groups, and why.
    """
    said = {(m.metric, m.attribute, tuple(sorted(m.where.items()))) for m in result.measurements}
    whole = {(m.metric, tuple(sorted(m.where.items()))) for m in result.measurements if m.attribute and not m.group}
    wanted = dict.fromkeys((metric, where) for metric, attribute, where in sorted(said, key=str) if attribute)
    missing = tuple(
        Measurement(
            metric=metric, attribute=attribute, group=None if (metric, where) in whole else ALL_GROUPS, n=0,
            where=dict(where), status="not_estimable", reason=reason,
        )
        for attribute, reason in refused.items()
        for metric, where in wanted
        if (metric, attribute, where) not in said
    )  # fmt: skip
    return result.model_copy(update={"measurements": (*result.measurements, *missing)}) if missing else result
