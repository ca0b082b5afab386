"""From a head's outputs to the labels of the data: which output stands for which label, and what is decided."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import softmax

from fairwitness.audit.columns import decoded, whole
from fairwitness.audit.errors import UserError
from fairwitness.audit.evidence import Scalar
from fairwitness.audit.models import Model, Outputs, Setting, class_names, thresholded
from fairwitness.audit.models._transformers_checkpoint import Checkpoint

Logits = Callable[[list[str]], NDArray[np.float64]]


def text_column(setting: Setting, given: str, what: str) -> str:
    """The column that holds the texts or the paths: the plan's, else the only column of text among the features."""
    dataset, where = setting.dataset, f"{setting.where}.{what}"
    if given:
        kind = dataset.need(given, where).type
        if not _is_text(kind):
            raise UserError(f"{where}: column {given!r} is {kind}, not text")
        return given
    features = dataset.section.features if dataset.section.features is not None else dataset.unclaimed()
    there = [name for name in features if _is_text(dataset.need(name, f"{dataset.where}.features").type)]
    if len(there) != 1:
        found = f"there are {', '.join(there[:6])}" if there else "there is none"
        raise UserError(f"{where}: name the column; of the features, one column of text is taken, and {found}")
    return there[0]


def model_of(
    checkpoint: Checkpoint,
    setting: Setting,
    column: str,
    logits: Logits,
    *,
    classes: Sequence[Any] | None,
    threshold: float | None,
    capabilities: dict[str, Callable[..., Any]],
) -> Model:
    """Make a `Model` of a head: a softmax over its outputs, or its one output as the value of a regression.

    Args:
        checkpoint: the model.
        setting: the data and the target.
        column: of the data, what the model is asked about.
        logits: gives the head's outputs for distinct values of the column, shape (values, outputs).
        classes: labels of the outputs, in their order; None for the checkpoint's own.
        threshold: selects where the positive label's probability is at least this.
        capabilities: what else the model can do.
    """
    where, facts = checkpoint.where, checkpoint.facts
    outputs = int(checkpoint.config.num_labels)
    facts["reads"] = column
    if setting.target.task == "regression":
        if threshold is not None or classes is not None:
            raise UserError(f"{where}: threshold and classes go with labels, not with a regression")
        if outputs != 1:
            raise UserError(f"{where}.path: a regression needs a head with one output, and this one has {outputs}")

        def values(table: pa.Table) -> Outputs:
            return Outputs(values=_by_row(table, column, logits, outputs)[:, 0])

        return Model("transformers", "values", values, (column,), facts, capabilities)

    if outputs == 1:
        raise UserError(f'{where}.path: the head has one output, a regression; set data.task = "regression"')
    if getattr(checkpoint.config, "problem_type", None) == "multi_label_classification":
        raise UserError(
            f"{where}.path: the head gives several labels to one row, which is no {setting.target.task} task"
        )
    names = _names(checkpoint.config, outputs, classes, setting)
    choices = np.array(names, dtype=object)

    def answer(table: pa.Table) -> Outputs:
        scores = np.asarray(softmax(_by_row(table, column, logits, outputs), axis=1))
        if threshold is not None:
            return Outputs(thresholded(scores, names, threshold, setting), scores, names)
        unknown = np.isnan(scores).any(axis=1)
        best = choices[np.argmax(np.where(np.isnan(scores), -np.inf, scores), axis=1)]
        return Outputs(pa.array(best, pa.large_string(), mask=unknown), scores, names)

    if threshold is not None and setting.target.positive is None:
        raise UserError(f"{where}.threshold: goes with one positive label, and the task is {setting.target.task}")
    rule: dict[str, Scalar] = {"rule": "largest"} if threshold is None else {"threshold": threshold}
    facts |= {"outputs": outputs, "link": "softmax", "classes": ", ".join(names), **rule}
    return Model("transformers", "scores", answer, (column,), facts, capabilities)


def _by_row(table: pa.Table, column: str, logits: Logits, outputs: int) -> NDArray[np.float64]:
    """Outputs for each row, shape (rows, outputs): equal values are asked about once, a missing one is NaN."""
    coded = decoded(whole(table.column(column))).cast(pa.large_string()).dictionary_encode()
    found = np.full((len(coded.dictionary) + 1, outputs), np.nan)
    if len(coded.dictionary):
        found[:-1] = logits(coded.dictionary.to_pylist())
    by_row: NDArray[np.float64] = found[coded.indices.fill_null(len(coded.dictionary)).to_numpy(zero_copy_only=False)]
    return by_row


def _names(config: Any, outputs: int, given: Sequence[Any] | None, setting: Setting) -> tuple[str, ...]:
    """Labels of the outputs as the data spell them.

    They are the checkpoint's names where the data use them, or the outputs' numbers where the data's labels are these.
    """
    positive = setting.target.positive
    if given is not None:
        if len(set(given)) != outputs or len(given) != outputs:
            raise UserError(f"{setting.where}.classes: expected {outputs} different labels, found {list(given)}")
        names = class_names(given)
    else:
        own = class_names([config.id2label[i] for i in range(outputs)])
        has_labels = setting.dataset.section.target is not None
        labels = setting.dataset.label_names() if has_labels else (positive,) if positive is not None else ()
        names = _matched(own, labels, setting)
    if positive is not None and positive not in names:
        raise UserError(f"{setting.where}.classes: the positive label {positive!r} is not one of {list(names)}")
    return names


def _matched(own: tuple[str, ...], labels: tuple[str, ...], setting: Setting) -> tuple[str, ...]:
    numbered = tuple(str(i) for i in range(len(own)))
    if set(labels) <= set(own):
        return own
    if setting.target.kind in ("number", "boolean", None) and set(labels) <= set(numbered):
        return numbered
    spelled = {label.casefold(): label for label in labels}
    folded = [name.casefold() for name in own]
    if len(spelled) == len(labels) and len(set(folded)) == len(own) and set(spelled) <= set(folded):
        return tuple(spelled.get(fold, name) for fold, name in zip(folded, own, strict=True))
    raise UserError(
        f"{setting.where}.classes: the labels of the target are {_some(labels)}, and the model's are {_some(own)}; "
        f"list the target's labels in the order of the model's outputs"
    )


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(repr(name) for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
