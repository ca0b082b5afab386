"""The rows that are explained stand for all rows, though the sample is drawn within labels."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fairwitness.audit import Dataset
from fairwitness.audit.dataset import Target
from fairwitness.audit.models import Model, Outputs
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Sample
from fairwitness.audit.tallies.sample import SAMPLE_ROWS
from fairwitness.checks.explanation._rows import GROUP_ROWS, drawn


def sample_of(frame: pd.DataFrame) -> Sample:
    def answer(table: pa.Table) -> Outputs:
        score = table.column("x").to_numpy()
        return Outputs(pa.array(["1"] * table.num_rows), np.column_stack([1 - score, score]), ("0", "1"))

    model = Model("python", "scores", answer, ("x",))
    dataset = Dataset(frame, target="y", positive=1, sensitive=["g"])
    return Sample.merge(
        [Sample.of(batch) for batch in Subject(dataset, Target("binary", "1", "number"), model, 0).batches()]
    )


@pytest.fixture(scope="module")
def rare() -> pd.DataFrame:
    """Of 60,000 rows, 5 % are positive and 1 % are of the group `few`."""
    rng = np.random.default_rng(0)
    n = 60_000
    return pd.DataFrame(
        {
            "x": rng.random(n),
            "y": (rng.random(n) < 0.05).astype(int),
            "g": np.where(rng.random(n) < 0.01, "few", "many"),
        }
    )


def test_labels_have_their_own_shares(rare: pd.DataFrame) -> None:
    sample = sample_of(rare)
    assert (sample.labels == "1").mean() > 0.3
    draw = drawn(sample, rows=1000, background=200)
    assert len(draw.uniform) == pytest.approx(SAMPLE_ROWS / 0.95, rel=0.02)
    assert (sample.labels[draw.uniform] == "1").mean() == pytest.approx(0.05, abs=0.01)
    assert draw.overall == 1000
    assert len(draw.background) == 200
    assert not set(draw.background) & set(draw.explained[:1000])


def test_small_groups_get_more_rows(rare: pd.DataFrame) -> None:
    sample = sample_of(rare)
    draw = drawn(sample, rows=1000, background=200)
    few, many = draw.groups["g", "few"], draw.groups["g", "many"]
    of_group = sample.groups("g")[draw.explained]
    assert set(of_group[few]) == {"few"}
    assert set(of_group[many]) == {"many"}
    there = int((sample.groups("g")[draw.uniform] == "few").sum())
    assert 30 < len(few) == min(GROUP_ROWS, there)
    assert (few < draw.overall).sum() < len(few)
    assert len(many) == (of_group[: draw.overall] == "many").sum()


def test_rows_without_an_answer_are_left_out(rare: pd.DataFrame) -> None:
    frame = rare[:500].assign(x=rare["x"].where(rare.index % 2 == 0))
    draw = drawn(sample_of(frame), rows=1000, background=200)
    assert draw.overall == 250


def test_the_draw_does_not_depend_on_how_many_are_explained(rare: pd.DataFrame) -> None:
    sample = sample_of(rare)
    fewer, more = (drawn(sample, rows=n, background=10) for n in (100, 300))
    assert fewer.explained[:100].tolist() == more.explained[:100].tolist()
