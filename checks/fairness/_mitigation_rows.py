"""Rows that a mitigation is fitted on, rows that it is judged on, and what a rule does to the latter."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING
from fairwitness.audit.comparison import NO_ANSWER, Shares, weighted
from fairwitness.audit.evidence import Excluded, Reason
from fairwitness.audit.statistics.intervals import critical_value, wilson
from fairwitness.audit.tallies import Records
from fairwitness.checks.fairness._mitigation_paired import Change, change
from fairwitness.checks.fairness._mitigation_rules import Constraint, levels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_FITTED = 20_000

# Rates that a constraint makes equal: the true label of their denominator; None for all rows.
RATES: dict[Constraint, tuple[tuple[str, bool | None], ...]] = {
    "demographic_parity": (("rows", None),),
    "true_positive_rate_parity": (("positives", True),),
    "equalized_odds": (("positives", True), ("negatives", False)),
}


@dataclass(frozen=True)
class Rows:
    """Rows with a true label and an answer.

    Attributes:
        place: of each row in the records, shape (rows,).
        group: number of its group.
        truth: whether its label is positive.
        decided: whether the model selects it, 0 or 1.
        score: of the positive label, finite.
        weight: more than 0; None for equal weights.
    """

    place: Ints
    group: Ints
    truth: Flags
    decided: Floats
    score: Floats
    weight: Floats | None

    def __len__(self) -> int:
        return len(self.place)

    def of(self, kept: Flags | Ints) -> "Rows":
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[kept]
        return Rows(
            self.place[kept], self.group[kept], self.truth[kept], self.decided[kept], self.score[kept], weight
        )  # fmt: skip

    def in_fixed_order(self) -> "Rows":
        """The same rows in an order, and so in halves, that do not depend on how they came."""
        keys = (self.score, self.decided, self.truth, self.group)
        return self.of(np.lexsort(keys if self.weight is None else (self.weight, *keys)))


def answered(records: Records) -> tuple[Rows, Ints]:
    """Rows that have a true label, a decision, a score and a weight; and places of those that lack an answer.

    Groups are all numbered 0.
    """
    labels, decided, score, weight = records.labels, records.decided, records.score, records.weights
    labelled = (labels != MISSING) & (np.ones(len(labels), dtype=bool) if weight is None else weight > 0)
    there = (decided != MISSING) & np.isfinite(score)
    place = np.flatnonzero(labelled & there)
    positive = records.layout.target.positive
    rows = Rows(
        place,
        np.zeros(len(place), dtype=np.int64),
        labels[place] == positive,
        (decided[place] == positive).astype(np.float64),
        levels(score[place]) if len(place) else score[place],
        None if weight is None else weight[place],
    )
    return rows, np.flatnonzero(labelled & ~there)


@dataclass(frozen=True)
class Split:
    """Rows of one attribute, dealt into two parts.

    Attributes:
        attribute: whose groups these are.
        groups: names of those that have enough rows of either label.
        fitted: rows that mitigations are fitted on.
        held: rows that they are judged on.
        excluded: groups that are left out, and rows of others that have no answer.
    """

    attribute: str
    groups: tuple[str, ...]
    fitted: Rows
    held: Rows
    excluded: tuple[Excluded, ...]


def split(
    rows: Rows, unanswered: Ints, groups: NDArray[np.object_], attribute: str, least: int, rng: np.random.Generator
) -> Split:
    """Leave out small groups, and deal out the rest at random within each group and label.

    Args:
        rows: from `answered`.
        unanswered: places of rows without an answer.
        groups: of every row of the records, as text.
        attribute: its name.
        least: rows of either label that each part needs of a group.
        rng: deals.
    """
    codes, names = pd.factorize(groups, sort=True)
    numbered = replace(rows, group=codes[rows.place].astype(np.int64))
    lacking = np.bincount(codes[unanswered], minlength=len(names))
    excluded, kept = [], []
    for number, name in enumerate(names):
        found = list(_effective(numbered.of(numbered.group == number)))
        count, what = min(found, key=lambda each: each[0])
        if count >= 2 * least:
            kept.append(number)
        else:
            reason = Reason(code="too_few", params={"needed": 2 * least, "found": count, "what": what})
            excluded.append(Excluded(group=str(name), n=int((numbered.group == number).sum()), reason=reason))
    excluded += [
        Excluded(group=str(names[number]), n=int(lacking[number]), reason=NO_ANSWER)
        for number in np.flatnonzero(lacking)
    ]
    usable = numbered.of(np.isin(numbered.group, kept))
    usable = replace(usable, group=np.searchsorted(kept, usable.group).astype(np.int64)).in_fixed_order()
    fitted = _dealt(usable.group * 2 + usable.truth, rng)
    return Split(
        attribute,
        tuple(str(names[number]) for number in kept),
        _by_weight(usable.of(fitted), rng),
        usable.of(~fitted),
        tuple(excluded),
    )


def _effective(rows: Rows) -> Iterator[tuple[int, str]]:
    """Rows of either label, or effective rows where those are fewer, with the name of the label."""
    for what, truth in (("positives", True), ("negatives", False)):
        count = np.flatnonzero(rows.truth == truth)
        if rows.weight is None or not len(count):
            yield len(count), what
        else:
            w = rows.weight[count]
            yield int(min(len(count), w.sum() ** 2 / (w * w).sum() + 1e-9)), what


def _dealt(stratum: Ints, rng: np.random.Generator) -> Flags:
    """Half of each stratum at random, or its share of the most that is fitted on; the odd row is held out."""
    rows = len(stratum)
    order = rng.permutation(rows)
    order = order[np.argsort(stratum[order], kind="stable")]
    sizes = np.bincount(stratum)
    rank = np.arange(rows) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    share = min(0.5, MOST_FITTED / max(rows, 1))
    taken = np.zeros(rows, dtype=bool)
    taken[order] = rank < np.maximum(np.floor(sizes * share), 1)[stratum[order]]
    return taken


def _by_weight(rows: Rows, rng: np.random.Generator) -> Rows:
    """Draw rows by their weights, since fairlearn's search takes none; both labels stay in every group."""
    if rows.weight is None or not len(rows):
        return rows
    drawn = rows.of(rng.choice(len(rows), len(rows), p=rows.weight / rows.weight.sum()))
    strata = [np.unique(each.group * 2 + each.truth) for each in (rows, drawn)]
    return replace(drawn if len(strata[0]) == len(strata[1]) else rows, weight=None)


