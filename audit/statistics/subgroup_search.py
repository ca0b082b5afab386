"""Search of all subgroups that a conjunction of items describes, and inference that pays for the search.

An item is one value of one column ("sex=F"); a subgroup is a set of items of different columns, and all rows that have
them. Rows are bits: a subgroup's rows are the conjunction of its items' bits, and a count is a number of set bits.
Sources: Pastor, de Alfaro & Baralis (2021), Looking for trouble: analyzing classifier behavior via pattern divergence,
SIGMOD, 1400-1412 (divergence, its t statistic, Shapley contributions, redundancy); Agrawal & Srikant (1994), Fast
algorithms for mining association rules, VLDB, 487-499 (levels, each made from the last); Westfall & Young (1993),
Resampling-based multiple testing (the largest statistic under permutation).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from fairwitness.audit.statistics.divergence import Contrast, Count, Index
from fairwitness.audit.statistics.intervals import FloatArray

Bits = npt.NDArray[np.uint64]

_WORDS_AT_ONCE = 1 << 16  # half a megabyte: what is counted stays in the processor's cache
_VALUES_AT_ONCE = 1 << 22


def packed(rows: npt.NDArray[np.bool_]) -> Bits:
    """Pack truth values into bits.

    Args:
        rows: shape (..., rows).

    Returns:
        Shape (..., words); 64 rows a word, those beyond the last row are 0.

    >>> np.bitwise_count(packed(np.array([[True] * 70, [False, True] * 35]))).sum(axis=1).tolist()
    [70, 35]
    """
    count = rows.shape[-1]
    padded = np.zeros((*rows.shape[:-1], -(-count // 64) * 8), dtype=np.uint8)
    padded[..., : -(-count // 8)] = np.packbits(rows, axis=-1)
    return padded.view(np.uint64)


def item_bits(codes: npt.NDArray[np.integer], column: Index, value: Index) -> Bits:
    """Pack which rows have an item, for every item.

    Args:
        codes: shape (rows, columns), the value of each column by its number.
        column: shape (items,), the column of each item.
        value: shape (items,), its value's number.

    Returns:
        Shape (items + 1, words); the last is all rows, so that the index -1 stands for "no further item".
    """
    bits = [packed(codes[:, c] == v) for c, v in zip(column, value, strict=True)]
    return np.stack([*bits, packed(np.ones(len(codes), dtype=bool))])


@dataclass(frozen=True)
class Lattice:
    """Subgroups that are large enough.

    Attributes:
        sets: shape (subgroups, depth), their items by rising number, -1 where there is no further one; smaller sets
            first.
        support: shape (subgroups,), rows of each.
        depth: most items of a set that were tried.
    """

    sets: Index
    support: Count
    depth: int

    def items(self, at: int) -> tuple[int, ...]:
        """Items of one subgroup."""
        return tuple(item for item in self.sets[at].tolist() if item >= 0)

    @cached_property
    def places(self) -> dict[tuple[int, ...], int]:
        """Where each subgroup stands, by its items; that of no items, all rows, stands behind the last."""
        every = {tuple(item for item in row if item >= 0): i for i, row in enumerate(self.sets.tolist())}
        return every | {(): len(self.sets)}

    @cached_property
    def parents(self) -> Index:
        """Places of each subgroup without its first, second, ... item, shape (subgroups, depth); -1 beyond the last."""
        places, parents = self.places, np.full(self.sets.shape, -1, dtype=np.intp)
        for items, at in places.items():
            for k in range(len(items)):
                parents[at, k] = places[items[:k] + items[k + 1 :]]
        return parents


def frequent_sets(
    items: Bits, column: Index, least: int, depth: int, most_words: int = 1 << 33, most_sets: int = 50_000
) -> Lattice:
    """Find all sets of up to `depth` items that at least so many rows have.

    No set is larger than any part of it, so sets of k items are made of pairs of sets of k - 1 that share all items
    but one.

    Args:
        items: shape (items + 1, words), see `item_bits`; items of a column stand side by side.
        column: shape (items,), the column of each item; no row has two items of one column.
        least: rows that a subgroup needs, at least 1.
        depth: most items of a set, at least 1.
        most_words: a level is not begun if it would read more words than this,
        most_sets: or try more sets than this: whoever tests all subgroups pays for each.

    Returns:
        The subgroups, and the depth that was reached.
    """
    words = items.shape[1]
    support = _overlaps(items, np.arange(len(column)), items[-1])
    level = np.flatnonzero(support >= least)[:, None]
    levels, supports, reached = [level], [support[level[:, 0]]], 1
    for size in range(2, depth + 1):
        starts = np.r_[True, (level[1:, :-1] != level[:-1, :-1]).any(axis=1)] if len(level) else np.zeros(0, dtype=bool)
        family = np.cumsum(starts) - 1
        sizes = np.bincount(family) if len(level) else np.zeros(0, dtype=np.int64)
        candidates = int((sizes * (sizes - 1) // 2).sum())
        if candidates > most_sets or candidates * words > most_words:
            break
        reached = size
        ends = np.cumsum(sizes)[family] if len(level) else family
        found: list[Index] = []
        counted: list[Count] = []
        for i, (first, end) in enumerate(zip(level, ends, strict=True)):
            further = level[i + 1 : end, -1]
            further = further[column[further] != column[first[-1]]]
            if not further.size:
                continue
            count = _overlaps(items, further, np.bitwise_and.reduce(items[first], axis=0))
            kept = count >= least
            found.append(np.column_stack([np.tile(first, (int(kept.sum()), 1)), further[kept]]))
            counted.append(count[kept])
        level = np.concatenate([np.zeros((0, size), dtype=np.intp), *found])
        levels.append(level)
        supports.append(np.concatenate([np.zeros(0, dtype=np.int64), *counted]))
    sets = np.full((sum(len(level) for level in levels), depth), -1, dtype=np.intp)
    start = 0
    for level in levels:
        sets[start : start + len(level), : level.shape[1]] = level
        start += len(level)
    return Lattice(sets, np.concatenate(supports), reached)


def _overlaps(items: Bits, chosen: Index, within: Bits) -> Count:
    """Rows that have each chosen item and are within some rows, shape (chosen,)."""
    counts = np.zeros(len(chosen), dtype=np.int64)
    step = max(1, _WORDS_AT_ONCE // max(1, within.size))
    for start in range(0, len(chosen), step):
        block = items[chosen[start : start + step]] & within
        counts[start : start + step] = np.bitwise_count(block).sum(axis=1, dtype=np.uint32)
    return counts


def set_bits(items: Bits, sets: Index) -> Bits:
    """Give the rows of each set as bits, shape (sets, words)."""
    bits = items[sets[:, 0]]
    for further in sets.T[1:]:
        bits &= items[further]
    return bits


def overlap_counts(items: Bits, sets: Index, masks: Bits) -> Count:
    """Count the rows of every subgroup that are in each mask.

    Args:
        items: shape (items + 1, words).
        sets: shape (subgroups, depth).
        masks: shape (masks, words).

    Returns:
        Shape (subgroups, masks).
    """
    counts = np.zeros((len(sets), len(masks)), dtype=np.int64)
    step = max(1, _WORDS_AT_ONCE // max(1, items.shape[1]))
    for start in range(0, len(sets), step):
        bits = set_bits(items, sets[start : start + step])
        for j, mask in enumerate(masks):
            counts[start : start + step, j] = np.bitwise_count(bits & mask).sum(axis=1, dtype=np.uint32)
    return counts


def overlap_sums(items: Bits, sets: Index, values: FloatArray) -> FloatArray:
    """Sum numbers over the rows of every subgroup: what `overlap_counts` does where rows have weights.

    Args:
        items: shape (items + 1, words).
        sets: shape (subgroups, depth).
        values: shape (rows, sums).

    Returns:
        Shape (subgroups, sums).
    """
    rows = len(values)
    sums = np.zeros((len(sets), values.shape[1]))
    step = max(1, _VALUES_AT_ONCE // max(1, rows))
    for start in range(0, len(sets), step):
        bits = set_bits(items, sets[start : start + step])
        within = np.unpackbits(bits.view(np.uint8), axis=1, count=rows)
        sums[start : start + step] = within.astype(np.float64) @ values
    return sums


def permuted_maxima(
    items: Bits, sets: Index, hits: npt.NDArray[np.bool_], permutations: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Largest statistic over all subgroups when outcomes are shuffled among the rows.

    Source: Westfall & Young (1993), single-step max-T. With outcomes that do not depend on the items, the observed
    maximum is one more draw from the same law: p = (1 + #{max* >= max}) / (draws + 1) never errs too often.

    Args:
        items: shape (items + 1, words), of the rows of the denominator.
        sets: shape (subgroups, depth).
        hits: shape (rows,), the outcome of each of these rows.
        permutations: number of shuffles.
        rng: source of randomness.

    Returns:
        Largest |`Contrast.standardised`| and largest |divergence| of each shuffle, shape (permutations,) each.
    """
    n = overlap_counts(items, sets, items[-1:])[:, 0]
    x = overlap_counts(items, sets, packed(_dealt(hits, permutations, rng))).T
    t, divergence = np.zeros(permutations), np.zeros(permutations)
    step = max(1, _VALUES_AT_ONCE // max(1, len(sets)))
    for start in range(0, permutations, step):
        draws = slice(start, start + step)
        dealt = Contrast.of_counts(x[draws], n, (int(hits.sum()), len(hits)))
        t[draws] = np.abs(dealt.standardised).max(axis=1, initial=0.0)
        divergence[draws] = np.abs(dealt.divergence).max(axis=1, initial=0.0)
    return t, divergence


def _dealt(hits: npt.NDArray[np.bool_], draws: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Deal as many hits to the rows at random, shape (draws, rows)."""
    several = int(hits.sum())
    rarer = min(several, len(hits) - several)
    dealt = np.zeros((draws, len(hits)), dtype=bool)
    for draw in dealt:
        draw[rng.choice(len(hits), rarer, replace=False, shuffle=False)] = True
    return dealt if rarer == several else ~dealt


def redundant(lattice: Lattice, divergence: FloatArray, margin: float) -> npt.NDArray[np.bool_]:
    """Tell which subgroups say no more than one with an item less.

    Source: Pastor, de Alfaro & Baralis (2021), section 4.4: a set is left out if for one of its items the divergence
    changes by `margin` or less when the item is dropped.

    Args:
        lattice: the subgroups.
        divergence: of each, shape (subgroups,); that of all rows is 0.
        margin: at least 0.

    Returns:
        Shape (subgroups,).
    """
    change = np.abs(divergence[:, None] - np.append(divergence, 0.0)[lattice.parents])
    return np.asarray(((change <= margin) & (lattice.parents >= 0)).any(axis=1))


def shapley(lattice: Lattice, at: int, divergence: FloatArray) -> list[float]:
    """Share of a subgroup's divergence that is due to each of its items; they add up to it.

    Source: Shapley (1953); Pastor, de Alfaro & Baralis (2021), section 4.2: the game's value of some of the items is
    the divergence of the subgroup that they describe.

    Args:
        lattice: the subgroups; it holds every part of each.
        at: the subgroup.
        divergence: of each, shape (subgroups,); that of all rows is 0.

    Returns:
        One number an item, in the order of `lattice.sets`.
    """
    items, worth = lattice.items(at), np.append(divergence, 0.0)
    shares = np.zeros(len(items))
    for i, item in enumerate(items):
        others = items[:i] + items[i + 1 :]
        for k in range(len(items)):
            chance = 1 / (len(items) * math.comb(len(others), k))
            for part in combinations(others, k):
                joined = lattice.places[tuple(sorted((*part, item)))]
                shares[i] += chance * (worth[joined] - worth[lattice.places[part]])
    return shares.tolist()
