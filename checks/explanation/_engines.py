"""Which engine explains a model: the best that applies, and whose sums are checked against the model itself."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from fairwitness.audit.evidence import NotAssessed
from fairwitness.checks.explanation._games import Floats, Found, Question
from fairwitness.checks.explanation._gradients import integrated
from fairwitness.checks.explanation._linear import closed_form, is_additive
from fairwitness.checks.explanation._permutation import permuted
from fairwitness.checks.explanation._trees import is_trees, shap_trees, woodelf

NOISE = 1e-10  # of the largest output
Engine = Callable[[Question], Found]

# What explainers raise on a model that they cannot read: woodelf and shap have no exception of their own for it.
REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Explanation:
    """Attributions, and how far their sums are from what the model says.

    Attributes:
        engine: name of the engine.
        scale: what is explained.
        columns: names of the columns, sorted: sums do not depend on their order in the data.
        values: shape (rows, columns).
        background: number of background rows.
        error: |sum of a row's attributions + base - output| over the mean of |output - base|, shape (rows,).
        tolerance: largest error that is accepted.
        noise: what outputs of this size differ by in their last digits; smaller attributions are 0.
    """

    engine: str
    scale: str
    columns: tuple[str, ...]
    values: Floats
    background: int
    error: Floats
    tolerance: float
    noise: float

    @property
    def largest(self) -> float:
        """Largest error; infinite where one is undefined."""
        return float(np.nan_to_num(self.error, nan=np.inf).max())

    @property
    def complete(self) -> bool:
        """Whether every row adds up."""
        return self.largest <= self.tolerance


@dataclass(frozen=True)
class Attempt:
    """An engine that was tried, and what came of it; `refused` names its exception, or its reason."""

    engine: str
    explanation: Explanation | None
    refused: str | None = None


def explained(question: Question, tolerance: float) -> tuple[Attempt, ...]:
    """Try the engines that apply, best first, until one adds up; that is the last one then.

    Args:
        question: the model and the rows.
        tolerance: largest accepted error of an exact engine.

    Raises:
        NotAssessed: an extra is missing that every applicable engine needs.
    """
    tried: list[Attempt] = []
    for name, engine in applicable(question):
        tried.append(_attempt(name, engine, question, tolerance))
        found = tried[-1].explanation
        if found is not None and found.complete:
            break
    return tuple(tried)


def applicable(question: Question) -> Iterator[tuple[str, Engine]]:
    """Engines for a model, best first.

    Raises:
        NotAssessed: none is installed.
    """
    with_woodelf, with_shap = (find_spec(name) is not None for name in ("woodelf", "shap"))
    if is_additive(question.estimator):
        yield "closed form of an additive model", closed_form
    if is_trees(question.estimator):
        if with_woodelf:
            yield "woodelf, interventional", woodelf
        if with_shap:
            yield "shap trees, interventional", shap_trees
    if question.gradients is not None:
        yield "integrated gradients", integrated
    if not with_shap:
        raise NotAssessed("missing_extra", extra="explain")
    yield "shap permutations of raw columns", permuted


def _attempt(name: str, engine: Engine, question: Question, tolerance: float) -> Attempt:
    if engine in (closed_form, permuted):
        # They do nothing but ask the model: what it raises is no refusal, and is not hidden.
        return Attempt(name, checked(name, _quiet(engine, question), question, tolerance))
    try:
        found = _quiet(engine, question)
    except NotAssessed as refusal:
        return Attempt(name, None, refusal.reason.code)
    except REFUSALS as refusal:
        return Attempt(name, None, type(refusal).__name__)
    return Attempt(name, checked(name, found, question, tolerance))


def _quiet(engine: Engine, question: Question) -> Found:
    """Run an engine; the warnings of the libraries are about their own insides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return engine(question)


def checked(name: str, found: Found, question: Question, tolerance: float) -> Explanation:
    """Hold attributions against the model's own outputs for the raw rows.

    Where an engine leaves open which scale it is on, or which label it explains, that which adds up is taken.
    """
    candidates = [
        _against(name, found, question, scale, sign, tolerance)
        for scale in found.scales or (question.scale,)
        for sign in ((1.0, -1.0) if found.either_sign else (1.0,))
    ]
    return min(candidates, key=lambda candidate: candidate.largest)


def _against(name: str, found: Found, question: Question, scale: str, sign: float, tolerance: float) -> Explanation:
    game, columns = question.games[scale], tuple(sorted(question.rows.columns))
    values = sign * found.values[:, [list(question.rows.columns).index(name) for name in columns]]
    outputs = game(question.rows.iloc[: len(values)])
    base = game(found.background).mean()
    distance, noise = float(np.abs(outputs - base).mean()), NOISE * float(np.abs(outputs).max())
    # Outputs that do not differ leave nothing to explain, and errors are taken as they are.
    unit = distance if distance > noise else 1.0
    error = np.abs(values.sum(axis=1) + base - outputs) / unit
    accepted = max(tolerance, found.tolerance)
    return Explanation(name, scale, columns, values, len(found.background), error, accepted, noise)
