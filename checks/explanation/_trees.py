"""Ensembles of trees on the raw columns: woodelf's interventional Shapley values, and shap's."""

from typing import Any

import numpy as np
import pandas as pd

from fairwitness.checks.explanation._games import Floats, Found, Question

# These cast their input to single precision before they compare it with a threshold.
_SINGLE = ("sklearn.ensemble._forest", "sklearn.ensemble._gb", "sklearn.tree")
_DOUBLE = ("sklearn.ensemble._hist_gradient_boosting", "xgboost", "lightgbm")


def is_trees(estimator: Any) -> bool:
    """Whether a model is a tree or an ensemble of trees that takes the raw columns as they are."""
    return type(estimator).__module__.startswith((*_SINGLE, *_DOUBLE)) and not hasattr(estimator, "steps")


def woodelf(question: Question) -> Found:
    """Shapley values by WOODELF (Nadel & Wettenstein 2026): exact, at a cost that is linear in rows plus background.

    Raises:
        Exception: of woodelf's own, on a model that it cannot read: categorical splits, text.
    """
    from woodelf import WoodelfExplainer

    rows, background = _numbers(question)
    explainer = WoodelfExplainer(question.estimator, background)
    return _found(question, explainer.shap_values(rows, as_df=True, verbose=False)[list(rows.columns)].to_numpy())


def shap_trees(question: Question) -> Found:
    """Shapley values by shap's interventional TreeExplainer (Lundberg et al. 2020).

    It narrows thresholds to single precision and does not know categorical splits; that is for the check of
    completeness to find out.

    Raises:
        Exception: of shap's own, on a model that it cannot read.
    """
    from shap import TreeExplainer
    from shap.maskers import Independent

    rows, background = _numbers(question)
    masker = Independent(background.to_numpy(), max_samples=len(background))
    explainer = TreeExplainer(question.estimator, masker, feature_perturbation="interventional")
    values = np.asarray(explainer.shap_values(rows.to_numpy(), check_additivity=False), dtype=np.float64)
    return _found(question, values[:, :, -1] if values.ndim == 3 else values)


def _numbers(question: Question) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and background as the trees compare them."""
    single = type(question.estimator).__module__.startswith(_SINGLE)

    def cast(frame: pd.DataFrame) -> pd.DataFrame:
        numbers = frame.astype(np.float64)
        return numbers.astype(np.float32).astype(np.float64) if single else numbers

    return cast(question.rows), cast(question.background)


def _found(question: Question, values: Floats) -> Found:
    """Which scale a tree's leaves are on depends on the ensemble, and which label on the library."""
    return Found(np.asarray(values, np.float64), question.background, tuple(question.games), either_sign=True)
