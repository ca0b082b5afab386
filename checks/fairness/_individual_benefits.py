"""Inequality of benefits: 0 for a wrong rejection, 1 for a right decision, 2 for a wrong selection."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.columns import label_name
from fairwitness.audit.comparison import NO_ANSWER, Shares, excluded_from
from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Reason, Scalar, Table
from fairwitness.audit.statistics.inequality import between_groups, entropy_interval
from fairwitness.audit.tallies import Crosstab

BENEFITS = np.array([0.0, 1.0, 2.0])
OVERALL = ("generalized_entropy", "theil")
BETWEEN = ("between_group_entropy", "between_group_theil")


class Benefits:
    """Says how unequal benefits are; holds what every sentence needs.

    Args:
        positive: label that means selected.
        alpha: parameter of the generalised entropy.
        rng: randomness for draws of counts.
        level: confidence level.
        least: fewest labelled rows of the whole, or of a group.
    """

    def __init__(self, positive: str, alpha: float, rng: np.random.Generator, level: float, least: int) -> None:
        self.positive, self.alpha, self.rng, self.level, self.least = positive, alpha, rng, level, least

    def _indices(self, metrics: tuple[str, str]) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Both indices: name, parameter, and what the entropy is told apart by."""
        yield metrics[0], self.alpha, {"alpha": label_name(self.alpha)}
        yield metrics[1], 1.0, {}

    def overall(self, table: Crosstab) -> Iterator[Measurement]:
        """Inequality over all rows."""
        rows, counts, _ = _counted(table.binary(self.positive))
        undecided = int(table.undecided.sum())
        excluded = (Excluded(group="(all rows)", n=undecided, reason=NO_ANSWER),) if undecided else ()
        n, total = int(rows.sum()), counts.sum(axis=0)
        reason = self._refusal(table, n, float(total.sum()))
        for metric, alpha, where in self._indices(OVERALL):
            said: dict[str, Any] = {"metric": metric, "n": n, "where": where}
            if reason is None and total[1] + total[2] <= 0:
                yield Measurement(**said, status="not_estimable", reason=Reason(code="no_benefit"))
            elif reason is not None:
                yield Measurement(**said, status="not_estimable", reason=reason)
            else:
                value, low, high = entropy_interval(BENEFITS, total, alpha, self.level, self.rng)
                interval = Interval(low=low, high=high, level=self.level, method="Dirichlet posterior")
                facts: dict[str, Scalar] = {
                    "Mean benefit": float(BENEFITS @ total / total.sum()),
                    "Share wrongly rejected": float(total[0] / total.sum()),
                    "Share wrongly selected": float(total[2] / total.sum()),
                }
                details = Details(facts=facts, excluded=excluded)
                yield Measurement(**said, value=value, interval=interval, details=details)

    def _refusal(self, table: Crosstab, n: int, effective: float) -> Reason | None:
        """Why there is no index: no labels, or too few of them."""
        if n == 0 and table.n.sum() and not table.binary(self.positive).n[:, :2].sum():
            return Reason(code="needs_labels")
        if min(n, effective + 1e-9) < self.least:
            found = int(min(n, effective + 1e-9))
            return Reason(code="too_few", params={"needed": self.least, "found": found, "what": "labelled rows"})
        return None

    def between(self, table: Crosstab) -> Iterator[Measurement]:
        """The part of the inequality that is between an attribute's groups."""
        rows, counts, own = _counted(table.binary(self.positive))
        n = int(rows.sum())
        shares = Shares(table.attribute, table.groups, rows, own, own, "labelled rows", undecided=table.undecided)
        kept = shares.estimable(self.least)
        excluded = excluded_from([shares], [kept], self.least)
        reason = self._refusal(table, n, float(counts.sum()))
        if reason is None and kept.sum() < 2:
            few: dict[str, Scalar] = {"attribute": table.attribute, "estimable": int(kept.sum())}
            reason = Reason(code="fewer_than_two_groups", params=few)
        if reason is None and counts[kept][:, 1:].sum() <= 0:
            reason = Reason(code="no_benefit")
        for metric, alpha, where in self._indices(BETWEEN):
            said: dict[str, Any] = {"metric": metric, "attribute": table.attribute, "n": n, "where": where}
            if reason is not None:
                details = Details(excluded=excluded) if excluded else None
                yield Measurement(**said, status="not_estimable", reason=reason, details=details)
                continue
            value, low, high, p_value = between_groups(BENEFITS, counts[kept], alpha, self.level)
            whole = entropy_interval(BENEFITS, counts[kept].sum(axis=0), alpha, self.level, self.rng)[0]
            facts: dict[str, Scalar] = {"Inequality of all rows compared": whole}
            if whole > 0:
                facts["Share of it between groups"] = value / whole
            yield Measurement(
                **said | {"n": int(rows[kept].sum())},
                value=value,
                interval=Interval(low=low, high=high, level=self.level, method="Noncentral chi-square"),
                p_value=p_value,
                details=Details(facts=facts, table=_table(shares, counts, kept), excluded=excluded),
            )


def _counted(table: Crosstab) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Labelled rows by group; effective counts by group and benefit; and each group's own effective rows.

    One factor scales the counts of all groups, so that the groups' shares are those of the weights.
    """
    w, total, squares = table.w[:, :2], table.w[:, :2].sum(), table.w2[:, :2].sum()
    scale = total / squares if squares > 0 else 0.0
    benefit = np.stack([w[:, 1, 0], w[:, 0, 0] + w[:, 1, 1], w[:, 0, 1]], axis=1) * scale
    of_group, squared = w.sum(axis=(1, 2)), table.w2[:, :2].sum(axis=(1, 2))
    own = np.divide(of_group**2, squared, out=np.zeros_like(of_group), where=squared > 0)
    return table.n[:, :2].sum(axis=(1, 2)), benefit, own


def _table(shares: Shares, counts: NDArray[np.float64], kept: NDArray[np.bool_]) -> Table:
    rows = tuple(
        (shares.groups[i], int(shares.count[i]), float(BENEFITS @ counts[i] / counts[i].sum()))
        for i in np.flatnonzero(kept).tolist()
    )
    return Table(columns=("Group", "Labelled rows", "Mean benefit"), rows=rows)
