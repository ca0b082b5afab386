"""Tables cut into batches as the engine cuts them, with logged answers as the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fairwitness.audit import Dataset
from fairwitness.audit.models import Setting, logged
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Batch

Cut = Callable[..., list[Batch]]


@pytest.fixture(scope="session")
def cut() -> Cut:
    """Give the batches of a table with the columns `y`, `yhat` and, if there is one, `score`.

    The function takes the table, `rows` of a batch, `seed`, `further` columns to read, and what `Dataset` takes.
    """

    def batches(
        table: pa.Table, *, rows: int, seed: int = 0, further: tuple[str, ...] = (), **meaning: Any
    ) -> list[Batch]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fairwitness.audit.sources.BATCH_ROWS", rows)
            patch.setattr("fairwitness.audit.subject.BATCH_ROWS", rows)
            dataset = Dataset(table, target="y", **meaning)
            target = dataset.resolve()
            score: Any = {"score": "score"} if "score" in table.column_names and target.task == "binary" else {}
            model = logged.load(Setting(dataset, target, Path(), "model"), prediction="yhat", **score)
            return list(Subject(dataset, target, model, seed, further=further).batches())

    return batches
