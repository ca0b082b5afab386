"""How well a column tells the groups of a sensitive attribute apart."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

LEVELS = 20  # a number with more distinct values is cut at its deciles
LEAST = 10  # rows of a level or a group; smaller ones are joined


@dataclass(frozen=True)
class Association:
    """Cramér's V of a column and the groups, corrected for bias, with its interval.

    Attributes:
        value: 0 (independent) to 1 (each determines the other).
        low: lower limit.
        high: upper limit.
    """

    value: float
    low: float
    high: float


def association(column: "pd.Series[Any]", groups: NDArray[np.object_], level: float) -> Association | None:
    """Measure the association of a column of any type with the groups of an attribute.

    Numbers of more than 20 values are cut at their deciles, so that any form of dependence shows; a missing value is
    a level of its own. The limits are those at which the noncentral chi-square distribution makes the observed
    statistic improbable (Steiger & Fouladi 1997; Smithson 2003, Confidence Intervals, chapter 4); the value is
    corrected as in Bergsma (2013), Journal of the Korean Statistical Society 42:323-328.

    Args:
        column: shape (rows,).
        groups: shape (rows,).
        level: confidence level.

    Returns:
        The association; None where the column or the attribute has one level only.
    """
    table = _table(_joined(_levels(column)), _joined(pd.factorize(groups)[0]))
    r, k = table.shape
    n = float(table.sum())
    if min(r, k) < 2 or n < 2 * LEAST:
        return None
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / n
    statistic = float(((table - expected) ** 2 / expected).sum())
    degrees, largest = (r - 1) * (k - 1), n * (min(r, k) - 1)
    excess = max(0.0, statistic / n - degrees / (n - 1))
    corrected = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    value = min(1.0, math.sqrt(excess / corrected))
    tail = (1 - level) / 2
    low, high = (math.sqrt(_noncentrality(statistic, degrees, p) / largest) for p in (1 - tail, tail))
    return Association(value, min(low, value), min(1.0, max(high, value)))


def _noncentrality(statistic: float, degrees: int, probability: float) -> float:
    """The noncentrality at which the statistic is the quantile of that probability; 0 where none is."""

    def excess(noncentrality: float) -> float:
        return float(stats.ncx2.cdf(statistic, degrees, noncentrality)) - probability

    if float(stats.chi2.cdf(statistic, degrees)) <= probability:
        return 0.0
    high = statistic + 10 * math.sqrt(2 * statistic) + 100
    return float(optimize.brentq(excess, 1e-9, high)) if excess(1e-9) > 0 else 0.0


def _levels(column: "pd.Series[Any]") -> NDArray[np.int64]:
    """Code a column by its values, or by the tenth of the rows that they are in."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    if len(values) <= LEVELS or not pd.api.types.is_numeric_dtype(column):
        return np.asarray(codes, dtype=np.int64)
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    there = np.isfinite(numbers)
    edges = np.unique(np.quantile(numbers[there], np.linspace(0.1, 0.9, 9)))
    return np.where(there, np.searchsorted(edges, numbers, side="right"), len(edges) + 1)


def _joined(codes: Any) -> NDArray[np.int64]:
    """Join levels of fewer than `LEAST` rows to the level -1."""
    codes = np.asarray(codes, dtype=np.int64)
    rare = np.bincount(codes, minlength=1) < LEAST
    return np.where(rare[codes], -1, codes)


def _table(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count rows by both codes; what is rare even when joined is left out."""
    kept = np.ones(len(a), dtype=bool)
    for codes in (a, b):
        kept &= (codes >= 0) | (np.count_nonzero(codes < 0) >= LEAST)
    _, row = np.unique(a[kept], return_inverse=True)
    _, column = np.unique(b[kept], return_inverse=True)
    shape = (int(row.max(initial=-1)) + 1, int(column.max(initial=-1)) + 1)
    table = np.zeros(shape)
    np.add.at(table, (row, column), 1.0)
    return table
