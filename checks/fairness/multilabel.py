"""Multilabel fairness: of several labels that a row may have at once, does each treat the groups alike?

What it measures: for every label that rows may have or not have (toxic, insulting, threatening; several diagnoses),
and every sensitive attribute and intersection, the rates, gaps and ratios of `fairness.group`, label by label. Each
label has a column of true values and a column of decisions, which the options name in the same order.

Why it matters: a model of many labels can be even-handed in most of them and on average, and unfair in one; an average
over labels hides exactly that.

What it cannot show: how labels go together, and who is given a wrong combination of right labels. Every label is a
further comparison: the p-values are adjusted for their number, the intervals of one label's gap are not.

References:

- Hardt, Price & Srebro (2016), Equality of opportunity in supervised learning, NeurIPS. arXiv:1610.02413
- Tsoumakas & Katakis (2007), Multi-label classification: an overview, International Journal of Data Warehousing and
  Mining 3:1-13
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.columns import MISSING
from fairwitness.audit.evidence import Column, Measurement, NotAssessed, Reason
from fairwitness.audit.tallies import Crosstab, Records, group_name
from fairwitness.checks.fairness._rates import GAPS, PER_LABEL, RATES, of_attribute

METRICS = {name: metric for name, metric in (RATES | GAPS).items() if name in PER_LABEL}
_PLACES = {"0": 0, "False": 0, "1": 1, "True": 1, MISSING: 2}


def measure(
    records: Records,
    rng: np.random.Generator,
    *,
    labels: Annotated[tuple[str, ...], Column()] = (),
    decisions: Annotated[tuple[str, ...], Column()] = (),
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
    min_denominator: Annotated[int, Field(ge=1)] = 10,
) -> Iterator[Measurement]:
    """Yield the rates and gaps of every label.

    Args:
        records: rows with the columns of the labels.
        rng: randomness for simultaneous critical values and permutation tests.
        labels: columns of true values, one a label: 1 or true where the row has it, 0 or false where it has not.
        decisions: columns of decisions, in the same order.
        level: confidence level of the intervals.
        min_denominator: a rate on fewer rows than this is not estimable.
    """
    if not labels or len(labels) != len(decisions) or len(set(labels)) < len(labels):
        raise NotAssessed("needs_labels_and_decisions", labels=len(labels), decisions=len(decisions))
    if not records.names:
        raise NotAssessed("no_attributes")
    columns = [
        (name, _coded(records, name), _coded(records, decided)) for name, decided in zip(labels, decisions, strict=True)
    ]
    for attribute in records.names:
        try:
            place, parts = records.grouped(attribute)
        except NotAssessed as why:
            for name in labels:
                yield Measurement(
                    metric="demographic_parity_difference", attribute=attribute, n=0, where={"label": name},
                    status="not_estimable", reason=why.reason,
                )  # fmt: skip
            continue
        for name, truth, decided in columns:
            table = _crosstab(attribute, parts, place, truth, decided, records.weights)
            absent = not np.any((truth == 1) | (decided == 1))
            yield from of_attribute(
                table, rng, level=level, least=min_denominator, where={"label": name}, only=PER_LABEL,
                refused=Reason(code="positive_absent", params={"positive": name}) if absent else None,
            )  # fmt: skip


def _coded(records: Records, column: str) -> NDArray[np.int64]:
    """0, 1 or missing (2) of each row."""
    text = records.text(column)
    if strangers := sorted(set(text.tolist()) - set(_PLACES)):
        raise NotAssessed("not_yes_or_no", column=column, found=", ".join(strangers[:3]))
    return np.array([_PLACES[value] for value in text.tolist()], dtype=np.int64)


def _crosstab(
    attribute: str,
    parts: tuple[tuple[str, ...], ...],
    place: NDArray[np.int64],
    truth: NDArray[np.int64],
    decided: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
) -> Crosstab:
    """Count rows by group, truth and decision; rows without a decision are not in the binary table."""
    w = np.ones(len(place)) if weights is None else weights
    flat = (place * 3 + truth) * 3 + decided
    ones = np.ones(len(w))
    n, sums, squares = (
        np.bincount(flat, values, minlength=9 * len(parts)).reshape(-1, 3, 3).astype(np.float64)
        for values in (ones, w, w * w)
    )
    names, counts = ("0", "1", MISSING), n.astype(np.int64)
    groups, undecided = tuple(map(group_name, parts)), counts[:, :, 2].sum(axis=1)
    return Crosstab(attribute, groups, names, names, counts, sums, squares, undecided, parts).binary("1")
