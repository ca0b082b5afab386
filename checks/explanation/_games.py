"""What is explained: the model's own output for a data frame of raw columns, as one number a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import labels
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.subject import Subject

Floats = NDArray[np.float64]
Game = Callable[[pd.DataFrame], Floats]

MARGIN = "margin of the positive label (log-odds where the model is logistic)"
LOG_ODDS = "log-odds of the positive label's score"
SCORE = "score of the positive label"
DECISION = "decision (1 for the positive label)"
VALUE = "predicted value"

_CERTAIN = 1e-12  # scores are held off 0 and 1 by this, where log-odds are infinite


@dataclass(frozen=True)
class Question:
    """What an engine is asked to explain.

    Attributes:
        games: the model's output by scale, the preferred one first.
        rows: raw columns of the rows to explain.
        background: raw columns of the rows that hidden values come from.
        estimator: the fitted scikit-learn-like object; None where there is none.
        gradients: integrated gradients of a differentiable model; None where there are none.
        evaluations: rows that an engine which has to ask the model may ask about.
        seed: of what an engine draws.
    """

    games: dict[str, Game]
    rows: pd.DataFrame
    background: pd.DataFrame
    estimator: Any
    gradients: Callable[..., Any] | None
    evaluations: int
    seed: int

    @property
    def scale(self) -> str:
        """The preferred scale."""
        return next(iter(self.games))


@dataclass(frozen=True)
class Found:
    """What an engine answers.

    Attributes:
        values: attributions, shape (rows, columns); the first rows of the question, where it did not come to all.
        background: the rows that hidden values came from.
        scales: scales that the values may be on, the likeliest first; default the preferred one.
        either_sign: whether the engine may have explained the other label.
        tolerance: largest error that the method itself brings; 0 for what is exact but for rounding.
    """

    values: Floats
    background: pd.DataFrame
    scales: tuple[str, ...] = ()
    either_sign: bool = False
    tolerance: float = 0.0


def games(subject: Subject, classes: Sequence[str]) -> dict[str, Game]:
    """Every scale on which this model's answer is a number, the preferred one first.

    Margins come before scores: they are what the sums of trees and of linear terms are made on.

    Args:
        subject: the model and the task.
        classes: labels of the model's scores, in their order.

    Raises:
        NotAssessed: the model cannot be asked, or the task has no single output.
    """
    model, target = subject.model, subject.target
    capabilities = model.capabilities if model else {}
    if not {"predict", "scores"} & set(capabilities):
        raise NotAssessed("no_such_capability", capability="predict", adapter=model.adapter if model else "none")
    if target.task == "multiclass":
        raise NotAssessed("task", needed="binary", task=target.task)
    shaped = _shaped(estimator_of(subject))
    if target.task == "regression":
        return {VALUE: lambda frame: _one(capabilities["predict"](shaped(frame)), 0)}
    if classes:
        if target.positive not in classes:
            raise NotAssessed("positive_absent", positive=target.positive)
        return _of_scores(subject, shaped, list(classes).index(str(target.positive)))

    def decision(frame: pd.DataFrame) -> Floats:
        found = labels(pa.array(np.ravel(np.asarray(capabilities["predict"](shaped(frame))))))
        return np.array([name == target.positive for name in found.names], dtype=np.float64)[found.codes]

    return {DECISION: decision}


def _of_scores(subject: Subject, shaped: Callable[[pd.DataFrame], Any], column: int) -> dict[str, Game]:
    capabilities = subject.model.capabilities if subject.model else {}
    scores, margins = capabilities["scores"], getattr(estimator_of(subject), "decision_function", None)
    found: dict[str, Game] = {}
    if callable(margins):
        # A binary margin is that of the second class.
        sign = 1.0 if column else -1.0

        def margin(frame: pd.DataFrame) -> Floats:
            answer = np.asarray(margins(shaped(frame)), dtype=np.float64)
            return sign * answer if answer.ndim == 1 else answer[:, column]

        found[MARGIN] = margin

    def score(frame: pd.DataFrame) -> Floats:
        return _one(scores(shaped(frame)), column)

    def log_odds(frame: pd.DataFrame) -> Floats:
        p = np.clip(score(frame), _CERTAIN, 1 - _CERTAIN)
        return np.asarray(np.log(p / (1 - p)), dtype=np.float64)

    return {**found, SCORE: score, LOG_ODDS: log_odds}


def estimator_of(subject: Subject) -> Any:
    """The fitted object behind the adapter; None where it gives none."""
    give = subject.model.capabilities.get("estimator") if subject.model else None
    return None if give is None else give()


def _shaped(estimator: Any) -> Callable[[pd.DataFrame], Any]:
    """How the model is given its rows: an estimator that was fitted without names gets an array, as in the pass."""
    if estimator is not None and getattr(estimator, "feature_names_in_", None) is None:
        return lambda frame: frame.to_numpy()
    return lambda frame: frame


def _one(answer: Any, column: int) -> Floats:
    """One number a row, of a vector or of the columns of a matrix."""
    array = np.asarray(answer, dtype=np.float64)
    return array if array.ndim == 1 else array[:, column if array.shape[1] > 1 else 0]
