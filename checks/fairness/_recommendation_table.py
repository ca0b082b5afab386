"""A long table of user-item pairs as arrays: every user's items ranked, and what is known of users and of items."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from fairwitness.audit.columns import MISSING
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies import Records
from fairwitness.audit.tallies.groups import group_name

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

MAX_CATEGORIES = 200


@dataclass(frozen=True)
class Pairs:
    """User-item pairs, sorted by user and within a user as the recommender ranks them.

    Equal scores are ranked by a hash of the user's and the item's names: at random, but the same for any order of the
    rows, and no item gains by its name from user to user. Pairs without a score come last, and are never recommended.

    Attributes:
        users: number of users.
        items: number of items in the table: the catalogue.
        user: shape (pairs,), rising.
        item: shape (pairs,).
        place: shape (pairs,), rank within the user, from 0.
        score: shape (pairs,), NaN for a pair without one.
        gain: shape (pairs,), what the item is worth to the user: 1 where relevant, or the rating; 0 where not known.
        relevant: shape (pairs,), the user's profile.
        known: shape (pairs,), whether the true label or rating is known.
        weight: shape (users,), mean weight of the user's rows.
        row_user: shape (rows,), the user of every row of the data, -1 where it names none or no item.
        row_item: shape (rows,), likewise.
        unanswered: shape (rows,), rows of a user and an item that have no score.
        repeated: rows that repeat a pair: the best-scored row of a pair is the one that counts.
    """

    users: int
    items: int
    user: Codes
    item: Codes
    place: Codes
    score: Floats
    gain: Floats
    relevant: NDArray[np.bool_]
    known: NDArray[np.bool_]
    weight: Floats
    row_user: Codes
    row_item: Codes
    unanswered: NDArray[np.bool_]
    repeated: int

    def recommended(self, top: int) -> NDArray[np.bool_]:
        """Which pairs are on the users' lists of so many items, shape (pairs,)."""
        return (self.place < top) & np.isfinite(self.score)

    def per_user(self, values: NDArray[np.float64 | np.bool_], chosen: NDArray[np.bool_] | None = None) -> Floats:
        """Add values of (chosen) pairs up by user, shape (users,)."""
        user, added = (self.user, values) if chosen is None else (self.user[chosen], values[chosen])
        return np.asarray(np.bincount(user, added.astype(np.float64), minlength=self.users), dtype=np.float64)


@dataclass(frozen=True)
class Truth:
    """What the data say of how much users like items, by row; see `Pairs`."""

    gain: Floats
    relevant: NDArray[np.bool_]
    known: NDArray[np.bool_]


def pairs_of(records: Records, user: str, item: str, liked: float | None) -> Pairs:
    """Rank every user's items.

    Args:
        records: all rows of the data.
        user: column of users.
        item: column of items.
        liked: rating from which on an item is relevant; None for the user's own mean rating.

    Raises:
        NotAssessed: the model gives no scores, or the target has several classes.
    """
    score = _scores(records)
    (row_user, users), (row_item, items) = _coded(records.text(user)), _coded(records.text(item))
    named = (row_user >= 0) & (row_item >= 0)
    row_user, row_item = np.where(named, row_user, -1), np.where(named, row_item, -1)
    truth = _truth(records, row_user, len(users), liked)
    weights = np.ones(len(score)) if records.weights is None else np.asarray(records.weights, dtype=np.float64)
    # Users and items of whom every row is left out keep their numbers; without a weight or a row they count nowhere.
    rows = np.flatnonzero(named)
    tie = _mixed(_hashed(users)[row_user[rows]] ^ (_hashed(items)[row_item[rows]] << np.uint64(1)))
    order = np.lexsort((-truth.gain[rows], tie, -score[rows], row_user[rows]))
    rows = rows[order]
    first = _first_of_pair(row_user[rows] * len(items) + row_item[rows])
    kept = rows[first]
    by_user = row_user[kept]
    start = np.searchsorted(by_user, by_user, side="left")
    n = np.bincount(row_user[rows], minlength=len(users))
    total = np.bincount(row_user[rows], weights[rows], minlength=len(users))
    return Pairs(
        users=len(users),
        items=int(np.unique(row_item[kept]).size) if len(kept) else 0,
        user=by_user,
        item=np.unique(row_item[kept], return_inverse=True)[1].astype(np.int64),
        place=np.arange(len(kept)) - start,
        score=score[kept],
        gain=truth.gain[kept],
        relevant=truth.relevant[kept],
        known=truth.known[kept],
        weight=np.divide(total, n, out=np.zeros(len(users)), where=n > 0),
        row_user=row_user,
        row_item=_renumbered(row_item),
        unanswered=named & ~np.isfinite(score),
        repeated=len(rows) - len(kept),
    )


