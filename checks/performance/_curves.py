"""What the scores look like: ROC, and whether a score of .7 comes true seven times in ten."""

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.evidence import Curve, Point
from fairwitness.audit.statistics.intervals import critical_value, wilson

Floats = NDArray[np.float64]

MOST_POINTS = 101
BINS = 10


def roc(hits: Floats, misses: Floats, level: float) -> Curve:
    """The ROC curve, with a pointwise Wilson band on the true positive rate.

    Args:
        hits: shape (scores,), effective positives by rising score.
        misses: shape (scores,), effective negatives likewise.
        level: confidence level of the band.
    """
    above, over = (np.concatenate([[0.0], np.cumsum(values[::-1])]) for values in (hits, misses))
    true_rate, false_rate = above / above[-1], over / over[-1]
    # Evenly spaced along the curve, not along one axis: steep ends keep their shape.
    kept = np.unique(np.searchsorted(true_rate + false_rate, np.linspace(0, 2, MOST_POINTS)).clip(0, len(above) - 1))
    low, high = wilson(above[kept], np.full(len(kept), above[-1]), critical_value(level))
    points = zip(false_rate[kept], true_rate[kept], low, high, strict=True)
    return Curve(
        title="ROC curve",
        x="False positive rate",
        y="True positive rate",
        points=tuple(Point(x=float(x), y=float(y), low=float(a), high=float(b)) for x, y, a, b in points),
        diagonal=True,
    )


def reliability(scores: Floats, hits: Floats, misses: Floats, level: float) -> Curve:
    """How often the label is positive, by score, in bins of equally many rows, with Wilson intervals.

    Args:
        scores: shape (scores,), distinct scores between 0 and 1, rising.
        hits: shape (scores,), effective positives at each.
        misses: shape (scores,), effective negatives at each.
        level: confidence level of the intervals.
    """
    rows = hits + misses
    # A score's rows stay together: a bin ends at the first score that fills it.
    place = np.minimum((np.cumsum(rows) - rows / 2) / rows.sum() * BINS, BINS - 1e-9).astype(np.int64)
    total, positive, weight = (np.bincount(place, values, minlength=BINS) for values in (rows, hits, rows * scores))
    filled = total > 0
    total, positive, weight = total[filled], positive[filled], weight[filled]
    low, high = wilson(positive, total, critical_value(level))
    points = zip(weight / total, positive / total, low, high, strict=True)
    return Curve(
        title="Reliability: does the score come true?",
        x="Mean score",
        y="Share of positives",
        points=tuple(Point(x=float(x), y=float(y), low=float(a), high=float(b)) for x, y, a, b in points),
        diagonal=True,
    )
