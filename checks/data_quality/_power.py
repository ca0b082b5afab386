"""What one column alone says about the target, on rows that the fit has not seen.

Each column is fitted by itself: numbers and dates by a small regression tree on their ranks (missing values are sent
down one branch), in a regression also by a straight line; anything else by the mean of each level, drawn towards the
overall mean by one row's worth (Micci-Barreca 2001, SIGKDD Explorations 3:27-32). A level that the other folds do
not have gets the overall mean: an id that never comes back predicts nothing.

Intervals take the folds' fits as given and as independent. Simulated at a nominal .95, 400 to 600 times each, for 100,
400 and 2,000 rows: areas under the curve of four levels (true .77) are covered .91, .94 and .96, explained variances
(.5) .93, .96 and .93, lambdas (.47) .92, .96 and .95. Of a column that says nothing the mean area is .50, but the fits
then depend on each other's held-out labels (Bengio & Grandvalet 2004, JMLR 5:1089-1105): 3 to 9 % of the intervals
lie above .5 instead of 2.5 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING, coded, is_number, whole
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.statistics.intervals import critical_value, wilson
from fairwitness.audit.statistics.ranking import auc_interval, delong_variance, roc_auc
from fairwitness.audit.tallies import Sample

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FOLDS = 5
MOST_ROWS = 10_000
MOST_LABELS = 100

AUC = "Area under the ROC curve"
LAMBDA = "Share of the majority rule's errors that are avoided"
R2 = "Explained variance"


@dataclass(frozen=True)
class Problem:
    """What is to be predicted, on which rows of the sample.

    Attributes:
        rows: places of the rows in the sample, shape (rows,).
        y: the values, or an indicator for each label, shape (rows, 1 or labels).
        folds: number of the fold that each row is held out in, shape (rows,).
        measured_as: `AUC`, `LAMBDA` or `R2`.
    """

    rows: Places
    y: Floats
    folds: Places
    measured_as: str


@dataclass(frozen=True)
class Power:
    """How well a column predicts, 0 to 1, with its interval.

    Attributes:
        column: its name.
        kind: `number` or `levels`.
        distinct: number of different values, a missing one counted.
    """

    column: str
    kind: str
    distinct: int
    value: float
    low: float
    high: float


def problem_of(sample: Sample, counts: Mapping[str, int], least: int) -> Problem:
    """Say what a column would have to predict.

    Args:
        sample: rows with their labels.
        counts: rows of each label in the whole table.
        least: labelled rows needed, and of each of two labels.

    Raises:
        NotAssessed: there are no labels, too few of them, or nothing to tell apart.
    """
    target = sample.layout.target
    order = np.argsort(sample.keys.column("hash").to_numpy(), kind="stable")  # at random, the same every time
    if sample.layout.label is None:
        raise NotAssessed("needs_labels")
    if target.task == "regression":
        if "truth" not in sample.keys.column_names:
            raise NotAssessed("no_rows")
        truth = sample.keys.column("truth").to_numpy()
        rows = order[np.isfinite(truth[order])][:MOST_ROWS]
        _enough(len(rows), max(least, 2 * FOLDS), "labelled rows")
        y = truth[rows]
        if np.ptp(y) == 0:
            raise NotAssessed("no_variation")
        return Problem(rows, y[:, None], np.arange(len(rows)) % FOLDS, R2)
    names = sample.labels
    order = order[names[order] != MISSING]
    _enough(len(order), max(least, 2 * FOLDS), "labelled rows")
    if target.positive is not None:
        hit = names == target.positive
        half = MOST_ROWS // 2
        rows = np.concatenate([order[hit[order]][:half], order[~hit[order]][:half]])
        for n, what in ((int(hit[rows].sum()), "positives"), (int((~hit[rows]).sum()), "negatives")):
            _enough(n, max(least, 2 * FOLDS), what)
        return Problem(rows, hit[rows].astype(np.float64)[:, None], _within(hit[rows].astype(np.int64)), AUC)
    return _several_labels(names, order, counts)


def _several_labels(names: NDArray[np.object_], order: Places, counts: Mapping[str, int]) -> Problem:
    """As many rows of each label as its share of the whole table: the sample holds more of a rare one."""
    labels, code = np.unique(names[order], return_inverse=True)
    if len(labels) < 2:
        raise NotAssessed("one_class")
    if len(labels) > MOST_LABELS:
        raise NotAssessed("too_many_labels", labels=len(labels))
    whole_table = np.array([counts[label] for label in labels], dtype=np.float64)
    rate = min(float((np.bincount(code) / whole_table).min()), MOST_ROWS / whole_table.sum())
    kept = _rank_within(code) < np.maximum(np.floor(rate * whole_table + 1e-9), 1)[code]
    return Problem(order[kept], np.eye(len(labels))[code[kept]], _within(code[kept]), LAMBDA)


def _enough(found: int, needed: int, what: str) -> None:
    if found < needed:
        raise NotAssessed("too_few", needed=needed, found=found, what=what)


def _rank_within(code: Places) -> Places:
    """Place of each row among those of its code, shape (rows,)."""
    order = np.argsort(code, kind="stable")
    ranks = np.empty(len(code), dtype=np.int64)
    ranks[order] = np.arange(len(code)) - np.searchsorted(code[order], code[order], side="left")
    return ranks


def _within(code: Places) -> Places:
    """Deal the rows of each code out to the folds in turn."""
    return np.asarray(_rank_within(code) % FOLDS, dtype=np.int64)


def powers(sample: Sample, problem: Problem, columns: Sequence[str], level: float) -> tuple[list[Power], list[str]]:
    """Power of every column alone, the largest first, and the columns that cannot be fitted.

    Intervals hold for all columns together (Bonferroni), since the largest are picked afterwards.
    """
    table = sample.rows.take(pa.array(problem.rows))
    usable = [name for name in columns if not pa.types.is_nested(table.schema.field(name).type)]
    at = 1 - (1 - level) / max(len(usable), 1)
    found = [_power(name, table.column(name), problem, at) for name in usable]
    return sorted(found, key=lambda power: (-power.value, power.column)), sorted(set(columns) - set(usable))


def _power(name: str, column: pa.ChunkedArray, problem: Problem, level: float) -> Power:
    array = whole(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    numbers = _numbers(array)
    if numbers is None:
        levels = coded(array)
        kind, distinct, fits = "levels", len(levels.names), [_by_level(levels.codes, problem)]
    else:
        ranks, distinct = _ranks(numbers)
        kind, fits = "number", [_by_tree(ranks, problem)]
        if problem.measured_as == R2:
            fits.append(_by_line(numbers, problem))
    value, low, high = max(_judged(fit, problem, level) for fit in fits)
    return Power(name, kind, distinct, value, low, high)


def _numbers(array: Any) -> Floats | None:
    """A column of numbers, truth values or times as float64, NaN where missing; None for one of levels."""
    t = array.type
    if pa.types.is_timestamp(t) or pa.types.is_date(t):
        array = array.cast(pa.timestamp("us", tz=getattr(t, "tz", None)), safe=False).cast(pa.int64())
    elif not (is_number(t) or pa.types.is_boolean(t)):
        return None
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _ranks(numbers: Floats) -> tuple[Floats, int]:
    """Numbers by rank, which a tree's single precision holds exactly; NaN stays."""
    there = ~np.isnan(numbers)
    distinct, place = np.unique(numbers[there], return_inverse=True)
    ranks = np.full(len(numbers), np.nan)
    ranks[there] = place
    return ranks, len(distinct) + int(not there.all())


