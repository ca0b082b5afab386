"""Checkpoints of Hugging Face transformers: classifiers of text, images and sounds, and language models.

What a checkpoint does is read from its architecture. A classifier is asked about a column of the data: texts, or paths
of files. A language model needs no data: checks ask it through its capabilities. Weights are read from safetensors,
code that comes with a checkpoint is never run, and a checkpoint whose head has no weights is refused, for its answers
would be drawn at random.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from fairwitness.audit.errors import UserError
from fairwitness.audit.models import Model, Outputs, Setting
from fairwitness.audit.models._transformers_checkpoint import (
    Checkpoint,
    library,
    open_checkpoint,
    processor_of,
    tokenizer_of,
)
from fairwitness.audit.models._transformers_labels import model_of, text_column
from fairwitness.audit.models._transformers_language import CausalModel, MaskedModel, Writer
from fairwitness.audit.models._transformers_media import audio_logits, data_folder, image_logits
from fairwitness.audit.models._transformers_texts import Texts, texts_of

if TYPE_CHECKING:
    import torch

READ_AHEAD = 4_096  # texts that are held as tokens at a time, and among which those of one length are found

Capabilities = dict[str, Callable[..., Any]]


def load(
    setting: Setting,
    *,
    path: str,
    task: str = "",
    text: str = "",
    image: str = "",
    audio: str = "",
    classes: tuple[bool | int | str, ...] | None = None,
    threshold: float | None = None,
    batch: Annotated[int, Field(ge=1)] = 16,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    max_length: Annotated[int, Field(ge=2)] | None = None,
    revision: str | None = None,
    trust: bool = False,
) -> Model:
    """Load the checkpoint that a plan names.

    Args:
        setting: the data and the target.
        path: the folder that `save_pretrained` wrote, or the name of a model of the hub, which needs `revision` too.
        task: `text-classification`, `image-classification`, `audio-classification`, `fill-mask`, `text-generation`,
            `text2text-generation` or `feature-extraction`; default: read from the checkpoint's architecture.
        text: column of the texts; default: the only column of text among the features.
        image: column of the images' paths, relative to the data's folder; the same default.
        audio: column of the sounds' paths (.wav), likewise.
        classes: labels of the outputs, in their order; default: the checkpoint's own, or the outputs' numbers where
            the labels of the data are numbers.
        threshold: selects where the positive label's probability is at least this; default: the largest decides.
        batch: texts, images or sounds in one forward pass; more where the texts are short.
        device: `auto` for the best there is.
        max_length: most tokens of a text; default: as many as the model reads.
        revision: branch, tag or commit of a model of the hub.
        trust: True to read weights from a pickle.
    """
    where = setting.where
    library(where)
    checkpoint = open_checkpoint(
        path, folder=setting.folder, task=task, device=device, revision=revision, trust=trust, where=where
    )
    kind = checkpoint.task.removesuffix("-classification")
    _fitting_options({"text": text, "image": image, "audio": audio}, kind, checkpoint.task, where)
    if kind in ("image", "audio"):
        given, prepared = (image, "AutoImageProcessor") if kind == "image" else (audio, "AutoFeatureExtractor")
        column = text_column(setting, given, kind)
        processor, ask = processor_of(checkpoint, prepared), image_logits if kind == "image" else audio_logits
        folder = data_folder(setting.dataset)
        logits = partial(ask, checkpoint=checkpoint, processor=processor, folder=folder, rows=batch)
        return model_of(checkpoint, setting, column, logits, classes=classes, threshold=threshold, capabilities={})
    texts = texts_of(checkpoint, tokenizer_of(checkpoint), rows=batch, max_length=max_length)
    if kind == "text":
        column = text_column(setting, text, kind)
        can: Capabilities = {"embed": texts.embed}
        return model_of(
            checkpoint, setting, column, _text_classifier(texts), classes=classes, threshold=threshold, capabilities=can
        )
    if classes is not None or threshold is not None:
        raise UserError(f"{where}: classes and threshold go with a classifier, and the task is {checkpoint.task}")
    return _language_model(checkpoint, texts)


def _fitting_options(columns: dict[str, str], kind: str, task: str, where: str) -> None:
    """A column that the model has no use for is a mistake in the plan."""
    for name, column in columns.items():
        if column and name != kind:
            raise UserError(f"{where}.{name}: the model does {task}, and has no use for column {column!r}")


def _text_classifier(texts: Texts) -> Callable[..., NDArray[np.float64]]:
    """Outputs of a text classifier for each text, shape (texts, outputs); what is too long is cut off."""
    config = texts.checkpoint.config
    # A decoder is asked at its last token, which it finds by the padding behind it.
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = texts.filler

    def ask(batch: "dict[str, torch.Tensor]", _: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(texts.model(**batch).logits.double().cpu().numpy())

    def some(given: list[str]) -> NDArray[np.float64]:
        encoded = texts.encode(given, cut=True)
        known = [one for one in encoded if one["input_ids"]]
        found = np.full((len(given), int(config.num_labels)), np.nan)  # a text without a token has no answer
        if known:
            found[[bool(one["input_ids"]) for one in encoded]] = texts.each(known, ask, doing="texts")
        return found

    return lambda given: np.concatenate([some(given[i : i + READ_AHEAD]) for i in range(0, len(given), READ_AHEAD)])


def _language_model(checkpoint: Checkpoint, texts: Texts) -> Model:
    """A model of texts that gives no labels: what it can do is in its capabilities."""
    facts = checkpoint.facts
    can: Capabilities = {}
    if checkpoint.task != "text2text-generation":
        can["embed"] = texts.embed
        facts["embedding"] = "mean of the last layer over tokens"
    access = "embeddings"
    if checkpoint.task == "fill-mask":
        masked, access = MaskedModel(texts), "tokens"
        can |= {"tokenize": masked.tokenize, "masked_logprobs": masked.masked_logprobs}
    if checkpoint.task == "text-generation":
        causal, access = CausalModel(texts), "tokens"
        can |= {"token_logprobs": causal.token_logprobs, "continuation_logprobs": causal.continuation_logprobs}
    if checkpoint.task in ("text-generation", "text2text-generation"):
        writer = Writer(texts, answers=checkpoint.task == "text2text-generation")
        can["generate"] = writer.generate
        facts |= writer.facts
        access = "tokens" if checkpoint.task == "text-generation" else "texts"

    def answer(_: pa.Table) -> Outputs:
        return Outputs()

    return Model("transformers", access, answer, (), facts, can)
