"""Annexes: the measurements in the tables that a rule or a practice asks for, one an attribute, one row a group.

Which columns a table has comes from the policy pack, by way of the evidence; the numbers are the evidence's own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairwitness.audit.evidence import Annex, AnnexColumn, Evidence, Interval, Measurement, Reason, Scalar
from fairwitness.reports.csv import written
from fairwitness.reports.messages import Gettext, sentence

FILE = "annex.csv"
COLUMNS = ("annex", "table", "category", "column", "value")

Cell = Scalar | Interval


@dataclass(frozen=True)
class AnnexTable:
    """One attribute's table.

    Attributes:
        columns: of this table; a fact that no group has is none.
        rows: the groups, each with a cell for every column; None where there is nothing to show.
        below: a cell for every line below the table that has something to say.
        absent: why numbers of groups are missing, each reason once a group.
    """

    attribute: str
    columns: tuple[AnnexColumn, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    below: tuple[tuple[AnnexColumn, Cell], ...]
    absent: tuple[tuple[str, Reason], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Of each column, whether it holds numbers alone."""
        return tuple(
            not any(isinstance(cells[i], str | bool) for _, cells in self.rows) for i in range(len(self.columns))
        )


@dataclass(frozen=True)
class AnnexView:
    """An annex with its tables."""

    annex: Annex
    tables: tuple[AnnexTable, ...]


def annex_views(evidence: Evidence) -> tuple[AnnexView, ...]:
    """Make the tables of every annex that the evidence has; an attribute without any of the numbers has no table."""
    views = []
    for annex in evidence.annexes:
        found = [m for m in evidence.measurements() if m.metric in annex.metrics and _wanted(m, annex)]
        attributes = dict.fromkeys(m.attribute for m in found if m.attribute is not None)
        tables = (_table(name, annex, [m for m in found if m.attribute == name]) for name in attributes)
        views.append(AnnexView(annex, tuple(table for table in tables if table.rows or table.below)))
    return tuple(views)


def _wanted(m: Measurement, annex: Annex) -> bool:
    return any(_fits(m, column) for column in (*annex.columns, *annex.below))


def _fits(m: Measurement, column: AnnexColumn) -> bool:
    return m.metric == column.metric and column.where.items() <= m.where.items()


def _table(attribute: str, annex: Annex, found: Sequence[Measurement]) -> AnnexTable:
    by_group: dict[str, list[Measurement]] = {}
    for m in found:
        if m.group is not None and any(_fits(m, column) for column in annex.columns):
            by_group.setdefault(m.group, []).append(m)
    overall = [m for m in found if m.group is None]
    cells = [
        (group, [_cell(column, said, overall, group) for column in annex.columns]) for group, said in by_group.items()
    ]
    # Some facts are there for few groups only, and in most tables for none.
    shown = [i for i, c in enumerate(annex.columns) if c.fact is None or any(row[i] is not None for _, row in cells)]
    lacking = [(group, m.reason) for group, said in by_group.items() for m in said if m.reason is not None]
    absent = {(group, reason.model_dump_json()): (group, reason) for group, reason in lacking}
    return AnnexTable(
        attribute,
        tuple(annex.columns[i] for i in shown),
        tuple((group, tuple(row[i] for i in shown)) for group, row in cells),
        tuple((line, cell) for line in annex.below if (cell := _cell(line, overall, overall)) is not None),
        tuple(absent.values()),
    )


def _cell(
    column: AnnexColumn, found: Sequence[Measurement], overall: Sequence[Measurement], group: str | None = None
) -> Cell:
    """What a column shows of the first measurement that it is about."""
    m = next((m for m in (overall if column.show == "row" else found) if _fits(m, column)), None)
    if m is None:
        return None
    if column.show == "row":
        return _in_row(m, group, column.fact or "")
    if column.show == "fact":
        return m.details.facts.get(column.fact or "") if m.details else None
    shown: dict[str, Cell] = {"value": m.value, "interval": m.interval, "n": m.n, "p_value": m.p_value}
    return shown[column.show]


def _in_row(m: Measurement, group: str | None, title: str) -> Scalar:
    """A column of the table beside a number, in the row that begins with the group."""
    table = m.details.table if m.details else None
    if table is None or title not in table.columns:
        return None
    return next((row[table.columns.index(title)] for row in table.rows if row[0] == group), None)


def render(evidence: Evidence, locale: str = "en") -> str:
    """Write the tables in long form: a row for every cell, two for an interval.

    Args:
        evidence: the record of the audit.
        locale: language of titles and reasons; the head of the table is the same in all.

    Raises:
        UserError: there is no translation into this language.
    """
    from fairwitness.reports.html import translations, translator

    gettext = translator(translations(locale))
    return written(COLUMNS, (row for view in annex_views(evidence) for row in _long(view, gettext)))


def _long(view: AnnexView, gettext: Gettext) -> Iterator[tuple[Scalar, ...]]:
    """The rows of an annex: of its head, and of the cells and lines of its tables."""
    title = gettext(view.annex.title)
    yield title, None, None, gettext("Source"), view.annex.source
    if view.annex.note:
        yield title, None, None, gettext("Note"), gettext(view.annex.note)
    for table in view.tables:
        cells = [
            (group, column, cell) for group, row in table.rows for column, cell in zip(table.columns, row, strict=True)
        ]
        for group, column, cell in [*cells, *((None, column, cell) for column, cell in table.below)]:
            for name, value in _parts(gettext(column.title), cell):
                yield title, table.attribute, group, name, value
        for group, reason in table.absent:
            yield title, table.attribute, group, gettext("Left out"), sentence(reason, gettext)


def _parts(title: str, cell: Cell) -> Iterator[tuple[str, Scalar]]:
    """The column and the value of a cell; the two limits of an interval apart."""
    if isinstance(cell, Interval):
        yield f"{title} (low)", cell.low
        yield f"{title} (high)", cell.high
    else:
        yield title, cell