def _by_tree(ranks: Floats, problem: Problem) -> Floats:
    from sklearn.tree import DecisionTreeRegressor

    fitted = np.empty_like(problem.y)
    for fold in range(FOLDS):
        held = problem.folds == fold
        tree = DecisionTreeRegressor(min_samples_leaf=max(2, len(ranks) // 100), random_state=0)
        tree.fit(ranks[~held, None], problem.y[~held])
        fitted[held] = tree.predict(ranks[held, None]).reshape(-1, problem.y.shape[1])
    return fitted


def _by_line(numbers: Floats, problem: Problem) -> Floats:
    """Least squares of one number; where it is missing or infinite, the mean."""
    fitted = np.empty_like(problem.y)
    usable = np.isfinite(numbers) & (np.abs(numbers) < 1e150)
    for fold in range(FOLDS):
        held = problem.folds == fold
        fitted[held] = problem.y[~held].mean(axis=0)
        x, y = numbers[~held & usable], problem.y[~held & usable]
        if len(x) and np.ptp(x) > 0:
            centred = (x - x.mean()) / np.ptp(x)
            slope = centred @ (y - y.mean(axis=0)) / (centred @ centred)
            here = held & usable
            fitted[here] = y.mean(axis=0) + ((numbers[here] - x.mean()) / np.ptp(x))[:, None] * slope
    return fitted


def _by_level(codes: Places, problem: Problem) -> Floats:
    fitted = np.empty_like(problem.y)
    size = int(codes.max()) + 1
    for fold in range(FOLDS):
        held = problem.folds == fold
        prior = problem.y[~held].mean(axis=0)
        n = np.bincount(codes[~held], minlength=size)[:, None]
        sums = np.column_stack([np.bincount(codes[~held], y, minlength=size) for y in problem.y[~held].T])
        fitted[held] = ((sums + prior) / (n + 1))[codes[held]]
    return fitted


def _judged(fitted: Floats, problem: Problem, level: float) -> tuple[float, float, float]:
    judge = {AUC: _area, LAMBDA: _errors_avoided, R2: _explained}[problem.measured_as]
    return judge(fitted, problem, level)


def _area(fitted: Floats, problem: Problem, level: float) -> tuple[float, float, float]:
    """Mean area under the ROC curve over the folds.

    Scores of different folds are not compared: a level's mean in one fold's fit holds the labels of the others.
    """
    areas, variances, hit = [], [], problem.y[:, 0] == 1
    for fold in range(FOLDS):
        held = problem.folds == fold
        _, score = np.unique(fitted[held, 0], return_inverse=True)
        positives, negatives = (np.bincount(score[of], minlength=score.max() + 1) for of in (hit[held], ~hit[held]))
        areas.append(roc_auc(positives, negatives))
        variances.append(delong_variance(positives, negatives))
    area = float(np.mean(areas))
    variance = float(np.sum(variances)) / FOLDS**2
    low, high = auc_interval(area, variance, float(hit.sum()), float((~hit).sum()), critical_value(level))
    return area, min(low, area), max(high, area)


def _errors_avoided(fitted: Floats, problem: Problem, level: float) -> tuple[float, float, float]:
    """Goodman & Kruskal's lambda: accuracy above that of the most frequent label, as a share of what is possible.

    A column that does worse than the majority rule is not used: it does as well. The interval spans that of the
    accuracy at a known majority (Wilson), which holds at the ends, and the delta method's with an estimated one.
    """
    truth, n, critical = problem.y.argmax(axis=1), len(fitted), critical_value(level)
    frequent = (truth == problem.y.sum(axis=0).argmax()).astype(np.float64)
    right = (fitted.argmax(axis=1) == truth).astype(np.float64)
    majority = float(frequent.mean())
    right = right if right.mean() > majority else frequent
    accuracy = float(right.mean())
    limits = (float(limit) for limit in wilson(accuracy * n, n, critical))
    value, below, above = ((a - majority) / (1 - majority) for a in (accuracy, *limits))
    influence = ((right - accuracy) * (1 - majority) - (frequent - majority) * (1 - accuracy)) / (1 - majority) ** 2
    half = critical * float(np.std(influence)) / np.sqrt(n)
    return value, float(max(min(below, value - half), 0.0)), float(min(max(above, value + half), 1.0))


def _explained(fitted: Floats, problem: Problem, level: float) -> tuple[float, float, float]:
    """Explained variance, 0 where the mean does better, with an interval by its influence function.

    It is never surer than n rows can make one: would a share q of the population not be explained at all, n rows
    that all are have probability (1 - q)^n; and the other way round.
    """
    y = (problem.y[:, 0] - problem.y[:, 0].mean()) / np.ptp(problem.y[:, 0])
    error = (problem.y[:, 0] - fitted[:, 0]) / np.ptp(problem.y[:, 0])
    a, b = float(np.mean(error**2)), float(np.mean(y**2))
    influence = (error**2 - a) / b - a / b**2 * (y**2 - b)
    value, half = 1 - a / b, critical_value(level) * float(np.std(influence)) / np.sqrt(len(y))
    surest = ((1 - level) / 2) ** (1 / len(y))
    low, high = min(value - half, surest), min(max(value + half, 1 - surest), 1.0)
    return max(value, 0.0), float(max(low, 0.0)), float(high)
