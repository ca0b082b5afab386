"""The formats a report can have: one module each, with the name of its file and `render(evidence, locale)`.

Other packages add formats by the entry-point group `fairwitness.reports`.
"""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import PurePath
from typing import Protocol, cast

from fairwitness.audit.errors import UserError, nearest
from fairwitness.audit.evidence import Evidence

OWN = {"html": "html", "csv": "csv", "annex-csv": "annex"}  # module of each format
GROUP = "fairwitness.reports"
TAKEN = ("evidence.json", "manifest.json", "report.html", "measurements.csv", "annex.csv")


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
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if both := sorted(set(OWN) & set(others)):
        raise UserError(f"an installed package adds a report format {both[0]!r}, which is there already; uninstall it")
    if name in OWN:
        return cast(Exporter, import_module(f"fairwitness.reports.{OWN[name]}"))
    if name not in others:
        raise UserError(f"{where}: no report format {name!r}{nearest(name, [*OWN, *others])}")
    module = cast(Exporter, others[name].load())
    if PurePath(module.FILE).name != module.FILE or module.FILE in TAKEN:
        raise UserError(f"{where}: the format {name!r} would write {module.FILE!r}; expected a plain name of its own")
    return module


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
