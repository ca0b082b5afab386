"""Results are written whole or not at all, and the manifest says what their bytes are."""

import json
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from fairwitness.audit import UserError
from fairwitness.audit.outputs import MANIFEST, write, write_one

CONTENTS = {"evidence.json": "{}\n", "report.html": "<p>naïve ☂</p>\n"}


def test_manifest_lists_the_bytes_of_every_file(tmp_path: Path) -> None:
    paths = write(tmp_path / "deep" / "out", CONTENTS)
    assert [p.name for p in paths] == [*CONTENTS, MANIFEST]
    listed = json.loads((tmp_path / "deep" / "out" / MANIFEST).read_text())["files"]
    assert set(listed) == set(CONTENTS)
    for name, said in listed.items():
        content = (tmp_path / "deep" / "out" / name).read_bytes()
        assert said == {"bytes": len(content), "sha256": sha256(content).hexdigest()}
        assert content.decode() == CONTENTS[name]


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    write(tmp_path, CONTENTS)
    write(tmp_path, CONTENTS)
    assert {p.name for p in tmp_path.iterdir()} == {*CONTENTS, MANIFEST}


def test_same_contents_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a", CONTENTS)
    write(tmp_path / "b", dict(reversed(CONTENTS.items())))
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()


def test_old_results_are_replaced(tmp_path: Path) -> None:
    write(tmp_path, {"evidence.json": "old"})
    write(tmp_path, {"evidence.json": "new"})
    assert (tmp_path / "evidence.json").read_text() == "new"


def test_failure_leaves_the_old_files_and_no_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, CONTENTS)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    written = 0

    def full(*_: object) -> None:
        nonlocal written
        written += 1
        if written == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "chmod", full)
    with pytest.raises(UserError, match="No space left on device"):
        write(tmp_path, {name: text + "more" for name, text in CONTENTS.items()})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_folder_that_is_a_file_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / place, CONTENTS)
    with pytest.raises(UserError, match="cannot be written"):
        write_one(tmp_path / "file" / "report.html", "x")
    assert (tmp_path / "file").read_text() == "kept"


def test_file_that_is_a_folder_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_one(tmp_path / "report.html", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_results_with_a_folder_in_the_way_are_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path, CONTENTS)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_files_are_readable_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_one(tmp_path / "report.html", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o640
