"""What checks may ask for, by name: made lazily, once, and handed out read-only."""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.options import needs_of
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Contingency, Moments, Sample, ScoreCounts, Tally

# Filled in the one pass, if a selected check needs them.
TALLIES: dict[str, type[Tally]] = {
    "contingency": Contingency,
    "score_counts": ScoreCounts,
    "moments": Moments,
    "sample": Sample,
}

# Callables that an adapter may give; which ones depends on the model at hand.
CAPABILITIES = ("predict", "scores")

Provider = Callable[..., Any]


def providers() -> dict[str, Provider]:
    """Artifacts made from other artifacts: functions whose parameters name what they need.

    Other packages add theirs by the entry-point group `fairwitness.artifacts`.
    """
    return {entry.name: entry.load() for entry in entry_points(group="fairwitness.artifacts")}


def known() -> set[str]:
    """Names of all artifacts; `rng` is a random generator of the check's own."""
    return {*TALLIES, *CAPABILITIES, *providers(), "subject", "rng"}


def tallies_for(needs: Iterable[str]) -> dict[str, type[Tally]]:
    """The tallies that some artifacts rest on, however indirectly."""
    further = providers()
    found: dict[str, type[Tally]] = {}
    open_needs, seen = list(needs), set[str]()
    while open_needs:
        name = open_needs.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in TALLIES:
            found[name] = TALLIES[name]
        elif name in further:
            open_needs += needs_of(further[name])
    return {name: found[name] for name in TALLIES if name in found}


class Artifacts:
    """Artifacts of one subject by name.

    Args:
        subject: the model and the data.
        tallies: what the pass left behind.
    """

    def __init__(self, subject: Subject, tallies: Mapping[str, Tally | NotAssessed]) -> None:
        self._subject = subject
        self._made: dict[str, Any] = {"subject": subject, **tallies}
        self._providers = providers()

    def __getitem__(self, name: str) -> Any:
        """Give an artifact.

        Raises:
            NotAssessed: this subject does not have it.
        """
        if name not in self._made:
            self._made[name] = self._make(name)
        found = self._made[name]
        if isinstance(found, NotAssessed):
            raise found
        return found

    def _make(self, name: str) -> Any:
        model = self._subject.model
        if name in CAPABILITIES:
            if model is not None and name in model.capabilities:
                return model.capabilities[name]
            return NotAssessed("no_such_capability", capability=name, adapter=model.adapter if model else "none")
        if name not in self._providers:
            return NotAssessed("artifact_missing", artifact=name)
        provider = self._providers[name]
        try:
            return provider(*(self[need] for need in needs_of(provider)))
        except NotAssessed as why:
            return why
