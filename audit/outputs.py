"""Writing results: all files or none, and a manifest of their digests."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from fairwitness.audit.errors import UserError

MANIFEST = "manifest.json"


def check_writable(folder: Path) -> None:
    """Make sure that a folder can be written to, before hours are spent on what is to go there.

    Raises:
        UserError: something that is no folder is in the way, or it may not be written to.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{folder}: cannot be written to: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot be written to: no permission in {there}")


def write(folder: Path, contents: Mapping[str, str]) -> list[Path]:
    """Write files into a folder, with `manifest.json` beside them; each appears whole or not at all.

    Args:
        folder: made if it is not there.
        contents: text by file name.

    Returns:
        The paths written, the manifest last.

    Raises:
        UserError: the folder cannot be written to.
    """
    encoded = {name: text.encode("utf-8") for name, text in contents.items()}
    listed = {name: {"bytes": len(data), "sha256": sha256(data).hexdigest()} for name, data in sorted(encoded.items())}
    encoded[MANIFEST] = (json.dumps({"files": listed}, indent=1) + "\n").encode()
    staged: list[tuple[Path, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if blocked := next((folder / name for name in encoded if (folder / name).is_dir()), None):
            raise IsADirectoryError(21, f"{blocked.name} is a folder")
        for name, data in encoded.items():
            staged.append((_staged(folder, data), folder / name))
        for temporary, path in staged:
            temporary.replace(path)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written to: {error.strerror or error}") from None
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
    return [path for _, path in staged]


def write_one(path: Path, text: str) -> None:
    """Write one file, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _staged(path.parent, text.encode("utf-8"))
        try:
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


def _staged(folder: Path, data: bytes) -> Path:
    handle, name = tempfile.mkstemp(dir=folder, prefix=".fairwitness-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o644 & ~_umask())
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
