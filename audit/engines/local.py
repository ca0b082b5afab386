"""The local engine: one process, one batch in memory."""

from collections.abc import Callable, Mapping
from typing import Any

from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Tally

MERGE_EVERY = 32  # batches: bounds what is held before it is added up


def one_pass(
    subject: Subject, tallies: Mapping[str, type[Tally]], *, read: Callable[[int], None] = lambda _: None
) -> dict[str, Tally | NotAssessed]:
    """Read the data once and fill every tally.

    Args:
        subject: the model and the data.
        tallies: types to fill, by name.
        read: told the number of rows after each batch.

    Returns:
        Each tally, or why there is none of it on this subject.
    """
    parts: dict[str, list[Tally]] = {name: [] for name in tallies}
    refused: dict[str, NotAssessed] = {}
    for batch in subject.batches():
        for name, kind in tallies.items():
            if name in refused:
                continue
            try:
                parts[name].append(kind.of(batch))
            except NotAssessed as why:
                refused[name] = why
        if batch.index % MERGE_EVERY == MERGE_EVERY - 1:
            parts = {name: [_joined(tallies[name], some)] if some else [] for name, some in parts.items()}
        read(batch.rows)
    return {name: refused[name] if name in refused else _joined(tallies[name], parts[name]) for name in tallies}


def _joined(kind: type[Tally], parts: list[Any]) -> Tally:
    return parts[0] if len(parts) == 1 else kind.merge(parts)
