"""Annexes: measurements in the form that a rule or a practice asks for, as policy packs define it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from fairwitness.audit.measurement import Record


class AnnexColumn(Record):
    """What a column of an annex shows: one part of one measurement of each group.

    Attributes:
        title: English, translated by the report.
        metric: full id.
        where: further dimensions of the measurement.
        show: its value, its interval, its n, its p-value, one of the facts beside it; or, of the table beside the
            attribute's number, a column in the row that begins with the group.
        fact: title of the fact, or of that column.
    """

    title: str
    metric: str
    where: dict[str, str] = Field(default_factory=dict)
    show: Literal["value", "interval", "n", "p_value", "fact", "row"] = "value"
    fact: str | None = None

    @model_validator(mode="after")
    def _names_its_fact(self) -> Self:
        if (self.show in ("fact", "row")) != (self.fact is not None):
            raise ValueError(f"the annex column {self.title!r}: show = 'fact' or 'row' and a fact go together")
        return self


class Annex(Record):
    """Measurements in the form that a rule or a practice asks for: one table an attribute, one row a group.

    Attributes:
        title: English, translated by the report; so is the note.
        source: the rule: a legal citation.
        note: what a reader of the tables has to know.
        columns: of the tables, behind the names of the groups.
        below: lines under each table, about the attribute as a whole.
    """

    title: str
    source: str
    note: str = ""
    columns: tuple[AnnexColumn, ...]
    below: tuple[AnnexColumn, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Ids of the metrics shown, each once."""
        return tuple(dict.fromkeys(column.metric for column in (*self.columns, *self.below)))
