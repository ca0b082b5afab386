"""Examples in docstrings are true: every module of the framework, by its installed name."""

import doctest
import pkgutil
from importlib import import_module

import pytest

PACKAGES = ("fairwitness.audit", "fairwitness.checks", "fairwitness.reports")


def modules() -> list[str]:
    """Every module but `__main__`, which is a program."""
    found = list(PACKAGES)
    for name in PACKAGES:
        package = import_module(name)
        found += [module.name for module in pkgutil.walk_packages(package.__path__, f"{name}.")]
    return [name for name in found if not name.endswith("__main__")]


def examples(name: str) -> doctest.TestResults:
    """Run a module's examples; skip a module whose extra is not installed."""
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("fairwitness"):
            raise
        pytest.skip(f"{name} needs {error.name}")
    return doctest.testmod(module)


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    assert examples(name).failed == 0


def test_examples_are_found_at_all() -> None:
    assert examples("fairwitness.audit.statistics.intervals").attempted >= 8
    assert {"fairwitness.audit.tallies.cells", "fairwitness.checks.fairness.group", "fairwitness.reports.html"} <= set(
        modules()
    )
