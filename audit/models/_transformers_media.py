"""Images and sounds through a model: files named by a column of the data."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.dataset import Dataset
from fairwitness.audit.errors import UserError, foreign_code
from fairwitness.audit.models._transformers_checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch

READ_AHEAD = 16  # batches of sounds that are read together, so that those of one length can share a forward pass


def data_folder(dataset: Dataset) -> Path:
    """What the paths in the data are relative to: the data's own folder, else the plan's."""
    path = dataset.section.path
    file = dataset.folder / path if path else None
    return file.parent if file is not None and file.is_file() else dataset.folder


def image_logits(
    names: list[str], *, checkpoint: Checkpoint, processor: Any, folder: Path, rows: int
) -> NDArray[np.float64]:
    """Outputs of an image classifier for each file, shape (files, outputs)."""
    import torch

    where = f"{checkpoint.where}.image"
    parts: list[NDArray[np.float64]] = []
    for start in range(0, len(names), rows):
        images = [_image(folder / name, checkpoint.config, where) for name in names[start : start + rows]]
        with torch.inference_mode(), foreign_code(f"{checkpoint.where}: the model failed on images"):
            batch = processor(images=images, return_tensors="pt")
            parts.append(_asked(checkpoint, {"pixel_values": batch["pixel_values"]}))
    return np.concatenate(parts)


def audio_logits(
    names: list[str], *, checkpoint: Checkpoint, processor: Any, folder: Path, rows: int
) -> NDArray[np.float64]:
    """Outputs of an audio classifier for each file, shape (files, outputs).

    Only sounds of one length share a forward pass: padding changes what many of these models answer.
    """
    import torch

    where, rate = f"{checkpoint.where}.audio", int(processor.sampling_rate)
    found: dict[int, NDArray[np.float64]] = {}
    for start in range(0, len(names), rows * READ_AHEAD):
        chunk = names[start : start + rows * READ_AHEAD]
        by_length: dict[int, list[tuple[int, NDArray[np.float32]]]] = {}
        for place, name in enumerate(chunk, start):
            sound = read_sound(folder / name, rate, where)
            by_length.setdefault(len(sound), []).append((place, sound))
        for alike in by_length.values():
            for first in range(0, len(alike), rows):
                part = alike[first : first + rows]
                with torch.inference_mode(), foreign_code(f"{checkpoint.where}: the model failed on sounds"):
                    batch = processor([sound for _, sound in part], sampling_rate=rate, return_tensors="pt")
                    answers = _asked(checkpoint, {name: batch[name] for name in processor.model_input_names[:1]})
                found.update(zip((place for place, _ in part), answers, strict=True))
    return np.stack([found[place] for place in range(len(names))])


def read_sound(file: Path, rate: int, where: str) -> NDArray[np.float32]:
    """Read a WAV file as one channel from -1 to 1 at a sampling rate, shape (samples,).

    Integers are scaled by their type's range; channels are averaged; another rate is resampled by a polyphase filter.
    """
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    with foreign_code(f"{where}: cannot read {file.name}"):
        if not file.is_file():
            raise UserError("no such file")
        if file.suffix.lower() != ".wav":
            raise UserError("not a .wav file: convert it")
        own, raw = wavfile.read(file)
        sound = np.asarray(raw, dtype=np.float64)
        if raw.dtype == np.uint8:
            sound = (sound - 128) / 128
        elif np.issubdtype(raw.dtype, np.integer):
            sound /= -float(np.iinfo(raw.dtype).min)
        if sound.ndim > 1:
            sound = sound.mean(axis=1)
        if not len(sound):
            raise UserError("there is no sound in it")
        if own != rate:
            common = int(np.gcd(own, rate))
            sound = resample_poly(sound, rate // common, own // common)
        return sound.astype(np.float32)


def _image(file: Path, config: Any, where: str) -> Any:
    """An image upright, in as many channels as the model sees."""
    from PIL import Image, ImageOps

    with foreign_code(f"{where}: cannot read {file.name}"):
        if not file.is_file():
            raise UserError("no such file")
        with Image.open(file) as image:
            mode = "L" if getattr(config, "num_channels", 3) == 1 else "RGB"
            return ImageOps.exif_transpose(image).convert(mode)


def _asked(checkpoint: Checkpoint, batch: "dict[str, torch.Tensor]") -> NDArray[np.float64]:
    placed = {name: values.to(checkpoint.device, checkpoint.dtype) for name, values in batch.items()}
    logits: torch.Tensor = checkpoint.model(**placed).logits
    return np.asarray(logits.double().cpu().numpy())
