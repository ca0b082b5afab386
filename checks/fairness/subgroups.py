"""Divergent subgroups: where, among all combinations of features, do decisions and errors differ most?

What it measures: all subgroups that a conjunction of up to three items describes (an item is a value of a feature or of
a sensitive attribute: age < 25 and sex = Male) and that hold 5 % of the rows or more. The divergence of a subgroup is
its false positive rate, false negative rate, accuracy or selection rate less that of all rows. Searching thousands of
subgroups always finds some that differ, so the search is paid for: by default it is made on a random half of the rows
and its finds are measured on the other half, with intervals that hold together; or all rows are used and outcomes are
shuffled to see how far the largest divergence goes by chance. The largest divergence has an interval that holds for the
largest of all the subgroups searched. The Shapley value of each item says how much it contributes.

Why it matters: a system can treat women and men alike and the young and the old alike, and fail young women. Nobody
names such a subgroup in advance.

What it cannot show: subgroups smaller than the support, of more items, or of what is not in the data. A subgroup that
differs need not be treated unjustly: features that rightly decide divide people into subgroups with unequal rates. The
intervals of one rate hold together; those of several rates do not.

References:

- Pastor, de Alfaro & Baralis (2021), Looking for trouble: analyzing classifier behavior via pattern divergence, SIGMOD,
  1400-1412. doi:10.1145/3448016.3457284
- Kearns, Neel, Roth & Wu (2018), Preventing fairness gerrymandering, ICML. arXiv:1711.05144
- Westfall & Young (1993), Resampling-based multiple testing, Wiley
- Newcombe (1998), Interval estimation for the difference between independent proportions, Statistics in Medicine
  17:873-890
- Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6:65-70
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from fairwitness.audit.columns import MISSING
from fairwitness.audit.comparison import NO_ANSWER
from fairwitness.audit.evidence import Column, Excluded, Measurement, Metric, NotAssessed, Reason, Scalar
from fairwitness.audit.statistics.subgroup_search import frequent_sets, item_bits
from fairwitness.audit.tallies import Contingency, Records
from fairwitness.checks.fairness._subgroups_items import items_of
from fairwitness.checks.fairness._subgroups_rates import Space, in_fixed_order, rates_of
from fairwitness.checks.fairness._subgroups_search import Search, Settings, not_estimable

METRICS = {
    "divergence": Metric("Divergence of a subgroup", range=(-1.0, 1.0), ideal=0.0, evidence=("EV-GROUP-GAP",)),
    "largest_divergence": Metric(
        "Largest divergence of a subgroup", better="low", range=(0.0, 1.0), ideal=0.0, evidence=("EV-GROUP-GAP",)
    ),
}


def measure(
    records: Records,
    contingency: Contingency,
    rng: np.random.Generator,
    *,
    features: Annotated[str | tuple[str, ...], Column()] = (),
    support: Annotated[float, Field(gt=0, le=0.5)] = 0.05,
    depth: Annotated[int, Field(ge=1, le=6)] = 3,
    top: Annotated[int, Field(ge=1)] = 10,
    bins: Annotated[int, Field(ge=2, le=20)] = 3,
    confirm: Literal["permutation", "split"] = "split",
    permutations: Annotated[int, Field(ge=19)] = 200,
    redundancy: Annotated[float, Field(ge=0, lt=1)] = 0.01,
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield the most divergent subgroups of every rate, and the largest divergence.

    Args:
        records: the rows, or a uniform sample of them.
        contingency: rows by true label and decision: is there a positive label?
        rng: randomness for the halves and the shuffles.
        features: columns to combine; default the model's features and the sensitive columns.
        support: smallest share of the rows that a subgroup holds.
        depth: most items of a subgroup.
        top: subgroups to be told of each rate.
        bins: bins, of equal size, of columns with more than ten numbers; [data.bins] goes first.
        confirm: "split" searches one half and measures on the other; "permutation" does both on all rows.
        permutations: how often outcomes are shuffled.
        redundancy: a subgroup is not told if dropping one of its items changes its divergence by this or less.
        level: confidence level of the intervals.
        min_denominator: a subgroup with fewer rows in a rate's denominator than this is not estimable.
    """
    target = contingency.layout.target
    if target.positive is None:
        raise NotAssessed("task", needed="binary", task=target.task)
    layout = records.layout
    named = (features,) if isinstance(features, str) else features
    if layout.label in named:
        raise NotAssessed("target_is_no_feature", column=layout.label)
    columns = [
        name
        for name in dict.fromkeys(named or (*layout.features, *layout.attributes))
        if name in records.rows.column_names and name != layout.label
    ]
    if not columns:
        raise NotAssessed("features_not_read")
    rates = rates_of(records, target.positive)
    refused = contingency.refusal()
    if refused is not None:
        yield from (not_estimable(rate, refused) for rate in rates)
        return
    items, rows = items_of(records.rows, columns, layout.bins, bins), records.rows.num_rows
    items, rates, weights = in_fixed_order(items, rates, records.weights)
    bits = item_bits(items.codes, items.column, items.value)
    lattice = frequent_sets(bits, items.column, max(1, math.ceil(support * rows - 1e-9)), depth)
    if not len(lattice.sets):
        raise NotAssessed("no_subgroups", support=support)
    half = rng.permutation(rows) < rows // 2 if confirm == "split" else None
    facts: dict[str, Scalar] = {"Rows searched": rows, "Rows of the data": records.seen, "Items": len(items.names)}
    if lattice.depth < depth:
        facts["Most items of a subgroup, for want of time"] = lattice.depth
    if items.left_out:
        facts["Columns left out, with too many values"] = ", ".join(items.left_out)
    settings = Settings(top, permutations, redundancy, level, min_denominator, facts, _unanswered(contingency))
    search = Search(Space(items, bits, lattice, weights), half, settings, rng)
    labelled = any(name != MISSING for name in contingency.crosstab().truths)
    for rate in rates:
        if labelled or rate.name == "selection_rate":
            yield from search.of(rate)
        else:
            yield not_estimable(rate, Reason(code="needs_labels"))


def _unanswered(contingency: Contingency) -> tuple[Excluded, ...]:
    """Rows that the model gave no answer for: a gate cannot pass over them."""
    rows = int(contingency.crosstab().undecided.sum())
    return (Excluded(group="(all rows)", n=rows, reason=NO_ANSWER),) if rows else ()
