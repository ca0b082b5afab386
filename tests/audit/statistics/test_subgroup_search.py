"""Oracles: every conjunction counted one by one, every order of the items, shuffles done with plain arrays."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fairwitness.audit.statistics.divergence import Contrast
from fairwitness.audit.statistics.subgroup_search import (
    Lattice,
    frequent_sets,
    item_bits,
    overlap_counts,
    overlap_sums,
    packed,
    permuted_maxima,
    redundant,
    shapley,
)

Codes = NDArray[np.int16]


def coded(seed: int, rows: int, sizes: list[int]) -> tuple[Codes, NDArray[np.intp], NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    codes = np.column_stack([np.minimum(rng.integers(0, 2 * k, rows) // 2, k - 1) for k in sizes]).astype(np.int16)
    return codes, np.repeat(np.arange(len(sizes)), sizes), np.concatenate([np.arange(k) for k in sizes])


def searched(seed: int, rows: int, sizes: list[int], least: int, depth: int) -> tuple[Lattice, NDArray[np.bool_]]:
    """The lattice, and which rows are in each of its subgroups, found without bits."""
    codes, column, value = coded(seed, rows, sizes)
    lattice = frequent_sets(item_bits(codes, column, value), column, least, depth)
    inside = [
        np.logical_and.reduce([codes[:, column[i]] == value[i] for i in lattice.items(at)])
        for at in range(len(lattice.sets))
    ]
    return lattice, np.array(inside).reshape(-1, rows)


CASES = given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 200),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    least=st.integers(1, 40),
    depth=st.integers(1, 4),
)


@settings(max_examples=60, deadline=None)
@CASES
def test_every_frequent_set_is_found_once(seed: int, rows: int, sizes: list[int], least: int, depth: int) -> None:
    codes, column, value = coded(seed, rows, sizes)
    lattice, inside = searched(seed, rows, sizes, least, depth)
    expected = {}
    for k in range(1, depth + 1):
        for chosen in combinations(range(len(column)), k):
            if len({int(column[i]) for i in chosen}) == k:
                count = int(np.logical_and.reduce([codes[:, column[i]] == value[i] for i in chosen]).sum())
                if count >= least:
                    expected[chosen] = count
    found = {lattice.items(at): int(lattice.support[at]) for at in range(len(lattice.sets))}
    assert found == expected
    assert len(lattice.sets) == len(expected)
    assert inside.sum(axis=1).tolist() == lattice.support.tolist()


@settings(max_examples=40, deadline=None)
@CASES
def test_counts_and_sums(seed: int, rows: int, sizes: list[int], least: int, depth: int) -> None:
    codes, column, value = coded(seed, rows, sizes)
    lattice, inside = searched(seed, rows, sizes, least, depth)
    bits, rng = item_bits(codes, column, value), np.random.default_rng(seed)
    masks, numbers = rng.random((3, rows)) < 0.5, rng.normal(size=(rows, 2))
    assert overlap_counts(bits, lattice.sets, packed(masks)).tolist() == (inside.astype(int) @ masks.T).tolist()
    assert overlap_sums(bits, lattice.sets, numbers) == pytest.approx(inside @ numbers)


@settings(max_examples=40, deadline=None)
@CASES
def test_what_is_redundant(seed: int, rows: int, sizes: list[int], least: int, depth: int) -> None:
    lattice, _ = searched(seed, rows, sizes, least, depth)
    divergence = np.random.default_rng(seed).integers(-3, 4, len(lattice.sets)) / 10.0
    known = {lattice.items(at): divergence[at] for at in range(len(lattice.sets))} | {(): 0.0}
    for at, said in enumerate(redundant(lattice, divergence, 0.1)):
        items = lattice.items(at)
        parents = [tuple(i for i in items if i != dropped) for dropped in items]
        assert said == any(abs(divergence[at] - known[part]) <= 0.1 for part in parents)


@pytest.mark.parametrize("at", [0, 20, -1])
def test_shapley_is_the_mean_over_all_orders(at: int) -> None:
    lattice, _ = searched(0, 300, [2, 2, 2, 2], 1, 4)
    divergence = np.random.default_rng(0).normal(size=len(lattice.sets))
    at %= len(lattice.sets)
    items = lattice.items(at)
    known = {lattice.items(i): float(divergence[i]) for i in range(len(lattice.sets))} | {(): 0.0}
    gains = dict.fromkeys(items, 0.0)
    orders = list(permutations(items))
    for order in orders:
        for k, item in enumerate(order):
            before, after = tuple(sorted(order[:k])), tuple(sorted(order[: k + 1]))
            gains[item] += (known[after] - known[before]) / len(orders)
    shares = shapley(lattice, at, divergence)
    assert shares == pytest.approx(list(gains.values()))
    assert sum(shares) == pytest.approx(divergence[at])


def test_a_level_that_is_too_large_is_not_begun() -> None:
    codes, column, value = coded(0, 100, [3, 3, 3])
    bits = item_bits(codes, column, value)
    assert frequent_sets(bits, column, 1, 3).depth == 3
    assert frequent_sets(bits, column, 1, 3, most_sets=35).depth == 1
    cut = frequent_sets(bits, column, 1, 3, most_words=50)  # 36 pairs of 2 words
    assert cut.depth == 1
    assert len(cut.sets) == 9


def test_no_items_at_all() -> None:
    lattice = frequent_sets(item_bits(np.zeros((5, 0), dtype=np.int16), *np.zeros((2, 0), int)), np.zeros(0, int), 1, 3)
    assert lattice.sets.shape == (0, 3)


def test_the_shuffles_have_the_law_of_plain_ones() -> None:
    lattice, inside = searched(0, 150, [3, 2, 2], 15, 2)
    codes, column, value = coded(0, 150, [3, 2, 2])
    rng = np.random.default_rng(1)
    hits = rng.random(150) < 0.6  # more hits than misses: the misses are dealt
    t, divergence = permuted_maxima(item_bits(codes, column, value), lattice.sets, hits, 2000, rng)
    n, total = inside.sum(axis=1), int(hits.sum())
    plain = [Contrast.of_counts(inside @ rng.permutation(hits * 1), n, (total, 150)) for _ in range(2000)]
    for ours, theirs in (
        (t, [np.abs(c.standardised).max() for c in plain]),
        (divergence, [np.abs(c.divergence).max() for c in plain]),
    ):
        assert np.quantile(ours, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(theirs, [0.1, 0.5, 0.9]), rel=0.05)
