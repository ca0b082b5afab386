"""Which rows are explained: a uniform draw from the sample, and more of small groups."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING
from fairwitness.audit.tallies import Sample
from fairwitness.audit.tallies.sample import SAMPLE_ROWS

GROUP_ROWS = 100  # of every group, where there are as many

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Draw:
    """Rows of the sample by their place in it.

    Attributes:
        uniform: every row of the data set is as likely to be among them, shape (n,).
        explained: the first of `uniform`, followed by further rows of small groups.
        overall: how many of `explained` are of `uniform` and stand for all rows.
        background: the rows that a hidden value is taken from.
        groups: places in `explained` of the rows that stand for a group, by attribute and group.
    """

    uniform: Rows
    explained: Rows
    overall: int
    background: Rows
    groups: dict[tuple[str, str], Rows]


def drawn(sample: Sample, *, rows: int, background: int) -> Draw:
    """Draw by the sample's own hashes: the same rows whatever else is measured, and whatever the batches.

    Rows that the model has no answer for are left out.
    The sample has up to so many rows of each label. The lowest hashes up to the smallest of the full labels' largest
    ones are a uniform draw: every label is cut off at the same hash.

    Args:
        sample: rows drawn within each label.
        rows: number of rows to explain.
        background: number of background rows, those with the highest hashes.
    """
    hashes = sample.keys.column("hash").to_numpy()
    order = np.argsort(hashes, kind="stable")
    order = order[(hashes[order] <= _cut(hashes, sample.labels)) & _answered(sample)[order]]
    first = order[:rows]
    places = {int(row): place for place, row in enumerate(first)}
    groups: dict[tuple[str, str], Rows] = {}
    for attribute in sample.layout.attributes:
        of = sample.groups(attribute)
        for group in sorted(set(of[order].tolist())):
            members = order[of[order] == group]
            kept = members[: max(GROUP_ROWS, int(np.count_nonzero(of[first] == group)))]
            for row in kept.tolist():
                places.setdefault(row, len(places))
            groups[attribute, group] = np.array([places[row] for row in kept.tolist()], dtype=np.intp)
    return Draw(order, np.array(list(places), dtype=np.intp), len(first), order[::-1][:background], groups)


def _answered(sample: Sample) -> NDArray[np.bool_]:
    """Whether the model gave an answer, shape (rows,)."""
    if sample.classes:
        return np.asarray(np.isfinite(sample.scores).all(axis=1))
    if "predicted" in sample.keys.column_names:
        return np.asarray(np.isfinite(sample.keys.column("predicted").to_numpy()))
    return np.asarray(sample.keys.column("decided").to_numpy(zero_copy_only=False) != MISSING, dtype=np.bool_)


def _cut(hashes: NDArray[np.uint64], labels: NDArray[np.object_]) -> np.uint64:
    """The hash at which a label was cut off first."""
    cut = np.uint64(2**64 - 1)
    for label in sorted(set(labels.tolist())):
        of_label = hashes[labels == label]
        if len(of_label) >= SAMPLE_ROWS:
            cut = min(cut, of_label.max())
    return cut
