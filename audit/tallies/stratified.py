"""Contingency tables within strata: rows by sensitive columns, further columns, true label and decision."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from fairwitness.audit.columns import Coded, groups
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies.batch import Batch, Layout
from fairwitness.audit.tallies.contingency import Contingency, Crosstab
from fairwitness.audit.tallies.groups import MAX_GROUPS, distinct


@dataclass(frozen=True)
class Stratified(Contingency):
    """Rows counted by the columns that options of checks name, besides the sensitive ones."""

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Count one batch.

        Raises:
            NotAssessed: no option names strata, and the table would be the contingency table once more.
        """
        if not batch.layout.further:
            raise NotAssessed("needs_strata")
        return super().of(batch)

    @classmethod
    def _strata(cls, batch: Batch) -> dict[str, Coded | None]:
        bins = batch.layout.bins
        return {
            name: groups(batch.table.column(name), edges=bins.get(name), limit=MAX_GROUPS)
            for name in batch.layout.further
        }

    @classmethod
    def _columns(cls, layout: Layout) -> list[str]:
        return list(dict.fromkeys([*layout.attributes, *layout.further]))

    def tables(self, attribute: str, strata: tuple[str, ...]) -> list[tuple[str, Crosstab]]:
        """The marginal table of an attribute in each stratum, over the same groups and labels.

        Args:
            attribute: a sensitive column, or an intersection.
            strata: columns whose values, or combinations of values, make a stratum.

        Returns:
            Name and table of each stratum, in lexical order.

        Raises:
            NotAssessed: the attribute or a stratum column has too many values.
        """
        if hidden := [name for name in strata if name in self.crowded]:
            raise NotAssessed("too_many_groups", attribute=hidden[0], limit=MAX_GROUPS)
        columns, _ = self._settled
        keys = [columns[f"a{self._columns(self.layout).index(name)}"] for name in strata]
        stratum, first = distinct([key.codes for key in keys], self.table.num_rows)
        group, parts = self._groups(attribute)
        found = []
        for i, cell in enumerate(first):
            name = " & ".join(key.names[key.codes[cell]] for key in keys)
            found.append((name, self._tabulated(attribute, group, parts, np.flatnonzero(stratum == i))))
        return found
