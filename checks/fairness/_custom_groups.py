"""Groups that a custom metric is asked about: all that the data have, whether or not their rows can be used."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.comparison import NO_ANSWER
from fairwitness.audit.evidence import Excluded, NotAssessed, Reason
from fairwitness.audit.tallies import Contingency, Records
from fairwitness.checks.fairness._custom_draws import Answers

FEWEST = 2  # rows that anything can be estimated from


@dataclass(frozen=True)
class Group:
    """A group, or all rows.

    Attributes:
        name: of the group.
        rows: places of its rows among those that can be used.
        too_few: why there are not enough of them; None where there are.
        unanswered: its rows that the model gave no answer for, as a measurement lists them.
    """

    name: str
    rows: NDArray[np.int64]
    too_few: Reason | None
    unanswered: tuple[Excluded, ...]


@dataclass(frozen=True)
class Grouping:
    """An attribute's groups, in natural order; and the number of the group of every row that can be used."""

    attribute: str
    groups: tuple[Group, ...]
    number: NDArray[np.int64]


def group_of(name: str, rows: Answers, kept: NDArray[np.int64], unanswered: int, least: int) -> Group:
    """Describe some of the rows that can be used, and count those that lack the answer."""
    excluded = (Excluded(group=name, n=unanswered, reason=NO_ANSWER),) if unanswered else ()
    return Group(name, kept, _too_few(rows.of(kept), max(least, FEWEST)), excluded)


def groupings(
    records: Records,
    contingency: Contingency,
    rows: Answers,
    place: NDArray[np.int64],
    unanswered: NDArray[np.int64],
    least: int,
) -> Iterator[tuple[str, Grouping | NotAssessed]]:
    """Give each attribute with its groups, or with why it has none.

    Args:
        records: all rows.
        contingency: knows the groups of rows that are not held, too.
        rows: those that can be used.
        place: their places in the records.
        unanswered: places of rows that lack the answer.
        least: rows that a group needs.
    """
    for attribute in records.names:
        try:
            code, parts = records.grouped(attribute)
            table = contingency.crosstab(attribute)
        except NotAssessed as why:
            yield attribute, why
            continue
        natural = {part: i for i, part in enumerate(table.parts)}
        number = np.array([natural[part] for part in parts], dtype=np.int64)[code]
        lacking = np.bincount(number[unanswered], minlength=len(natural)).tolist()
        of_used = number[place]
        found = (
            group_of(name, rows, np.flatnonzero(of_used == i), lacking[i], least) for i, name in enumerate(table.groups)
        )
        yield attribute, Grouping(attribute, tuple(found), of_used)


def _too_few(rows: Answers, least: int) -> Reason | None:
    """Why there are not enough rows, by count or by weight; None where there are."""
    count, w = len(rows), rows.weight
    if w is not None and count:
        count = min(count, int(w.sum() ** 2 / (w * w).sum() + 1e-9))
    if count >= least:
        return None
    return Reason(code="too_few", params={"needed": least, "found": count, "what": "labelled rows"})
