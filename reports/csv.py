"""Every measurement as one row of comma-separated values, for spreadsheets and scripts.

RFC 4180, UTF-8. A name that a spreadsheet would take for a formula gets an apostrophe in front of it, and what cannot
be seen is shown by its code point, as in the report. Numbers are written in full, with a point.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO

from fairwitness.audit.evidence import Evidence, Measurement, Scalar
from fairwitness.reports.messages import Gettext, sentence
from fairwitness.reports.visible import visible

FILE = "measurements.csv"
COLUMNS = (
    "metric", "attribute", "group", "where", "value", "low", "high", "level", "method", "n", "p_value", "status",
    "reason",
)  # fmt: skip

# What begins a formula in a spreadsheet: =1+1, +1+1, -1+1, @SUM(1), behind a tab or a line end too; and wide forms.
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?")


def render(evidence: Evidence, locale: str = "en") -> str:
    """Write the measurements of every check.

    Args:
        evidence: the record of the audit.
        locale: language of the reasons; metrics, groups and the head of the table are the same in all.

    Raises:
        UserError: there is no translation into this language.
    """
    from fairwitness.reports.html import translations, translator

    gettext = translator(translations(locale))
    return written(COLUMNS, (_row(m, gettext) for m in evidence.measurements()))


def _row(m: Measurement, gettext: Gettext) -> Iterator[Scalar]:
    """The cells of a measurement."""
    yield from (m.metric, m.attribute, m.group, paired(m.where), m.value)
    i = m.interval
    yield from (None,) * 4 if i is None else (i.low, i.high, i.level, i.method)
    yield from (m.n, m.p_value, m.status, None if m.reason is None else sentence(m.reason, gettext))


def paired(where: Mapping[str, str]) -> str:
    """Write further dimensions into one cell.

    >>> paired({"rate": "selection", "class": "2"})
    'class=2; rate=selection'
    """
    return "; ".join(f"{key}={value}" for key, value in sorted(where.items()))


def written(columns: Sequence[str], rows: Iterable[Iterable[Scalar]]) -> str:
    r"""Write rows under a head.

    >>> written(["group", "n"], [["=1+1", 2], ['a "b", c', None]])
    'group,n\r\n\'=1+1,2\r\n"a ""b"", c",\r\n'
    """
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def cell(value: Scalar) -> str:
    """Write a cell: nothing for what is not there, numbers as they are, text so that it is no formula.

    >>> [cell(x) for x in (None, True, 3, -0.25, "-1", "-1+cmd|' /C calc'!A0")]
    ['', 'true', '3', '-0.25', '-1', "'-1+cmd|' /C calc'!A0"]
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    # A plain number in text (a group called -1) is no formula, and has to stay what it is.
    if value.startswith(FORMULA) and not NUMBER.fullmatch(value):
        return f"'{visible(value)}"
    return visible(value)
