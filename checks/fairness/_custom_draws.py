"""A user's own metric: what it gives for some rows, and how far that may be from the truth."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from fairwitness.audit.errors import UserError, foreign_code
from fairwitness.audit.evidence import Reason

Floats = NDArray[np.float64]

MOST_UNDEFINED = 0.1  # of the draws
PSEUDO_ROWS = 2.0  # over all cells: with two labels, Jeffreys' half a row a cell
SAME = 1e-9
LONGEST_MESSAGE = 300
LARGEST = 1e70  # whose fourth power, in the interval of a ratio, is finite


@dataclass(frozen=True)
class Answers:
    """Rows as a metric is given them.

    Attributes:
        truth: true labels or values, shape (rows,).
        predicted: decisions or predicted values, likewise.
        weight: more than 0; None where the function takes none, or rows have none.
    """

    truth: NDArray[Any]
    predicted: NDArray[Any]
    weight: Floats | None

    def __len__(self) -> int:
        return len(self.truth)

    def of(self, rows: NDArray[Any]) -> "Answers":
        """Some of the rows."""
        return Answers(self.truth[rows], self.predicted[rows], None if self.weight is None else self.weight[rows])

    def in_fixed_order(self) -> "Answers":
        """The same rows in an order that does not depend on how they came."""
        keys = (self.predicted, self.truth) if self.weight is None else (self.weight, self.predicted, self.truth)
        return self.of(np.lexsort(keys))


@dataclass(frozen=True)
class Estimate:
    """What a metric gave.

    Attributes:
        value: the number.
        below: standard deviation downwards.
        above: standard deviation upwards.
        degrees: of freedom of both.
    """

    value: float
    below: float
    above: float
    degrees: int

    @property
    def deviation(self) -> float:
        """Standard deviation, more than 0."""
        return math.sqrt((self.below**2 + self.above**2) / 2)

    def limits(self, critical: float) -> tuple[float, float]:
        """Limits at the quantile of Student's t that stands for a normal critical value."""
        wide = float(stats.t.isf(special.ndtr(-critical), self.degrees))
        return self.value - wide * self.below, self.value + wide * self.above


@dataclass(frozen=True)
class Function:
    """A metric that the plan names.

    Attributes:
        name: what the plan calls it.
        call: takes true and predicted labels or values, and gives a number.
        takes_weights: whether it has a parameter `sample_weight`.
    """

    name: str
    call: Callable[..., Any]
    takes_weights: bool

    @classmethod
    def of(cls, name: str, call: Callable[..., Any]) -> "Function":
        """Look at what a callable takes."""
        try:
            parameters = set(inspect.signature(call).parameters)
        except (TypeError, ValueError):  # written in C, and says nothing of its parameters
            parameters = set()
        return cls(name, call, "sample_weight" in parameters)

    def ask(self, truth: Any, predicted: Any, weight: Any = None) -> float | Reason:
        """Call it, and give its number, or why it gave none."""
        more = {} if weight is None else {"sample_weight": weight}
        try:
            with foreign_code(self.name), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = self.call(truth, predicted, **more)
                number = np.asarray(answer)
        except UserError as error:
            return Reason(code="metric_failed", params={"error": _printable(str(error))})
        if number.ndim or number.dtype.kind not in "biuf":
            return Reason(code="metric_no_number", params={"metric": self.name, "found": type(answer).__name__})
        if not np.isfinite(number):
            return Reason(code="metric_undefined", params={"metric": self.name})
        return float(number)

    def of_rows(self, rows: Answers) -> float | Reason:
        """Its number for some rows."""
        return self.ask(rows.truth, rows.predicted, rows.weight)


def _printable(text: str) -> str:
    """A message that can be written as UTF-8, and is not too long to be read."""
    return text.encode("utf-8", "backslashreplace").decode()[:LONGEST_MESSAGE]


