"""The formats a report can have: one module each, with the name of its file and `render(evidence, locale)`.

Other packages add formats by the entry-point group `fairwitness.reports`.
"""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, cast

from fairwitness.audit.errors import UserError, nearest
from fairwitness.audit.evidence import Evidence

OWN = ("html",)
GROUP = "fairwitness.reports"


class Exporter(Protocol):
    """A module that turns evidence into one file.

    Attributes:
        FILE: name of the file.
    """

    FILE: str

    def render(self, evidence: Evidence, locale: str = "en") -> str:
        """Give the file's text: the same for the same evidence."""
        ...


def exporter(name: str, *, where: str) -> Exporter:
    """Find the module of a format.

    Args:
        name: of the format.
        where: file and key, the beginning of the message.

    Raises:
        UserError: there is no such format.
    """
    if name in OWN:
        return cast(Exporter, import_module(f"fairwitness.reports.{name}"))
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in others:
        raise UserError(f"{where}: no report format {name!r}{nearest(name, [*OWN, *others])}")
    return cast(Exporter, others[name].load())


def known_locale(locale: str, *, where: str) -> None:
    """Make sure that reports can be written in a language, before anything is measured.

    Args:
        locale: of the report.
        where: file and key, the beginning of the message.

    Raises:
        UserError: there is no translation into it.
    """
    from fairwitness.reports.html import translations

    try:
        translations(locale)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
