"""Counterfactual answers: what the model says of the same row with another value of a sensitive column."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING, labels
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import Records, group_name
from fairwitness.checks.fairness._individual_neighbours import known

Floats = NDArray[np.float64]
Answer = Callable[[pa.Table], Any]  # rows -> labels, scores and classes

MOST_ANSWERS = 100_000  # to be asked for one attribute
ASKED_AT_ONCE = 65_536


@dataclass(frozen=True)
class Flips:
    """What changed, row by row.

    Attributes:
        changed: columns that were changed.
        groups: group of each row, in terms of the changed columns, shape (rows,).
        selected: whether the model selects the row as it is, shape (rows,).
        flips: whether it decides otherwise for any other value, likewise.
        gaps: mean change of the score over the other values, likewise; None without scores.
        widest: the largest of these changes, likewise.
        bounded: whether all scores lie in [0, 1].
        values: number of values (or combinations of values) that rows were given.
        weights: of the rows, shape (rows,).
        unanswered: of each group the rows that the model gave no answer for, as they are or with another value.
        unsteady: rows whose decision changed on asking again with nothing changed.
    """

    changed: tuple[str, ...]
    groups: NDArray[np.object_]
    selected: NDArray[np.bool_]
    flips: NDArray[np.bool_]
    gaps: Floats | None
    widest: Floats | None
    bounded: bool
    values: int
    weights: Floats
    unanswered: tuple[tuple[str, int], ...]
    unsteady: int


def flips(
    records: Records,
    order: NDArray[np.int64],
    answer: Answer,
    given: Collection[str],
    attribute: str,
    positive: str,
    most: int,
) -> Flips:
    """Ask the model about rows with every other value of an attribute in turn.

    Of an intersection all columns that the model is given are changed at once, to the combinations that occur, be it
    only in rows that the model gave no answer for. Of a column cut into bins the value that stands for a bin is its
    median. Rows without a value are not asked about, and no row is given one.

    Args:
        records: rows with the model's answers.
        order: of the rows, at random: the first that can be asked about are.
        answer: asks the model.
        given: columns that the model is given.
        attribute: a sensitive column, or an intersection.
        positive: label that means selected.
        most: number of rows to ask about.

    Raises:
        NotAssessed: the model is not given the attribute, or there is nothing to change it to.
    """
    changed = tuple(name for name in attribute.split(" & ") if name in given)
    if not changed:
        raise NotAssessed("not_a_feature", attribute=attribute)
    group, parts = records.grouped(" & ".join(changed))
    in_full = np.array([MISSING not in part for part in parts], dtype=bool)
    values = np.flatnonzero(in_full)
    if len(values) < 2:
        raise NotAssessed("one_group", attribute=attribute)
    weights = np.ones(len(group)) if records.weights is None else records.weights
    decided = known(records.decided)
    usable = decided & in_full[group] & (weights > 0)
    places = order[usable[order]][: min(most, MOST_ANSWERS // (len(values) - 1))]
    value, row = np.nonzero(group[places] != values[:, None])
    table = records.rows.take(pa.array(places[row]))
    for position, name in enumerate(changed):
        stands_for = _representatives(records, name)
        other = np.array([stands_for[parts[i][position]] for i in values])[value]
        column = records.rows.column(name).take(pa.array(other))
        table = table.set_column(table.column_names.index(name), name, column)
    before = _answers(answer, records.rows.take(pa.array(places)), positive)
    after = _answers(answer, table, positive)
    answered = np.isfinite(before.selected)
    answered[row[~np.isfinite(after.selected)]] = False
    flipped = np.bincount(row, after.selected != before.selected[row], minlength=len(places)) > 0
    unsteady = before.selected != (records.decided[places] == positive)
    gaps = widest = None
    bounded = False
    if before.scores is not None and after.scores is not None:
        change = np.abs(after.scores - before.scores[row])
        gaps = np.bincount(row, change, minlength=len(places)) / (len(values) - 1)
        widest = np.zeros(len(places))
        np.maximum.at(widest, row, change)
        gaps, widest = gaps[answered], widest[answered]
        both = np.concatenate([before.scores, after.scores])
        bounded = not ((both < 0) | (both > 1)).any()
    names = [group_name(part) for part in parts]
    lacking = ~decided & (weights > 0)
    lacking[places[~answered]] = True
    count = np.bincount(group[lacking], minlength=len(names)).tolist()
    return Flips(
        changed=changed,
        groups=np.array(names, dtype=object)[group[places[answered]]],
        selected=before.selected[answered] > 0,
        flips=flipped[answered],
        gaps=gaps,
        widest=widest,
        bounded=bounded,
        values=len(values),
        weights=weights[places[answered]],
        unanswered=tuple((name, rows) for name, rows in zip(names, count, strict=True) if rows),
        unsteady=int(np.count_nonzero(unsteady & answered)),
    )


def _representatives(records: Records, column: str) -> dict[str, int]:
    """A row whose value stands for each group: of a binned column the one with the group's median."""
    group, parts = records.grouped(column)
    by = records.numbers(column) if column in records.layout.bins else np.zeros(len(group))
    order, size = np.lexsort((by, group)), np.bincount(group, minlength=len(parts))
    middle = order[np.cumsum(size) - size + (size - 1) // 2].tolist()
    return {part[0]: place for part, place in zip(parts, middle, strict=True)}


@dataclass(frozen=True)
class _Answers:
    """Whether rows are selected (NaN: no answer), and the positive label's score; None without scores."""

    selected: Floats
    scores: Floats | None


def _answers(answer: Answer, table: pa.Table, positive: str) -> _Answers:
    """Ask the model, in batches."""
    selected: list[Floats] = []
    scores: list[Floats] | None = []
    for start in range(0, table.num_rows, ASKED_AT_ONCE):
        batch = table.slice(start, ASKED_AT_ONCE)
        outputs = answer(batch)
        if outputs.labels is None:
            selected.append(np.full(batch.num_rows, np.nan))
        else:
            decided = labels(outputs.labels)
            there = np.array([1.0 if name == positive else 0.0 for name in decided.names])
            there[~known(np.array(decided.names, dtype=object))] = np.nan
            selected.append(there[decided.codes])
        if scores is not None and outputs.scores is not None and positive in outputs.classes:
            scores.append(outputs.scores[:, outputs.classes.index(positive)])
        else:
            scores = None
    if not selected:
        return _Answers(np.zeros(0), None)
    return _Answers(np.concatenate(selected), np.concatenate(scores) if scores else None)
