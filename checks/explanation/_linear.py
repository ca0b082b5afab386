"""Linear models, also behind transformers that treat each raw column by itself: Shapley values in closed form."""

from typing import Any

import numpy as np
import pandas as pd

from fairwitness.checks.explanation._games import Found, Question

# A column's output may depend on it alone. Polynomial features, PCA, normalisation by row and imputation by other
# columns are not of this kind.
_BY_COLUMN = frozenset(
    {
        "Binarizer",
        "KBinsDiscretizer",
        "MaxAbsScaler",
        "MinMaxScaler",
        "MissingIndicator",
        "OneHotEncoder",
        "OrdinalEncoder",
        "PowerTransformer",
        "QuantileTransformer",
        "RobustScaler",
        "SelectFromModel",
        "SelectKBest",
        "SelectPercentile",
        "SimpleImputer",
        "SplineTransformer",
        "StandardScaler",
        "TargetEncoder",
        "VarianceThreshold",
    }
)
# Their predictions are not linear in the coefficients.
_LINKED = frozenset({"GammaRegressor", "PoissonRegressor", "TweedieRegressor"})
_LINEAR_MODULES = ("sklearn.linear_model.", "sklearn.svm.", "sklearn.discriminant_analysis")


def is_additive(estimator: Any) -> bool:
    """Whether a model's margin is known to be a sum of functions of one raw column each.

    Known by its parts: a linear model, alone or at the end of a pipeline of transformers by column.
    """
    model = getattr(estimator, "best_estimator_", estimator)
    if hasattr(model, "steps"):
        *before, last = [step for _, step in model.steps]
        return all(_by_column(step) for step in before) and is_additive(last)
    name = type(model).__name__
    linear = type(model).__module__.startswith(_LINEAR_MODULES) and name not in _LINKED
    return linear and hasattr(model, "coef_") and hasattr(model, "intercept_")


def _by_column(step: Any) -> bool:
    if step is None or step in ("passthrough", "drop"):
        return True
    if hasattr(step, "transformers_"):
        return all(_by_column(part) for _, part, _ in step.transformers_)
    if hasattr(step, "transformer_list"):
        return all(_by_column(part) for _, part in step.transformer_list)
    if hasattr(step, "steps"):
        return all(_by_column(part) for _, part in step.steps)
    if type(step).__name__ == "FunctionTransformer":
        return getattr(step, "func", None) is None
    return type(step).__module__.startswith("sklearn.") and type(step).__name__ in _BY_COLUMN


def closed_form(question: Question) -> Found:
    """Shapley values of an additive model.

    For f(x) = c + sum_j g_j(x_j) the Shapley value of column j is g_j(x_j) minus its mean over the background
    (Štrumbelj & Kononenko 2014, section 3), coefficient times (value - mean) in a plain linear model. Each g_j is read
    off the model itself: one row in which only column j changes. A one-hot group is one such column.
    """
    rows, background, game = question.rows, question.background, question.games[question.scale]
    both = pd.concat([rows, background], ignore_index=True)
    values = np.zeros(rows.shape)
    for j, name in enumerate(rows.columns):
        codes, first = distinct(both[name])
        frame = both.iloc[np.zeros(len(first), dtype=np.intp)].reset_index(drop=True)
        frame[name] = both[name].take(first).reset_index(drop=True)
        of_value = game(frame)[codes]
        values[:, j] = of_value[: len(rows)] - of_value[len(rows) :].mean()
    return Found(values, background)


def distinct(column: "pd.Series[Any]") -> tuple[Any, Any]:
    """Code a column by its distinct values (missing is one); give the codes and where each value occurs first."""
    codes, _ = pd.factorize(column, use_na_sentinel=False)
    _, first = np.unique(codes, return_index=True)
    return codes, first
