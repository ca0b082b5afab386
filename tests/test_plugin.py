"""A package of somebody else adds a check, an artifact, an adapter and a report format; uninstalled, it is gone."""

import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path(__file__).parent / "plugin"
METRIC = "acme.presence.smallest_share"

TABLE = "income,debt,sex,city,y\n" + "".join(
    f"{i % 7},{i % 3},{'F' if i % 4 == 0 else 'M'},Springfield,{int(i % 7 > 3)}\n" for i in range(200)
)
PLAN = f"""
[model]
adapter = "scorecard"
points = {{ income = 2.0, debt = -1.0 }}
cut = 5.0
[data]
path = "test.csv"
target = "y"
sensitive = ["sex", "city"]
intersections = false
[checks]
select = ["acme", "performance.classification"]
[checks."acme.presence"]
quorum = 50
[[gates]]
metric = "{METRIC}"
attribute = "sex"
min = 0.15
[[gates]]
metric = "{METRIC}"
attribute = "city"
min = 0.15
[report]
formats = ["html", "committee"]
"""


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Story:
    """Everything that was done with the plugin and without it, and the folder where it happened."""

    folder: Path
    before: dict[str, Told]
    during: dict[str, Told]
    after: dict[str, Told]
    left: set[str]

    @property
    def evidence(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "out" / "evidence.json").read_text())
        return found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("acme")
    # An environment of its own, that sees what is installed here: pip can install into it and uninstall from it.
    venv = folder / "venv"
    _run([sys.executable, "-m", "venv", "--without-pip", str(venv)], folder)
    python = next(path for path in (venv / "bin" / "python", venv / "Scripts" / "python.exe") if path.exists())
    packages = Path(
        _run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).out[:-1]
    )
    here = sysconfig.get_path("purelib")
    (packages / "seen.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    shutil.copytree(PLUGIN, folder / "source")  # a build leaves files beside the source
    (folder / "test.csv").write_text(TABLE)
    (folder / "audit.toml").write_text(PLAN)
    (folder / "plain.toml").write_text(PLAN.replace(', "committee"', ""))
    (folder / "misspelt.toml").write_text(PLAN.replace("quorum", "quorom"))
    (folder / "absent.toml").write_text(PLAN.replace("quorum = 50", "quorum = 1000"))

    def told(*arguments: str) -> Told:
        return _run([str(python), "-m", "fairwitness.audit", *arguments], folder)

    def pip(*arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", *arguments]
        done = _run(command, folder)
        assert done.code == 0, done.err

    there = _files(venv)
    before = {"checks": told("checks")}
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", str(folder / "source"))
    during = {
        "checks": told("checks"),
        "page": told("checks", "acme.presence"),
        "run": told("run", "audit.toml", "-o", "out"),
        "report": told("report", "out/evidence.json", "-f", "committee", "-o", "again.csv"),
        "misspelt": told("run", "misspelt.toml", "-o", "none"),
        "absent": told("run", "absent.toml", "-o", "absent"),
    }
    pip("uninstall", "--yes", "--quiet", "acme-audit")
    after = {
        "checks": told("checks"),
        "run": told("run", "audit.toml", "-o", "none"),
        "select": told("run", "plain.toml", "-o", "none"),
        "report": told("report", "out/evidence.json", "-o", "after.html"),
    }
    return Story(folder, before, during, after, _files(venv) ^ there)


def _run(command: list[str], folder: Path) -> Told:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return Told(done.returncode, done.stdout, done.stderr)


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_it_is_listed_with_its_manual_page(story: Story) -> None:
    assert "acme.presence" not in story.before["checks"].out
    assert "acme.presence\n    Presence: is every group in the data at all?" in story.during["checks"].out
    page = story.during["page"].out
    for part in (
        "Needs: headcounts",
        "quorum = 1",
        f"{METRIC}: Smallest share of rows, high is better",
        "Wilson (1927)",
    ):
        assert part in page


def test_a_plan_selects_it_and_gates_on_it(story: Story) -> None:
    told, evidence = story.during["run"], story.evidence
    assert told.code == 1, told.err
    assert evidence["subject"]["model"]["adapter"] == "scorecard"
    assert evidence["plan"]["model"]["points"] == {"income": 2.0, "debt": -1.0}
    check = next(check for check in evidence["checks"] if check["id"] == "acme.presence")
    assert (check["concern"], check["status"], check["options"]["quorum"]) == ("acme", "ok", 50)
    sex, city = evidence["gates"]
    assert (sex["verdict"], sex["value"], sex["n"]) == ("pass", 0.25, 200)
    assert (city["verdict"], city["why"]["code"]) == ("not_assessed", "acme_alone")
    performance = next(check for check in evidence["checks"] if check["id"] == "performance.classification")
    assert performance["status"] == "ok"


def test_its_format_is_written_and_can_be_made_again(story: Story) -> None:
    written = (story.folder / "out" / "committee.csv").read_text()
    rows = list(csv.DictReader(written.splitlines()))
    assert [row["verdict"] for row in rows] == ["pass", "not_assessed"]
    assert rows[0]["why"] == "The whole interval is within the bound."
    assert story.during["report"].code == 0
    assert (story.folder / "again.csv").read_text() == written
    assert "committee.csv" in json.loads((story.folder / "out" / "manifest.json").read_text())["files"]


def test_its_reasons_are_shown_as_they_are(story: Story) -> None:
    assert "acme_alone (attribute: city)" in (story.folder / "out" / "report.html").read_text()
    assert story.during["absent"].code == 1  # its gates were not measured
    assert "acme_no_quorum (quorum: 1,000, rows: 200)" in story.during["absent"].out
    assert "acme_no_quorum (quorum: 1,000, rows: 200)" in (story.folder / "absent" / "report.html").read_text()


def test_its_options_are_checked_like_all_others(story: Story) -> None:
    told = story.during["misspelt"]
    assert told.code == 2
    assert "acme.presence.quorom: unknown key; did you mean 'quorum'?" in told.err


def test_uninstalling_leaves_nothing(story: Story) -> None:
    assert not story.left
    assert story.after["checks"] == story.before["checks"]
    for command, message in {
        "run": "audit.toml: report.formats: no report format 'committee'",
        "select": "plain.toml: checks.select: no check or concern 'acme'",
    }.items():
        assert story.after[command].code == 2
        assert story.after[command].err.startswith(f"fairwitness: {message}")
        assert "Traceback" not in story.after[command].err
    assert not (story.folder / "none").exists()


def test_evidence_outlives_the_plugin(story: Story) -> None:
    assert story.after["report"].code == 0, story.after["report"].err
    assert (story.folder / "after.html").read_bytes() == (story.folder / "out" / "report.html").read_bytes()
