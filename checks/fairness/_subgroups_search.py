"""The search of one rate: which subgroups are told, and how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Details, Excluded, Interval, Measurement, Reason, Scalar, Table
from fairwitness.audit.statistics.divergence import Contrast, normal_p, permutation_critical, permutation_p
from fairwitness.audit.statistics.intervals import critical_value
from fairwitness.audit.statistics.multiplicity import holm
from fairwitness.audit.statistics.subgroup_search import redundant, shapley
from fairwitness.checks.fairness._subgroups_rates import Rate, Rows, Space

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Settings:
    """Options of the check, and what stands beside every number.

    Attributes:
        top: subgroups to be told.
        permutations: how often outcomes are shuffled.
        redundancy: a change of divergence that is none.
        level: confidence level.
        least: fewest rows of a denominator, in every part of the data that is used.
        facts: of the search, the same for all rates.
        excluded: rows that are in no rate.
    """

    top: int
    permutations: int
    redundancy: float
    level: float
    least: int
    facts: dict[str, Scalar]
    excluded: tuple[Excluded, ...]


@dataclass(frozen=True)
class Found:
    """What is said of a rate's subgroups.

    Attributes:
        told: places of the subgroups to be told, in their order of rank.
        searched: what they were chosen on; None where that is what they are measured on.
        on: what they are measured on.
        low: lower limits, shape (told,); all hold together.
        high: upper limits, likewise.
        p: adjusted p-values, likewise.
        largest: the largest |divergence|, its lower and its upper limit.
        of: the place of the subgroup that has it.
        largest_p: p-value of "no subgroup diverges".
        method: of the intervals.
    """

    told: Places
    searched: Contrast | None
    on: Contrast
    low: Floats
    high: Floats
    p: Floats
    largest: tuple[float, float, float]
    of: int
    largest_p: float
    method: str


@dataclass(frozen=True)
class Search:
    """Searches the subgroups of one rate.

    Attributes:
        space: the subgroups.
        half: rows that are searched, the others are measured; None where all are both.
        settings: options.
        rng: randomness of the shuffles.
    """

    space: Space
    half: Rows | None
    settings: Settings
    rng: np.random.Generator

    def of(self, rate: Rate) -> Iterator[Measurement]:
        """Yield the subgroups of a rate that are told, and the largest divergence."""
        every = np.ones(len(rate.counted), dtype=bool)
        parts = [every] if self.half is None else [every, self.half, ~self.half]
        contrasts = self.space.contrasts(rate, parts)
        rows = [np.where(part.n_outside > 0, np.minimum(part.count, part.n + 1e-9), 0) for part in contrasts]
        least, fewest = self.settings.least, np.min(rows, axis=0)
        if fewest.max(initial=0) < least:
            params: dict[str, Scalar] = {"needed": least, "found": int(fewest.max(initial=0)), "what": rate.what}
            yield not_estimable(rate, Reason(code="too_few", params=params))
            return
        whole, usable = contrasts[0], rows[0] >= least
        critical, maxima, facts = self._law(rate, np.flatnonzero(usable))
        facts |= {"Subgroups searched": int(usable.sum()), "Subgroups too small": int((~usable).sum())}
        if self.half is None:
            found = self._on_all(whole, usable, critical, maxima)
        else:
            upper = self._spread(whole, np.flatnonzero(usable), critical)[1]
            found = self._on_other_half(rate, contrasts[1], contrasts[2], fewest >= least, upper)
            if maxima is not None:
                p = permutation_p(np.abs(whole.standardised[usable]).max(), maxima)
                facts["p of all rows and all subgroups, by shuffles"] = float(p)
        yield from (self._told(rate, found, i) for i in range(len(found.told)))
        yield self._largest(rate, found, facts)

    def _law(
        self, rate: Rate, chosen: Places, part: Rows | None = None
    ) -> tuple[float, Floats | None, dict[str, Scalar]]:
        """Critical value of some subgroups together, their largest statistic in each shuffle, and facts.

        Bonferroni's bound rests on a normal law that rare outcomes do not have; the shuffles know theirs.
        """
        level = self.settings.level
        bonferroni = critical_value(1 - (1 - level) / len(chosen))
        if self.space.weights is not None:
            return bonferroni, None, {"Simultaneous critical value": bonferroni}
        t, divergence = self.space.under_no_divergence(rate, chosen, part, self.settings.permutations, self.rng)
        critical = permutation_critical(t, level)
        critical = bonferroni if np.isinf(critical) else max(critical, critical_value(level))
        facts: dict[str, Scalar] = {
            "Simultaneous critical value": critical,
            "Largest divergence expected if there were none": float(divergence.mean()),
        }
        return critical, t, facts

    @staticmethod
    def _spread(contrast: Contrast, chosen: Places, critical: float) -> tuple[float, float]:
        """Limits of the largest |divergence| of some subgroups, if the intervals of all hold."""
        low, high = contrast.at(chosen).interval(critical)
        return float(np.maximum(0.0, np.maximum(low, -high)).max()), float(np.maximum(high, -low).max())

    def _ranked(self, contrast: Contrast, usable: Rows, key: Floats) -> Places:
        """The subgroups that say something new, by falling key; the first of all where none does."""
        order = np.argsort(-key, kind="stable")
        order = order[usable[order]]
        again = redundant(self.space.lattice, contrast.divergence, self.settings.redundancy)
        fresh = order[~again[order]]
        return fresh[: self.settings.top] if fresh.size else order[:1]

    def _on_all(self, whole: Contrast, usable: Rows, critical: float, maxima: Floats | None) -> Found:
        """Tell the largest, as they are; every interval and p-value is adjusted for all that were searched."""
        size = np.abs(whole.divergence)
        told = self._ranked(whole, usable, size)
        t = np.abs(whole.standardised)
        p = np.minimum(1.0, normal_p(t) * usable.sum()) if maxima is None else permutation_p(t, maxima)
        # It may be a redundant one, which is not told: the smallest of those that are equal.
        first = int(np.where(usable, size, -1.0).argmax())
        largest = float(size[first]), *self._spread(whole, np.flatnonzero(usable), critical)
        low, high = whole.at(told).interval(critical)
        return Found(told, None, whole, low, high, p[told], largest, first, float(p[usable].min()), _method(maxima))

    def _on_other_half(self, rate: Rate, searched: Contrast, other: Contrast, usable: Rows, upper: float) -> Found:
        """Tell those that the searched half is surest of, as the other half shows them.

        They are a fixed few on rows that had no say in choosing them: it is enough to adjust for these few.
        """
        low, high = searched.interval(critical_value(self.settings.level))
        told = self._ranked(searched, usable, np.maximum(low, -high))
        shown = other.at(told)
        critical, maxima, _ = self._law(rate, told, None if self.half is None else ~self.half)
        low, high = shown.interval(critical)
        p = holm(normal_p(shown.standardised) if maxima is None else shown.exact_p)
        first = int(told[np.abs(shown.divergence).argmax()])
        value = abs(float(other.divergence[first]))
        # What was found is a lower bound of the largest; an upper one must hold for what was not found too.
        largest = value, self._spread(other, told, critical)[0], max(value, upper)
        method = _method(maxima) + ", on held-out rows"
        return Found(told, searched, other, low, high, p, largest, first, float(p.min()), method)

    def _told(self, rate: Rate, found: Found, i: int) -> Measurement:
        """One subgroup."""
        at, lattice, rows = int(found.told[i]), self.space.lattice, len(self.space.items.codes)
        divergence, rates = found.on.divergence, found.on.rate
        items, shares = lattice.items(at), shapley(lattice, at, divergence)
        alone = [float(divergence[lattice.places[item,]]) for item in items]
        facts: dict[str, Scalar] = {
            "Rank": i + 1,
            "Support (share of rows)": float(lattice.support[at] / rows),
            "Rate in the subgroup": float(rates[at]),
            "Rate of all": found.on.whole[0] / found.on.whole[1],
            "t of DivExplorer": float(found.on.beta_t[at]),
        }
        if found.searched is not None:
            facts["Divergence on the searched half"] = float(found.searched.divergence[at])
        names = self.space.items.names
        table = Table(
            columns=("Item", "Contribution (Shapley)", "Divergence of the item alone"),
            rows=tuple((names[k], *numbers) for k, *numbers in zip(items, shares, alone, strict=True)),
        )
        return Measurement(
            metric="divergence",
            value=float(divergence[at]),
            interval=Interval(
                low=float(found.low[i]), high=float(found.high[i]), level=self.settings.level, method=found.method
            ),
            n=int(found.on.count[at]),
            where={"rate": rate.name, "subgroup": self._name(at)},
            p_value=float(found.p[i]),
            details=Details(facts=facts, table=table, excluded=self.settings.excluded),
        )

    def _largest(self, rate: Rate, found: Found, facts: dict[str, Scalar]) -> Measurement:
        """The largest divergence of all subgroups."""
        value, low, high = found.largest
        return Measurement(
            metric="largest_divergence",
            value=value,
            interval=Interval(low=low, high=high, level=self.settings.level, method=found.method),
            n=int(rate.counted.sum()),
            where={"rate": rate.name},
            p_value=found.largest_p,
            details=Details(
                facts={"Subgroup": self._name(found.of)} | facts | self.settings.facts,
                excluded=self.settings.excluded,
            ),
        )

    def _name(self, at: int) -> str:
        return ", ".join(self.space.items.names[item] for item in self.space.lattice.items(at))


def _method(maxima: Floats | None) -> str:
    return "MOVER-Wilson, Bonferroni" if maxima is None else "MOVER-Wilson, largest of the shuffles"


def not_estimable(rate: Rate, reason: Reason) -> Measurement:
    """Say why nothing is said of a rate."""
    return Measurement(
        metric="largest_divergence",
        n=int(rate.counted.sum()),
        where={"rate": rate.name},
        status="not_estimable",
        reason=reason,
    )
