"""The contingency table: what every confusion-matrix metric, of every group, is a function of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fairwitness.audit.columns import MISSING, OTHER, Coded, bin_order
from fairwitness.audit.evidence import NotAssessed, Reason
from fairwitness.audit.tallies import cells
from fairwitness.audit.tallies.batch import Batch, Counts, Floats, Layout

MAX_GROUPS = 200
MAX_CELLS = 1 << 22  # of one marginal table in memory


def thinned(
    tables: Sequence[pa.Table], attributes: Sequence[str], crowded: frozenset[str], further: Sequence[str] = ()
) -> tuple[pa.Table, frozenset[str]]:
    """Join tables of cells keyed by groups, and drop the attributes that have become crowded.

    An attribute is crowded in the end if and only if it has more than `MAX_GROUPS` values in all: it does not matter
    in which part, or at which merge, that was seen.

    Args:
        tables: with key columns `a0`, `a1`, ..., one an attribute.
        attributes: the sensitive columns.
        crowded: those that are crowded in some part.
        further: names of other key columns.

    Returns:
        The joined table, with one value in the columns of crowded attributes; and which these are.
    """
    keys = [*(f"a{i}" for i in range(len(attributes))), *further]
    table = cells.merge([_blank(table, attributes, crowded) for table in tables], keys)
    found = {name for i, name in enumerate(attributes) if pc.count_distinct(table.column(f"a{i}")).as_py() > MAX_GROUPS}
    if not found:
        return table, crowded
    crowded |= found
    return cells.merge([_blank(table, attributes, crowded)], keys), crowded


def _blank(table: pa.Table, attributes: Sequence[str], crowded: frozenset[str]) -> pa.Table:
    """Give every row the same value in the columns of crowded attributes."""
    for i, name in enumerate(attributes):
        if name in crowded:
            place = table.column_names.index(f"a{i}")
            table = table.set_column(place, f"a{i}", pa.array([MISSING] * table.num_rows, pa.large_string()))
    return table


@dataclass(frozen=True)
class Crosstab:
    """Rows by group, true label and predicted label.

    Attributes:
        attribute: `sex`, or `sex & race`; None for the whole.
        groups: names, in natural order; `("",)` for the whole.
        truths: true labels, sorted; `(missing)` for rows without one.
        decisions: predicted labels, sorted; `(missing)` for rows without one.
        n: rows, shape (groups, truths, decisions).
        w: sums of weights, same shape.
        w2: sums of squared weights, same shape.
    """

    attribute: str | None
    groups: tuple[str, ...]
    truths: tuple[str, ...]
    decisions: tuple[str, ...]
    n: Counts
    w: Floats
    w2: Floats

    @property
    def undecided(self) -> Counts:
        """Rows without a decision, shape (groups,)."""
        missing = [name == MISSING for name in self.decisions]
        return np.asarray(self.n[:, :, missing].sum(axis=(1, 2)))

    def binary(self, positive: str) -> "Crosstab":
        """One label against the rest.

        Returns:
            A crosstab with truths `("negative", "positive", "(missing)")` and decisions `("negative", "positive")`;
            rows without a decision are not in it.
        """
        truth = [2 if name == MISSING else int(name == positive) for name in self.truths]
        decision = [2 if name == MISSING else int(name == positive) for name in self.decisions]
        rows, columns = np.eye(3)[truth], np.eye(3)[decision][:, :2]
        folded = [np.einsum("gtd,ti,dj->gij", values, rows, columns) for values in (self.n, self.w, self.w2)]
        return replace(
            self,
            truths=("negative", "positive", MISSING),
            decisions=("negative", "positive"),
            n=folded[0].astype(np.int64),
            w=folded[1],
            w2=folded[2],
        )


@dataclass(frozen=True)
class Contingency:
    """Rows by all sensitive columns, true label and predicted label; every attribute is a marginal of it.

    Attributes:
        table: key columns `a0`, `a1`, ... (one a sensitive column), `truth`, `decided`; `n`; with weights also
            `batch`, `w`, `w2`.
        crowded: sensitive columns with more than `MAX_GROUPS` values: they are not in the table.
    """

    layout: Layout
    table: pa.Table
    crowded: frozenset[str]

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Count one batch."""
        attributes = batch.layout.attributes
        crowded = frozenset(name for name in attributes if batch.groups[name] is None)
        unknown = Coded(np.zeros(batch.rows, dtype=np.int64), (MISSING,))
        keys = {f"a{i}": batch.groups[name] or unknown for i, name in enumerate(attributes)}
        keys |= {"truth": batch.truth or unknown, "decided": batch.decided or unknown}
        weights = batch.weights
        sums = {} if weights is None else {"w": weights, "w2": weights * weights}
        table = cells.count(keys, sums, rows=batch.rows, batch=None if weights is None else batch.index)
        return cls(batch.layout, *thinned([table], attributes, crowded, ["truth", "decided"]))

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Join contingency tables."""
        first, crowded = parts[0], frozenset[str]().union(*(part.crowded for part in parts))
        tables = [part.table for part in parts]
        return cls(first.layout, *thinned(tables, first.layout.attributes, crowded, ["truth", "decided"]))

    @property
    def _keys(self) -> list[str]:
        return [*(f"a{i}" for i in range(len(self.layout.attributes))), "truth", "decided"]

    @cached_property
    def _settled(self) -> tuple[list[tuple[str, ...]], dict[str, Floats]]:
        return cells.settle(self.table, self._keys)

    @property
    def names(self) -> list[str]:
        """Sensitive attributes and intersections, in the plan's order."""
        return [*self.layout.attributes, *(" & ".join(several) for several in self.layout.crossed)]

    def crosstab(self, name: str | None = None) -> Crosstab:
        """The marginal table of one attribute or intersection; of the whole for None.

        Raises:
            NotAssessed: the attribute has too many values, or the intersection too many groups.
        """
        several = tuple(name.split(" & ")) if name else ()
        if crowded := [part for part in several if part in self.crowded]:
            raise NotAssessed("too_many_groups", attribute=crowded[0], limit=MAX_GROUPS)
        places = [self.layout.attributes.index(part) for part in several]
        found, sums = self._settled
        n = sums["n"]
        w, w2 = sums.get("w", n), sums.get("w2", n)
        groups = sorted({tuple(cell[i] for i in places) for cell in found}, key=lambda g: self._order(several, g))
        if len(groups) > MAX_GROUPS:
            raise NotAssessed("too_many_groups", attribute=name, groups=len(groups), limit=MAX_GROUPS)
        truths, decisions = (tuple(sorted({cell[i] for cell in found})) for i in (-2, -1))
        if len(groups) * len(truths) * len(decisions) > MAX_CELLS:
            raise NotAssessed("too_many_labels", labels=max(len(truths), len(decisions)))
        values = np.zeros((3, len(groups), len(truths), len(decisions)))
        at = [{name: i for i, name in enumerate(names)} for names in (groups, truths, decisions)]
        for cell, *row in zip(found, n, w, w2, strict=True):
            group = tuple(cell[i] for i in places)
            values[:, at[0][group], at[1][cell[-2]], at[2][cell[-1]]] += row
        return Crosstab(
            name, _joined(groups), truths, decisions, values[0].round().astype(np.int64), values[1], values[2]
        )

    def refusal(self) -> Reason | None:
        """Why nothing can be said of the positive label; None where something can.

        It occurs nowhere; or it is never decided, while the decisions have labels that are none of the target's: a
        misspelt label would look like a model that selects nobody, and equal treatment of all.
        """
        positive, table = self.layout.target.positive, self.crosstab()
        if positive in table.decisions:
            return None
        strangers = sorted(set(table.decisions) - set(table.truths) - {MISSING, OTHER})
        if positive not in table.truths:
            return Reason(code="positive_absent", params={"positive": positive})
        if strangers:
            return Reason(code="unknown_decisions", params={"positive": positive, "found": ", ".join(strangers[:5])})
        return None

    def by_attribute(self) -> Iterator[tuple[str, Crosstab | NotAssessed]]:
        """Each attribute and intersection with its table, or with why there is none."""
        for name in self.names:
            try:
                yield name, self.crosstab(name)
            except NotAssessed as why:
                yield name, why

    def _order(self, attributes: Sequence[str], group: Sequence[str]) -> list[tuple[int, float, str]]:
        """Natural order: bins and numbers by size, text by alphabet, missing last."""
        order: list[tuple[int, float, str]] = []
        for attribute, name in zip(attributes, group, strict=True):
            if name == MISSING:
                order.append((2, 0.0, name))
            elif attribute in self.layout.bins:
                order.append((0, float(bin_order(self.layout.bins[attribute], name)), name))
            else:
                order.append((0, float(name), name) if _is_plain_number(name) else (1, 0.0, name))
        return order


def _joined(groups: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Names of groups; two that would read the same are numbered."""
    seen: dict[str, int] = {}
    names = []
    for group in groups:
        name = " & ".join(group)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)


def _is_plain_number(name: str) -> bool:
    return name.removeprefix("-").replace(".", "", 1).isdecimal() and name.isascii()
