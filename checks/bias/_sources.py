"""Where test sentences come from: a file or folder that the plan names, or the project's own, pinned by SHA-256."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from fairwitness.audit.errors import UserError
from fairwitness.audit.evidence import Scalar

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Source:
    """What a suite was read from.

    Attributes:
        name: of the file or folder; not the whole path, which differs between machines.
        sha256: of the file's bytes; of several files, of the list of their names and digests.
        parts: name and text of each file, sorted by name.
        where: the option that names it, the beginning of messages.
    """

    name: str
    sha256: str
    parts: tuple[tuple[str, str], ...]
    where: str

    def facts(self, variant: str) -> dict[str, Scalar]:
        """What the evidence holds of it, with the exact variant of the score."""
        return {"Source": self.name, "SHA-256 of the source": self.sha256, "Variant": variant}

    def wrong(self, part: str, what: str) -> UserError:
        """The error that one of the files is not as expected."""
        return UserError(f"{self.where}: {part}: {what}")

    def lines(self, part: str, text: str) -> Iterator[dict[str, Any]]:
        """Objects of a file of JSON lines.

        Raises:
            UserError: a line is none.
        """
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                found = self.parsed(part, line, f"line {number}: ")
                if not isinstance(found, dict):
                    raise self.wrong(part, f"line {number}: expected a JSON object")
                yield found

    def parsed(self, part: str, text: str, place: str = "") -> Any:
        """A JSON document.

        Raises:
            UserError: it is none.
        """
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.wrong(part, f"{place}not JSON: {error}") from None


def read(path: str, patterns: tuple[str, ...], *, where: str) -> Source:
    """Read a file, or the files of a folder whose names fit.

    Args:
        path: relative to the current folder.
        patterns: file names that a folder is searched for, such as `*.jsonl`.
        where: the option that names it.

    Raises:
        UserError: there is no such file, the folder has none that fits, or one is not UTF-8.
    """
    place = Path(path)
    try:
        if place.is_dir():
            found = sorted({file for pattern in patterns for file in place.glob(pattern) if file.is_file()})
            if not found:
                raise UserError(f"{where}: the folder {path!r} has no {' or '.join(patterns)}")
        else:
            found = [place]
        contents = [(file.name, file.read_bytes()) for file in found]
    except FileNotFoundError:
        raise UserError(f"{where}: there is no file or folder {path!r} (relative to the current folder)") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: cannot read {path!r}: {error}") from None
    return _pinned(place.resolve().name, contents, where)


def own(language: Language) -> tuple[dict[str, Any], Source]:
    """The project's own word lists and sentences in a language, and where they are from."""
    name = f"{language}.toml"
    content = (files(__package__) / name).read_bytes()
    source = _pinned(f"own sentences ({language})", [(name, content)], "fairwitness")
    return tomllib.loads(source.parts[0][1]), source


def _pinned(name: str, contents: list[tuple[str, bytes]], where: str) -> Source:
    digests = [(part, sha256(content).hexdigest()) for part, content in contents]
    listed = "".join(f"{digest}  {part}\n" for part, digest in digests)
    digest = digests[0][1] if len(digests) == 1 else sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()
    parts = []
    for part, content in contents:
        try:
            parts.append((part, content.decode("utf-8-sig")))
        except UnicodeDecodeError as error:
            raise UserError(f"{where}: {part}: not UTF-8: {error}") from None
    return Source(name, digest, tuple(parts), where)


def text_of(found: dict[str, Any], key: str, source: Source, part: str) -> str:
    """A text of an item.

    Raises:
        UserError: it has none under that key.
    """
    value = found.get(key)
    if not isinstance(value, str):
        raise source.wrong(part, f"an item has no text {key!r}")
    return value
