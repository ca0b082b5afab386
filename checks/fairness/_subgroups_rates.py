"""Rates of subgroups: which rows a rate counts, and how it differs between a subgroup and the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING
from fairwitness.audit.statistics.divergence import Contrast
from fairwitness.audit.statistics.subgroup_search import (
    Bits,
    Lattice,
    item_bits,
    overlap_counts,
    overlap_sums,
    packed,
    permuted_maxima,
)
from fairwitness.audit.tallies import Records
from fairwitness.checks.fairness._subgroups_items import Items

Rows = NDArray[np.bool_]

# Shuffling as many rows costs seconds. Beyond, that many are drawn at random: the law of the largest standardised
# difference depends on the shares in which subgroups overlap, and hardly on the number of rows.
MOST_SHUFFLED = 1 << 15
FEWEST_SHUFFLED = 1 << 13
MOST_WORDS = 1 << 31


@dataclass(frozen=True)
class Rate:
    """A share of some rows.

    Attributes:
        name: as in `fairness.group`.
        what: what its denominator counts.
        counted: rows in the denominator, shape (rows,).
        hit: those of them that count, likewise.
    """

    name: str
    what: str
    counted: Rows
    hit: Rows


def rates_of(records: Records, positive: str) -> list[Rate]:
    """The rates of decisions. Rows without a decision are in none, rows without a label in the selection rate only."""
    labels, decisions = records.keys.column("label"), records.keys.column("decided")
    truth, decided = (pc.equal(column, positive).to_numpy() for column in (labels, decisions))
    answered = pc.not_equal(decisions, MISSING).to_numpy()
    labelled = pc.not_equal(labels, MISSING).to_numpy() & answered
    return [
        Rate("false_positive_rate", "negatives", labelled & ~truth, labelled & ~truth & decided),
        Rate("false_negative_rate", "positives", labelled & truth, labelled & truth & ~decided),
        Rate("accuracy", "labelled rows", labelled, labelled & (truth == decided)),
        Rate("selection_rate", "rows", answered, answered & decided),
    ]


def in_fixed_order(
    items: Items, rates: Sequence[Rate], weights: NDArray[np.float64] | None
) -> tuple[Items, list[Rate], NDArray[np.float64] | None]:
    """Sort the rows by all that the search sees of them: halves and shuffles then do not depend on how they came."""
    outcome = np.packbits([mask for rate in rates for mask in (rate.counted, rate.hit)], axis=0)
    key, size = np.zeros(len(items.codes), dtype=np.int64), 1
    for code in (*items.codes.T, *outcome):
        values = int(code.max(initial=0)) + 1
        if size * values >= 1 << 62:
            found, key = np.unique(key, return_inverse=True)
            size = len(found)
        key, size = key * values + code, size * values
    order = np.argsort(key, kind="stable") if weights is None else np.lexsort((weights, key))
    return (
        replace(items, codes=items.codes[order]),
        [replace(rate, counted=rate.counted[order], hit=rate.hit[order]) for rate in rates],
        None if weights is None else weights[order],
    )


@dataclass(frozen=True)
class Space:
    """What all rates are searched in.

    Attributes:
        items: the columns, cut.
        bits: rows of every item.
        lattice: the subgroups.
        weights: of the rows; None for equal ones.
    """

    items: Items
    bits: Bits
    lattice: Lattice
    weights: NDArray[np.float64] | None

    def contrasts(self, rate: Rate, parts: Sequence[Rows]) -> list[Contrast]:
        """Compare a rate inside of every subgroup with the rest, on each of several parts of the rows."""
        masks = np.array([mask & part for part in parts for mask in (rate.counted, rate.hit)])
        if self.weights is None:
            counts, totals = overlap_counts(self.bits, self.lattice.sets, packed(masks)).T, masks.sum(axis=1)
            return [
                Contrast.of_counts(counts[i + 1], counts[i], (int(totals[i + 1]), int(totals[i])))
                for i in range(0, len(masks), 2)
            ]
        return [self._weighted(counted, hit, self.weights) for counted, hit in masks.reshape(-1, 2, masks.shape[1])]

    def _weighted(self, counted: Rows, hit: Rows, weights: NDArray[np.float64]) -> Contrast:
        w = weights * counted
        sums = np.column_stack([counted, w * hit, w, w * w]).astype(np.float64)
        whole = float(sums[:, 1].sum()), float(sums[:, 2].sum()), float(sums[:, 3].sum())
        count, of_hits, total, of_squares = overlap_sums(self.bits, self.lattice.sets, sums).T
        return Contrast.of_weights(count.round().astype(np.int64), of_hits, total, of_squares, whole)

    def under_no_divergence(
        self, rate: Rate, chosen: NDArray[np.intp], part: Rows | None, permutations: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Largest |statistic| and |divergence| over some subgroups, had outcomes been dealt at random to the rows."""
        rows = np.flatnonzero(rate.counted if part is None else rate.counted & part)
        sets = self.lattice.sets[chosen]
        budget = 64 * MOST_WORDS // max(1, len(sets) * permutations)
        size = min(len(rows), MOST_SHUFFLED, max(FEWEST_SHUFFLED, budget))
        shrunk = np.sqrt(size / len(rows))
        if size < len(rows):
            rows = np.sort(rng.choice(rows, size, replace=False))
        bits = item_bits(self.items.codes[rows], self.items.column, self.items.value)
        t, divergence = permuted_maxima(bits, sets, rate.hit[rows], permutations, rng)
        return t, divergence * shrunk
