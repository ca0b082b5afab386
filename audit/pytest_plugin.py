"""The pytest plugin: the fixture `fairwitness_audit`, and `pytest audit.toml` with one test item a gate.

It is loaded at every start of pytest: nothing of the engine is imported before it is used.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fairwitness.audit.evidence import Evidence, GateResult
    from fairwitness.audit.plan import Gate, Plan


@pytest.fixture(scope="session")
def fairwitness_audit() -> "Callable[..., Evidence]":
    """Run an audit in a test: takes what `fairwitness.audit.run` takes and gives the evidence."""
    from fairwitness.audit.runner import run

    return run


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "PlanFile | None":
    """Collect a plan, but only one that is named on the command line."""
    if file_path.suffix == ".toml" and parent.session.isinitpath(file_path):
        return PlanFile.from_parent(parent, path=file_path)
    return None


class PlanFile(pytest.File):
    """An `audit.toml`; it is run once, when its first gate is."""

    _plan: "Plan | None" = None
    _evidence: "Evidence | None" = None
    _mistake: str | None = None

    def collect(self) -> "Iterator[GateItem]":
        """Give an item for each gate, the packs' included."""
        from fairwitness.audit.errors import UserError
        from fairwitness.audit.plan import Plan
        from fairwitness.audit.policy import plan_with_packs

        try:
            self._plan = plan_with_packs(Plan.load(self.path))
        except UserError as error:
            raise self.CollectError(str(error)) from None
        if not self._plan.gates:
            raise self.CollectError(f"{self.path}: the plan has no gates, so there is nothing to test")
        for gate in self._plan.gates:
            yield GateItem.from_parent(self, name=gate.name, gate=gate)

    def evidence(self) -> "Evidence":
        """The evidence; a mistake in the plan is reported in one line."""
        from fairwitness.audit.errors import UserError
        from fairwitness.audit.runner import run

        if self._evidence is None and self._mistake is None:
            try:
                self._evidence = run(self._plan)
            except UserError as error:
                self._mistake = str(error)
        if self._evidence is None:
            raise GateError(self._mistake)
        return self._evidence


class GateError(Exception):
    """Something to be reported without a traceback of ours."""


class GateItem(pytest.Item):
    """One gate of a plan."""

    def __init__(self, *, gate: "Gate", **given: Any) -> None:
        super().__init__(**given)
        self.gate = gate

    def setup(self) -> None:
        """Run the audit; a crash of the gate's check is an error, not a failure."""
        assert isinstance(self.parent, PlanFile)  # noqa: S101
        evidence = self.parent.evidence()
        check = next((c for c in evidence.checks if c.id == self.gate.metric.rpartition(".")[0]), None)
        if check is not None and check.status == "error":
            raise GateError(f"check {check.id} crashed:\n{check.traceback}")

    def runtest(self) -> None:
        """Fail, skip or pass as the worst of the gate's verdicts says."""
        assert isinstance(self.parent, PlanFile)  # noqa: S101
        results = [result for result in self.parent.evidence().gates if self._is_mine(result)]
        blocking = [result for result in results if result.blocking]
        if blocking or not results:
            raise GateError("\n".join(_line(result) for result in blocking) or "the gate was not judged")
        if waived := [result for result in results if result.verdict == "waived"]:
            pytest.xfail("; ".join(_line(result) for result in waived))
        warned = [r for r in results if r.verdict == "inconclusive" and r.on_inconclusive == "warn"]
        if warned:
            pytest.skip("; ".join(_line(result) for result in warned))

    def _is_mine(self, result: "GateResult") -> bool:
        return result.gate == self.gate.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the sentence, without our own frames."""
        return str(excinfo.value) if isinstance(excinfo.value, GateError) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Name the item in reports; without a name of its own pytest shows the item's id as it is."""
        return self.path, None, ""


def _line(result: "GateResult") -> str:
    """One verdict in one line."""
    from fairwitness.reports.messages import sentence
    from fairwitness.reports.visible import name

    value = "" if result.value is None else f" {result.value:.4g}"
    if result.interval is not None:
        value += f" [{result.interval.low:.4g}, {result.interval.high:.4g}]"
    low, high = result.bound.min, result.bound.max
    bound = " and ".join([*([] if low is None else [f"min {low:g}"]), *([] if high is None else [f"max {high:g}"])])
    return f"{result.verdict}: {name(result.id, 120, 100)}{value} against {bound or 'required'}: {sentence(result.why)}"
