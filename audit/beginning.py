"""A plan to start from: what `fairwitness init` writes after a look at the data."""

import json
import os
from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path

import numpy as np
import pyarrow as pa

from fairwitness.audit.columns import MISSING, LabelKind, is_number, label_kind, labels, whole
from fairwitness.audit.dataset import Dataset
from fairwitness.audit.errors import UserError
from fairwitness.audit.sources import BATCH_ROWS, is_reference, open_source
from fairwitness.audit.tallies import MAX_GROUPS

FEW_VALUES = 10  # a numeric column with more than this many values is cut into bins
HINTS = ("sex", "gender", "race", "ethnic", "age", "disab", "religio", "nation", "marital")


def starting_plan(
    data: str,
    target: str,
    sensitive: Sequence[str],
    *,
    model: str | None = None,
    prediction: str | None = None,
    score: str | None = None,
    positive: str | None = None,
    folder: Path,
) -> str:
    """Write a commented `audit.toml` for a table.

    Args:
        data: path of the table, as the plan will have it.
        target: column of true labels.
        sensitive: columns whose groups are compared; where none is given, columns that sound like it are proposed.
        model: path of a model file.
        prediction: column of logged predictions.
        score: column of logged scores.
        positive: the label that means selected, as text.
        folder: folder of the plan; `data` is relative to it.

    Raises:
        UserError: the table cannot be read, or has no such column.
    """
    if model is not None and (prediction is not None or score is not None):
        raise UserError(
            "--model: goes without --prediction and --score: either there is a model, or there are its answers"
        )
    # Normalised, since the plan's folder need not exist yet: `new/../data.csv` is `data.csv`.
    path = data if is_reference(data) else os.path.normpath(folder / data)
    source = open_source(path, folder=folder if is_reference(data) else Path(), where="--data")
    names = [name for name in source.schema.names if not name.startswith("__index_level_")]
    proposed = list(sensitive) or [n for n in names if n != target and any(hint in n.lower() for hint in HINTS)]
    dataset = Dataset(path, target=target, sensitive=proposed)
    head = dataset.head(list(dict.fromkeys([target, *proposed])), rows=BATCH_ROWS)
    regression = positive is None and _is_regression(head.column(target))
    for column in (prediction, score):
        if column is not None and column not in names:
            raise UserError(f"--{'prediction' if column == prediction else 'score'}: no column {column!r} in {data}")
    lines = [
        "# What to audit, and by which bounds it is judged. Paths are relative to this file.",
        "# Every check and its options: `fairwitness checks`.",
        "",
        "[audit]",
        f"name = {_toml(Path(data).stem)}",
        "seed = 0",
        "",
        *_model_lines(model, prediction, score, names),
        "",
        "[data]",
        f"path = {_toml(data)}",
        f"target = {_toml(target)}",
        *(['task = "regression"'] if regression else _positive_lines(head.column(target), positive)),
        f"sensitive = {_toml(proposed)}" + ("" if sensitive else "        # proposed by name: read it over"),
        "# intersections of all pairs are compared too; `intersections = false` for none",
        *_bin_lines(head, proposed),
        "",
        "# [data.train]                  # the rows the model was fitted on",
        '# path = "train.parquet"',
        "",
        "[checks]",
        'select = ["performance", "fairness", "data_quality"]',
        "",
        *(_regression_gate() if regression else _gate_lines(proposed)),
    ]
    return "\n".join(lines) + "\n"


def _model_lines(model: str | None, prediction: str | None, score: str | None, names: Sequence[str]) -> list[str]:
    if model is not None:
        trust = (
            []
            if model.endswith(".skops")
            else ["trust = true                    # a pickle runs code when it is loaded"]
        )
        return ["[model]", 'adapter = "sklearn"', f"path = {_toml(model)}", *trust]
    if prediction is not None or score is not None:
        lines = ["[model]", 'adapter = "logged"             # no model: the table holds what it said']
        lines += [f"prediction = {_toml(prediction)}"] if prediction else []
        lines += [f"score = {_toml(score)}"] if score else []
        return lines + ([] if prediction else ["threshold = 0.5"])
    guess = next((n for n in names if n.lower() in ("prediction", "predicted", "y_pred", "yhat", "pred")), None)
    if guess is not None:
        return _model_lines(None, guess, None, names)
    return [
        "[model]",
        'adapter = "sklearn"',
        'path = "model.skops"            # the model; or adapter = "python", "logged"',
    ]


def _is_regression(column: pa.ChunkedArray) -> bool:
    return is_number(column.type) and len(whole(column).drop_null().unique()) > FEW_VALUES


def _positive_lines(column: pa.ChunkedArray, positive: str | None) -> list[str]:
    array = whole(column)
    found = sorted(set(labels(array.unique()).names) - {MISSING})
    shown = ", ".join(map(repr, found[:6])) + (", ..." if len(found) > 6 else "")
    kind = label_kind(array.type, where="--target: the column")
    if positive is not None:
        return [f"positive = {_label(positive, kind, shown)}    # of {shown}"]
    if kind == "boolean":
        return ["positive = true                 # the label that means selected"]
    guess = "1" if "1" in found or not found else found[-1]
    return [f"positive = {_label(guess, kind, shown)}    # the label that means selected, of {shown}: check this"]


def _label(text: str, kind: LabelKind, shown: str) -> str:
    """A label given as text, as TOML of the kind that the column has."""
    if kind == "text":
        return _toml(text)
    if kind == "boolean":
        if text.lower() not in ("true", "false", "1", "0"):
            raise UserError(f"--positive: expected true or false, found {text!r}")
        return "true" if text.lower() in ("true", "1") else "false"
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise UserError(f"--positive: expected a number, as the labels are ({shown}), found {text!r}")
    return str(int(number)) if number.is_integer() else repr(number)


def _bin_lines(head: pa.Table, sensitive: Sequence[str]) -> list[str]:
    """Bins for numeric columns with many values, at round quartiles."""
    lines = []
    for name in sensitive:
        column = whole(head.column(name)).drop_null()
        if is_number(column.type) and len(column.unique()) > FEW_VALUES:
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            quartiles = np.quantile(values[np.isfinite(values)], [0.25, 0.5, 0.75])
            edges = sorted({float(f"{edge:.2g}") for edge in quartiles})
            shown = [int(edge) if edge.is_integer() else edge for edge in edges]
            lines.append(f"bins.{_key(name)} = {_toml(shown)}    # under the first, between two, from the last on")
        elif len(column.unique()) > MAX_GROUPS:
            lines.append(f"# {name!r} has more than {MAX_GROUPS} values: an identifier? it will not be assessed")
    return lines


def _gate_lines(sensitive: Sequence[str]) -> list[str]:
    lines = ["# A gate passes when the whole interval is inside the bound. The bounds are yours to set and to justify."]
    for attribute in sensitive[:1]:
        lines += [
            "[[gates]]",
            'metric = "fairness.group.demographic_parity_difference"',
            f"attribute = {_toml(attribute)}",
            "max = 0.10",
            "",
        ]
    return [*lines, "[[gates]]", 'metric = "performance.classification.accuracy"', "required = true"]


def _regression_gate() -> list[str]:
    return [
        "# The bounds are yours to set and to justify.",
        "[[gates]]",
        'metric = "performance.regression.r2"',
        "required = true",
    ]


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _toml(name)


def _toml(value: object) -> str:
    """Write a string or a list as TOML: its basic strings are those of JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
