"""Predictions that were logged: no model, only what it once said."""

from typing import cast

import numpy as np
import pyarrow as pa

from fairwitness.audit.columns import is_number, label_kind, whole
from fairwitness.audit.errors import UserError
from fairwitness.audit.evidence import Scalar
from fairwitness.audit.models import Model, Outputs, Setting, label_array, thresholded, value_array


def load(
    setting: Setting,
    *,
    prediction: str | None = None,
    score: str | dict[str, str] | None = None,
    threshold: float | None = None,
) -> Model:
    """Take columns of the data as the model's answers.

    Args:
        setting: the data and the target.
        prediction: column of predicted labels or values.
        score: column of the positive label's score, or a table with a column for each label.
        threshold: selects where the score is at least this; needs `score`, and takes the place of `prediction`.
    """
    dataset, where = setting.dataset, setting.where
    if (prediction is None) == (threshold is None):
        raise UserError(f"{where}: needs one of prediction (a column) and threshold (with score)")
    if threshold is not None and score is None:
        raise UserError(f"{where}.threshold: needs score, the column to compare with it")
    if setting.target.task == "regression" and prediction is None:
        raise UserError(f"{where}.prediction: a regression needs one")
    if prediction is not None:
        label_kind(dataset.need(prediction, f"{where}.prediction").type, where=f"{where}.prediction: {prediction!r}")
    columns: dict[str, str] = {}
    if score is not None:
        if isinstance(score, str):
            if setting.target.positive is None:
                raise UserError(f"{where}.score: {setting.target.task} needs a table with a column for each label")
            columns = {setting.target.positive: score}
        else:
            columns = dict(sorted(score.items()))
        for column in columns.values():
            if not is_number(dataset.need(column, f"{where}.score").type):
                raise UserError(f"{where}.score: column {column!r} is not a number")
    names = tuple(columns)

    def answer(table: pa.Table) -> Outputs:
        if setting.target.task == "regression":
            predicted = whole(table.column(cast(str, prediction))).to_numpy(zero_copy_only=False)
            return Outputs(values=value_array(predicted, rows=table.num_rows, where=f"{where}.prediction"))
        scores = None
        if columns:
            logged = [
                whole(table.column(c)).cast(pa.float64()).to_numpy(zero_copy_only=False) for c in columns.values()
            ]
            scores = np.column_stack(logged)
        if threshold is not None and scores is not None:
            return Outputs(thresholded(scores, names, threshold, setting), scores, names)
        labels = label_array(whole(table.column(cast(str, prediction))), setting, where=f"{where}.prediction")
        return Outputs(labels, scores, names)

    facts: dict[str, Scalar] = {"prediction": prediction} if prediction else {"threshold": threshold}
    facts |= {f"score of {name}": column for name, column in columns.items()}
    read = tuple(dict.fromkeys([*([prediction] if prediction else []), *columns.values()]))
    return Model("logged", "logged", answer, read, facts)
