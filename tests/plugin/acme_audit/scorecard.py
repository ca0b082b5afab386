"""A model adapter: points for columns that stand in the plan itself, added up."""

from typing import Any

import numpy as np
import pyarrow as pa

from fairwitness.audit.errors import UserError
from fairwitness.audit.models import Model, Outputs, Setting, thresholded


def load(setting: Setting, *, points: dict[str, float], cut: float) -> Model:
    """Make a model of a scorecard.

    Args:
        setting: the data and the target.
        points: points for each unit of a column.
        cut: selects where the sum is at least this.
    """
    positive = setting.target.positive
    if positive is None:
        raise UserError(f"{setting.where}: a scorecard selects or does not; the task is {setting.target.task}")
    for column in points:
        setting.dataset.need(column, f"{setting.where}.points")

    def total(rows: Any) -> Any:
        return np.column_stack([sum(np.asarray(rows[column], float) * worth for column, worth in points.items())])

    def answer(table: pa.Table) -> Outputs:
        scores = total(table)
        return Outputs(thresholded(scores, (positive,), cut, setting), scores, (positive,))

    return Model("scorecard", "scores", answer, tuple(points), {"cut": cut}, {"scores": total})