def estimate(
    function: Function, rows: Answers, value: float, *, labels: bool, replicates: int, rng: np.random.Generator
) -> Estimate | Reason:
    """Estimate how far a metric may be from its true value.

    Labels: rows of the same truth and decision are the same to the metric, so tables of counts are drawn and not rows,
    from Dirichlet(count + 2 / cells), rounded to the number of rows: a share of 1 is no certainty. Values, and weights
    that are not a number of repetitions to the metric: a bootstrap over rows.
    The deviations downwards and upwards are the roots of twice the mean square of the draws below and above the value:
    those of a split normal distribution, which follows a skewed one.

    Args:
        function: the metric.
        rows: of one group.
        value: what it gave for them.
        labels: whether rows hold labels and not values.
        replicates: number of draws.
        rng: randomness of the draws.
    """
    table = _table(function, rows, value) if labels else None
    drawn = _resampled(rows, replicates, rng) if table is None else table.drawn(replicates, rng)
    found = [answer for answer in (function.of_rows(each) for each in drawn) if isinstance(answer, float)]
    if len(found) < (1 - MOST_UNDEFINED) * replicates:
        return Reason(code="metric_often_undefined", params={"undefined": replicates - len(found), "of": replicates})
    if max(np.abs([value, *found])) > LARGEST:
        return Reason(code="values_too_large", params={"limit": LARGEST})
    distance = np.array(found) - value
    below, above = (math.sqrt(2 * np.mean(np.minimum(side, 0) ** 2)) for side in (distance, -distance))
    if not max(below, above) > SAME * max(abs(value), 1e-3):
        return Reason(code="no_variation")
    degrees = len(rows) - 1
    # Rows drawn from rows vary less than rows drawn from where those came from, by (n - 1) / n.
    larger = 1.0 if table is not None else math.sqrt(len(rows) / degrees)
    return Estimate(value, below * larger, above * larger, degrees)


@dataclass(frozen=True)
class _Table:
    """Rows by truth and decision.

    Attributes:
        cells: one row of each.
        count: rows, or effective rows, of each cell.
        scale: weight of an effective row; None where cells are repeated and not weighted.
    """

    cells: Answers
    count: Floats
    scale: float | None

    def drawn(self, replicates: int, rng: np.random.Generator) -> Iterator[Answers]:
        """Tables that might have been, as rows."""
        total = self.count.sum()
        shares = rng.dirichlet(self.count + PSEUDO_ROWS / len(self.count), size=replicates)
        for share in shares:
            if self.scale is not None:
                yield Answers(self.cells.truth, self.cells.predicted, share * total * self.scale)
            else:
                yield self.cells.of(np.repeat(np.arange(len(share)), _rounded(share * total)))


def _table(function: Function, rows: Answers, value: float) -> _Table | None:
    """Count rows by truth and decision; None where that is not the same to the metric."""
    names = np.unique(np.concatenate([rows.truth, rows.predicted]))
    size = len(names)
    code = np.searchsorted(names, rows.truth) * size + np.searchsorted(names, rows.predicted)
    cells = Answers(np.repeat(names, size), np.tile(names, size), None)
    if not function.takes_weights:
        return _Table(cells, np.bincount(code, minlength=size * size).astype(np.float64), None)
    w = np.ones(len(rows)) if rows.weight is None else rows.weight
    total = np.bincount(code, w, minlength=size * size)
    collapsed = function.ask(cells.truth, cells.predicted, total)
    if isinstance(collapsed, Reason) or not math.isclose(collapsed, value, rel_tol=SAME, abs_tol=SAME):
        unweighted = replace(function, takes_weights=False)
        return None if rows.weight is not None else _table(unweighted, rows, value)
    effective = w.sum() ** 2 / (w * w).sum()
    return _Table(cells, total * (effective / w.sum()), float(w.sum() / effective))


def _rounded(count: Floats) -> NDArray[np.int64]:
    """Round to integers of the same sum: the largest remainders are rounded up (Hamilton).

    >>> _rounded(np.array([0.4, 1.4, 3.2])).tolist()
    [1, 1, 3]
    """
    whole = np.floor(count).astype(np.int64)
    lacking = round(float(count.sum())) - int(whole.sum())
    whole[np.argsort(whole - count, kind="stable")[:lacking]] += 1
    return whole


def _resampled(rows: Answers, replicates: int, rng: np.random.Generator) -> Iterator[Answers]:
    """Rows drawn from the rows with replacement."""
    rows = rows.in_fixed_order()
    for _ in range(replicates):
        yield rows.of(rng.integers(0, len(rows), len(rows)))