@dataclass(frozen=True)
class Outcome:
    """What a rule does to the rows held out.

    Attributes:
        shares: the rates that the constraint makes equal, by group.
        difference: the largest difference between any two groups in any of them.
        accuracy: with its limits.
        rates: the first of the rates, by group.
    """

    shares: tuple[Shares, ...]
    difference: float
    accuracy: tuple[float, float, float]
    rates: Floats


def outcome(held: Split, selected: Floats, constraint: Constraint, method: str, level: float) -> Outcome:
    """Judge a rule.

    Args:
        held: the split; its rows held out are judged.
        selected: chance of each to be selected.
        constraint: what is to be equal among groups.
        method: how the rule came to be.
        level: confidence level of the accuracy's interval.
    """
    rows, shares = held.held, []
    w = np.ones(len(rows)) if rows.weight is None else rows.weight
    size = len(held.groups)
    for what, truth in RATES[constraint]:
        part = np.ones(len(rows), dtype=bool) if truth is None else rows.truth == truth
        group, weight = rows.group[part], w[part]
        parts = (weight, weight**2, weight * selected[part])
        n, x = weighted(*(np.bincount(group, each, minlength=size).astype(np.float64) for each in parts))
        where = {"method": method, "constraint": constraint}
        count = np.bincount(group, minlength=size)
        shares.append(Shares(held.attribute, held.groups, count, n, x, what, where))
    rates = [share.x / share.n for share in shares]
    effective = w.sum() ** 2 / (w * w).sum()
    right = float((w * right_chance(rows, selected)).sum() / w.sum())
    low, high = wilson(right * effective, effective, critical_value(level))
    difference = max(float(np.ptp(rate)) for rate in rates)
    return Outcome(tuple(shares), difference, (right, float(low), float(high)), rates[0])


def right_chance(rows: Rows, selected: Floats) -> Floats:
    """Chance of each decision to be right."""
    return np.where(rows.truth, selected, 1 - selected)


def changes(
    held: Split, selected: Floats, constraint: Constraint, level: float
) -> tuple[Change, tuple[str, Change], tuple[str, Change]]:
    """Change of the accuracy, and of the rate of the groups that had the lowest and the highest, on the rows held out.

    Which groups these are is read off the rows fitted on: of the same rows, the lowest rate would tend to rise again.
    """
    rows, fitted = held.held, held.fitted
    truth = RATES[constraint][0][1]
    of_fitted, of_held = (
        np.ones(len(part), dtype=bool) if truth is None else part.truth == truth for part in (fitted, rows)
    )
    sums = [np.bincount(fitted.group[of_fitted], each) for each in (None, fitted.decided[of_fitted])]
    before = sums[1] / sums[0]

    def of_group(number: int) -> tuple[str, Change]:
        kept = of_held & (rows.group == number)
        weight = None if rows.weight is None else rows.weight[kept]
        return held.groups[number], change(selected[kept], rows.decided[kept], weight, level)

    accuracy = change(right_chance(rows, selected), right_chance(rows, rows.decided), rows.weight, level)
    return accuracy, of_group(int(before.argmin())), of_group(int(before.argmax()))