def _scores(records: Records) -> Floats:
    """What items are ranked by: the score of the positive label, or the predicted rating; shape (rows,)."""
    task = records.layout.target.task
    if task == "multiclass":
        raise NotAssessed("multiclass")
    found = np.asarray(records.predicted_values if task == "regression" else records.score, dtype=np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def _truth(records: Records, user: Codes, users: int, liked: float | None) -> Truth:
    if records.layout.target.task != "regression":
        labels = records.labels
        relevant = np.asarray(labels == records.layout.target.positive, dtype=bool)
        return Truth(relevant.astype(np.float64), relevant, np.asarray(labels != MISSING, dtype=bool))
    rating = np.asarray(records.truth_values, dtype=np.float64)
    known = np.isfinite(rating)
    counted = known & (user >= 0)
    bar: float | Floats = np.inf if liked is None else liked
    if liked is None:
        n = np.bincount(user[counted], minlength=users)
        mean = np.bincount(user[counted], rating[counted], minlength=users) / np.maximum(n, 1)
        bar = np.where(user >= 0, mean[user], np.inf) if users else np.full(len(user), np.inf)
    with np.errstate(invalid="ignore"):
        # The mean of equal ratings may miss them by a rounding error.
        relevant = known & (rating >= bar - 1e-9 * np.abs(bar) if liked is None else rating >= bar)
    return Truth(np.where(known, rating, 0.0), np.asarray(relevant, dtype=bool), known)


def _coded(names: NDArray[np.object_]) -> tuple[Codes, NDArray[np.object_]]:
    """Number the distinct names by alphabet, -1 for a missing one."""
    there = np.asarray(names != MISSING, dtype=bool)
    codes = np.full(len(names), -1, dtype=np.int64)
    codes[there], distinct = pd.factorize(names[there], sort=True)
    return codes, np.asarray(distinct, dtype=object)


def _renumbered(codes: Codes) -> Codes:
    """Number the codes that occur without gaps, -1 staying as it is."""
    there = codes >= 0
    numbered = np.full(len(codes), -1, dtype=np.int64)
    numbered[there] = np.unique(codes[there], return_inverse=True)[1]
    return numbered


def _first_of_pair(key: Codes) -> NDArray[np.intp]:
    """Places of each pair's first row, rising."""
    order = np.argsort(key, kind="stable")
    fresh = np.diff(key[order], prepend=-1) != 0
    return np.sort(order[fresh])


def _hashed(names: NDArray[np.object_]) -> NDArray[np.uint64]:
    return pd.util.hash_array(names, categorize=False).astype(np.uint64)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea & Flood 2014), so that near hashes end up apart."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def categories_of(records: Records, pairs: Pairs, column: str, separator: str) -> tuple[sparse.csr_array, list[str]]:
    """How far every item belongs to every category.

    An item of several categories ("Action|Comedy") belongs to each in equal shares, as in Steck (2018). Where rows name
    different categories of one item, it is their mean.

    Args:
        records: all rows of the data.
        pairs: the same rows.
        column: names an item's category or categories.
        separator: between several; empty for none.

    Returns:
        Shares, shape (items, categories), rows summing to 1, or to 0 for items without a category; and their names.

    Raises:
        NotAssessed: there are too many categories.
    """
    codes, texts = _coded(records.text(column))
    there = (codes >= 0) & (pairs.row_item >= 0)
    named = [[part.strip() for part in text.split(separator)] if separator else [text] for text in texts]
    named = [sorted({part for part in parts if part}) for parts in named]
    names = sorted({part for code in np.unique(codes[there]).tolist() for part in named[code]})
    if len(names) > MAX_CATEGORIES:
        raise NotAssessed("too_many_groups", attribute=column, groups=len(names), limit=MAX_CATEGORIES)
    places = {name: i for i, name in enumerate(names)}
    cells = [(i, places[p], 1 / len(ps)) for i, ps in enumerate(named) for p in ps if p in places]
    text, category, share = np.array(cells, dtype=np.float64).reshape(-1, 3).T
    places_of = (text.astype(np.int64), category.astype(np.int64))
    of_text = sparse.csr_array((share, places_of), shape=(len(texts), len(names)))
    seen = (np.ones(int(there.sum())), (pairs.row_item[there], codes[there]))
    of_item = sparse.csr_array(seen, shape=(pairs.items, len(texts))) @ of_text
    return normalised(of_item), names


