"""The model fitted anew under a parity constraint, by fairlearn's grid search over weights on the constraint."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from fairlearn.reductions import DemographicParity, EqualizedOdds, GridSearch, Moment, TruePositiveRateParity
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from fairwitness.audit.columns import MISSING
from fairwitness.audit.errors import foreign_code
from fairwitness.audit.evidence import NotAssessed, Reason
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Records
from fairwitness.checks.fairness._mitigation_rows import Split
from fairwitness.checks.fairness._mitigation_rules import Constraint

Floats = NDArray[np.float64]

MOMENTS: dict[Constraint, Callable[[], Moment]] = {
    "demographic_parity": DemographicParity,
    "true_positive_rate_parity": TruePositiveRateParity,
    "equalized_odds": EqualizedOdds,
}
# Of the loss, as fairlearn weighs it: (1 - weight) error + weight violation. Its own default is the middle one.
WEIGHTS = (0.1, 0.25, 0.5, 0.75, 0.9)
CHOSEN = 0.5
FEWEST_FITS = 2  # fairlearn's grid of one point is not defined
FEWEST_ROWS = 10


@dataclass(frozen=True)
class Searched:
    """What a search found: decisions about the rows held out, 0 or 1, by weight on the constraint."""

    steps: tuple[tuple[str, Floats], ...]
    chosen: Floats


@dataclass(frozen=True)
class Retraining:
    """A model that can be fitted anew.

    Attributes:
        estimator: fitted, with scikit-learn's methods.
        weight_name: what its `fit` calls the weights of rows.
        train: rows that it is fitted on.
        columns: features, in its order.
        fits: how often a search may fit it.
    """

    estimator: Any
    weight_name: str
    train: Records
    columns: tuple[str, ...]
    fits: int

    def searched(self, records: Records, dealt: Split, constraint: Constraint) -> Searched | Reason:
        """Fit the model under a constraint with several weights on it, and ask each about the rows held out."""
        groups, labels = self.train.groups(dealt.attribute), self.train.labels
        kept = (labels != MISSING) & np.isin(groups, dealt.groups)
        truth = (labels == self.train.layout.target.positive).astype(np.int64)
        for name in dealt.groups:
            for label, what in ((1, "positives"), (0, "negatives")):
                found = int((kept & (groups == name) & (truth == label)).sum())
                if found < FEWEST_ROWS:
                    return Reason(code="too_few", params={"needed": FEWEST_ROWS, "found": found, "what": what})
        search = GridSearch(
            clone(self.estimator), MOMENTS[constraint](), grid_size=self.fits, sample_weight_name=self.weight_name
        )
        number = np.array([dealt.groups.index(name) for name in groups[kept]])
        with foreign_code("fitting the model anew failed"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence, say: what counts is how the rule does
            search.fit(self._frame(self.train, np.flatnonzero(kept)), truth[kept], sensitive_features=number)
            held = self._frame(records, dealt.held.place)
            chosen = {weight: self._best(search, weight) for weight in (*WEIGHTS, CHOSEN)}
            asked = {i: np.asarray(search.predictors_[i].predict(held), dtype=np.float64) for i in chosen.values()}
        steps = tuple((f"weight: {weight:g}", asked[chosen[weight]]) for weight in WEIGHTS)
        return Searched(steps, asked[chosen[CHOSEN]])

    @staticmethod
    def _best(search: GridSearch, weight: float) -> int:
        """The predictor of least loss on the training rows."""
        violation = search.gammas_.to_numpy().max(axis=0)
        return int(np.argmin((1 - weight) * np.array(search.objectives_) + weight * violation))

    def _frame(self, records: Records, places: NDArray[np.int64]) -> Any:
        table: pd.DataFrame = records.rows.select(list(self.columns)).take(pa.array(places)).to_pandas()
        # As the adapter asks it: a model that was fitted without names is given none.
        unnamed = not hasattr(self.estimator, "feature_names_in_") and hasattr(self.estimator, "n_features_in_")
        return table.to_numpy() if unnamed else table


def retraining(
    subject: Subject, estimator: Callable[[], Any] | NotAssessed, fits: int, *, searches: int
) -> Retraining | Reason:
    """Prepare retraining, or say why there can be none.

    Args:
        subject: gives the training data, which are read only now: no other check pays for a budget that is not used.
        estimator: gives the fitted model.
        fits: the whole budget.
        searches: over how many searches it is spread.
    """
    if isinstance(estimator, NotAssessed):
        return estimator.reason
    if fits < FEWEST_FITS * searches:
        return Reason(
            code="too_few", params={"needed": FEWEST_FITS * searches, "found": fits, "what": "fits of the model"}
        )
    fitted, train = estimator(), subject.dataset.train
    if subject.model is None or train is None:
        return Reason(code="needs_train")
    columns = subject.model.columns
    if lacking := sorted({*columns} - {*train.columns}):
        return Reason(code="train_lacks_columns", params={"columns": ", ".join(lacking[:5])})
    name = _weight_name(fitted)
    if name is None:
        return Reason(code="not_weightable", params={"type": type(fitted).__name__})
    asked = Subject(train, subject.target, None, subject.seed, columns)
    rows = Records.merge([Records.of(batch) for batch in asked.batches()])
    return Retraining(fitted, name, rows, columns, fits // searches)


def _weight_name(fitted: Any) -> str | None:
    """What an estimator's `fit` calls the weights of rows; None where it takes none, or cannot be cloned."""
    if not hasattr(fitted, "get_params") or isinstance(fitted, type):
        return None
    if isinstance(fitted, Pipeline):
        step, last = fitted.steps[-1]
        return f"{step}__sample_weight" if has_fit_parameter(last, "sample_weight") else None
    return "sample_weight" if has_fit_parameter(fitted, "sample_weight") else None
