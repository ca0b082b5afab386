"""A check is registered by where its file is; what it asks for and what it may say are held against it."""

import inspect
import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fairwitness.audit import Metric, NotAssessed, UserError, artifacts, registry
from fairwitness.audit.options import checked_options, needs_of, options_of
from fairwitness.audit.subject import Subject

ROOT = Path(__file__).parents[2]


def module_of(measure: Any) -> ModuleType:
    module = ModuleType("plugin_check", "A check of another package.")
    module.measure = measure  # type: ignore[attr-defined]
    module.METRICS = {"gap": Metric("Gap")}  # type: ignore[attr-defined]
    return module


def other(contingency: Any, *, level: float = 0.95) -> None:
    """Measure nothing."""


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ModuleType]]]:
    """Checks of other packages, as entry points give them."""
    there: list[tuple[str, ModuleType]] = []

    def entries(*, group: str) -> list[Any]:
        if group != registry.CHECKS:
            return []
        return [
            SimpleNamespace(name=name, dist=None, value="x", load=lambda module=module: module)
            for name, module in there
        ]

    monkeypatch.setattr(registry, "entry_points", entries)
    registry.checks.cache_clear()
    yield there
    registry.checks.cache_clear()


@pytest.fixture
def all_checks() -> dict[str, registry.Check]:
    return registry.checks()


class TestPlaces:
    def test_every_file_of_a_concern_is_a_check(self, all_checks: dict[str, registry.Check]) -> None:
        files = {f"{p.parent.name}.{p.stem}" for p in (ROOT / "checks").glob("*/*.py") if not p.name.startswith("_")}
        assert set(all_checks) == files

    def test_file_whose_name_begins_with_an_underscore_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        concern = tmp_path / "made_up_checks" / "fairness"
        concern.mkdir(parents=True)
        for name in ("_shared.py", "__init__.py"):
            (concern / name).write_text("raise_if_measured = 1\n")
        (concern.parent / "__init__.py").touch()
        (concern / "gap.py").write_text(
            '"""Gap."""\nfrom fairwitness.audit import Metric\nMETRICS = {"gap": Metric("Gap")}\n'
            "def measure(contingency):\n    yield\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(registry, "CHECKS", "made_up_checks")
        registry.checks.cache_clear()
        try:
            assert set(registry.checks()) == {"fairness.gap"}
        finally:
            registry.checks.cache_clear()
            for name in [n for n in sys.modules if n.startswith("made_up_checks")]:
                del sys.modules[name]

    def test_check_of_another_package_is_found(self, plugins: list[Any]) -> None:
        plugins.append(("fairness.other", module_of(other)))
        assert registry.checks()["fairness.other"].needs == ("contingency",)

    def test_two_checks_of_one_id_are_refused(self, plugins: list[Any]) -> None:
        plugins.append(("fairness.group", module_of(other)))
        with pytest.raises(UserError, match=r"two installed checks are called 'fairness\.group'"):
            registry.checks()

    def test_check_that_asks_for_an_unknown_artifact_is_refused(self, plugins: list[Any]) -> None:
        def wants(contingencies: Any) -> None:
            """Measure nothing."""

        plugins.append(("fairness.other", module_of(wants)))
        with pytest.raises(UserError, match="'contingencies'; did you mean 'contingency'"):
            registry.checks()


class TestEveryCheck:
    def test_parameters_are_annotated_with_what_they_are_given(self, all_checks: dict[str, registry.Check]) -> None:
        tallies: dict[str, Any] = {**artifacts.TALLIES, **{f"train_{k}": v for k, v in artifacts.TALLIES.items()}}
        given: dict[str, Any] = {**tallies, "rng": np.random.Generator, "subject": Subject}
        for name, provider in artifacts.providers().items():
            given[name] = inspect.signature(provider, eval_str=True).return_annotation
        for check in all_checks.values():
            parameters = inspect.signature(check.measure, eval_str=True).parameters
            for need in check.needs:
                if need in given:
                    found = parameters[need].annotation
                    accepted = (
                        {given[need], given[need] | NotAssessed} if isinstance(given[need], type) else {given[need]}
                    )
                    assert found in accepted, f"{check.id}({need}: {found}) is given {given[need]}"

    def test_options_have_defaults_and_are_annotated(self, all_checks: dict[str, registry.Check]) -> None:
        for check in all_checks.values():
            assert (
                checked_options(check.measure, {}, where=check.id).keys()
                == options_of(check.measure).model_fields.keys()
            )
            for parameter in inspect.signature(check.measure).parameters.values():
                assert parameter.annotation is not parameter.empty, f"{check.id}: {parameter.name}"

    def test_manual_page_has_every_heading(self, all_checks: dict[str, registry.Check]) -> None:
        for check in all_checks.values():
            about = check.about
            assert all([about.title, about.measures, about.matters, about.limits, about.references]), check.id

    def test_concern_has_an_introduction(self, all_checks: dict[str, registry.Check]) -> None:
        for name in {check.concern for check in all_checks.values()}:
            assert registry.concern(name).summary

    def test_metrics_are_named_in_lower_case_and_ranges_rise(self, all_checks: dict[str, registry.Check]) -> None:
        for check in all_checks.values():
            assert check.metrics
            for name, metric in check.metrics.items():
                assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
                low, high = metric.range
                assert low is None or high is None or low < high
                assert metric.title[0].isupper()

    def test_torch_is_not_imported_when_checks_are_listed(self) -> None:
        import subprocess

        code = "import sys; from fairwitness.audit.registry import checks; checks(); sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestSelected:
    def test_none_is_all(self, all_checks: dict[str, registry.Check]) -> None:
        assert registry.selected(None, where="x") == all_checks

    def test_by_concern_and_by_id_once_each(self) -> None:
        found = registry.selected(["performance", "performance.regression", "fairness.group"], where="x")
        assert list(found) == sorted(found)
        assert {"fairness.group", "performance.classification", "performance.regression"} <= set(found)

    def test_metric_belongs_to_its_check(self) -> None:
        assert registry.check_of_metric("performance.classification.f1", where="x").id == "performance.classification"

    @pytest.mark.parametrize("metric", ["f1", "performance.classification", "performance.classification.f2", ""])
    def test_unknown_metric_is_refused(self, metric: str) -> None:
        with pytest.raises(UserError, match="x: no metric"):
            registry.check_of_metric(metric, where="x")


def test_adapters_are_the_files_of_their_folder() -> None:
    files = {p.stem for p in (ROOT / "audit" / "models").glob("*.py") if not p.stem.startswith("_")}
    assert set(registry.adapters()) == files
    assert {"sklearn", "python", "logged"} <= files


def test_entry_point_gives_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("house", "json", registry.ADAPTERS)
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [entry] if group == registry.ADAPTERS else [])
    import json

    assert registry.adapters()["house"]() is json


def test_needs_are_the_positional_parameters() -> None:
    assert needs_of(other) == ("contingency",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"levle": 0.9}, "x.levle: unknown key; did you mean 'level'?"),
        ({"level": "high"}, "x.level: expected a valid number, found 'high'"),
        ({"level": float("inf")}, "x.level: expected a finite number, found inf"),
    ],
)
def test_option_that_does_not_fit_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        checked_options(other, given, where="x")
    assert str(refused.value) == said


def test_option_without_a_default_is_required() -> None:
    def wants(*, path: str) -> None:
        """Do nothing."""

    with pytest.raises(UserError, match=r"^x\.path: is required"):
        checked_options(wants, {}, where="x")