def normalised(rows: sparse.csr_array) -> sparse.csr_array:
    """Scale the rows of a matrix to sum to 1; rows of zeros stay."""
    total = np.asarray(rows.sum(axis=1)).ravel()
    inverse = np.divide(1.0, total, out=np.zeros(len(total)), where=total > 0)
    return sparse.csr_array(sparse.diags_array(inverse) @ rows)


def popularity_of(records: Records, pairs: Pairs, column: str) -> tuple[Floats, str]:
    """How popular every item is, shape (items,), and what that is the number of.

    Args:
        records: all rows of the data.
        pairs: the same rows.
        column: names an item's interactions; empty to count its relevant rows, or all its rows where none is relevant.

    Raises:
        NotAssessed: the column is not numeric, or has negative numbers.
    """
    if not column:
        what, counted = "relevant rows", pairs.relevant
        if not counted.any():
            what, counted = "rows", np.ones(len(pairs.item), dtype=bool)
        return np.bincount(pairs.item[counted], minlength=pairs.items).astype(np.float64), what
    given = records.numbers(column)
    there = np.isfinite(given) & (pairs.row_item >= 0)
    if (given[there] < 0).any():
        raise NotAssessed("negative_popularity", column=column)
    n = np.bincount(pairs.row_item[there], minlength=pairs.items)
    total = np.bincount(pairs.row_item[there], given[there], minlength=pairs.items)
    return np.divide(total, n, out=np.full(pairs.items, np.nan), where=n > 0), column


def groups_of(records: Records, attribute: str) -> tuple[Codes, tuple[str, ...]]:
    """Number the groups of an attribute or intersection, by row, and name them in natural order.

    Raises:
        NotAssessed: there are too many.
    """
    codes, parts = records.grouped(attribute)
    return codes, tuple(map(group_name, parts))


def constant_within(codes: Codes, unit: Codes, units: int) -> Codes | None:
    """The one code of each unit's rows, shape (units,); None where some unit has several.

    Args:
        codes: shape (rows,).
        unit: the user or item of each row, -1 for none.
        units: how many there are.

    >>> constant_within(np.array([4, 4, 2]), np.array([0, 0, 1]), 2).tolist()
    [4, 2]
    >>> constant_within(np.array([4, 5, 2]), np.array([0, 0, 1]), 2) is None
    True
    """
    there = unit >= 0
    codes, unit = codes[there], unit[there]
    found = np.full(units, -1, dtype=np.int64)
    found[unit] = codes
    return found if np.array_equal(found[unit], codes) else None
