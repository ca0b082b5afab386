"""PyTorch modules on tables: numeric features in; logits, probabilities or values out.

The module is given a tensor of shape (rows, features) and answers with shape (rows,), (rows, 1) or (rows, classes).
Logits become probabilities here, by a sigmoid (one output) or a softmax (several), and the evidence says which.
A missing feature reaches the module as NaN; an answer that is NaN is a missing score and a missing decision.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit, softmax

from fairwitness.audit.columns import OTHER, is_number
from fairwitness.audit.errors import UserError, foreign_code
from fairwitness.audit.evidence import NotAssessed, Scalar
from fairwitness.audit.models import Model, Outputs, Setting, class_names, feature_columns, file_facts
from fairwitness.audit.sources import call

if TYPE_CHECKING:
    import torch

EXTRA = "pip install 'fairwitness[torch]'"
PROBE_ROWS = 256
BATCH_ROWS = 8_192  # rows in one forward pass, which bounds the memory of activations

# Integrated gradients: Gauss-Legendre steps, doubled for the pairs of row and baseline whose attributions miss the
# difference of their outputs by more than this share of the mean absolute difference.
FIRST_STEPS, MOST_STEPS, TOLERANCE = 32, 512, 0.01

Output = Literal["logits", "probabilities"]
Explained = Callable[["torch.Tensor"], "torch.Tensor"]
Gradients = Callable[[pd.DataFrame, pd.DataFrame], NDArray[np.float64]]


@dataclass(frozen=True)
class Network:
    """A module and how it is asked: its features in order, its place and precision, most rows in one forward pass."""

    module: "torch.nn.Module"
    columns: tuple[str, ...]
    device: "torch.device"
    dtype: "torch.dtype"
    rows: int
    where: str

    def features(self, rows: Any) -> NDArray[np.float64]:
        """Take the features of a frame or table as numbers, shape (rows, features); missing is NaN."""
        frame = rows.select(list(self.columns)).to_pandas() if isinstance(rows, pa.Table) else rows
        with foreign_code(f"{self.where}: cannot take the features as numbers"):
            columns = [frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in self.columns]
        return np.column_stack(columns)

    def raw(self, rows: Any) -> NDArray[np.float64]:
        """The module's own answers, shape (rows, outputs), a bounded number of rows at a time."""
        import torch

        features, parts = self.features(rows), []
        with self.evaluating(), torch.no_grad():
            for start in range(0, max(len(features), 1), self.rows):
                batch = torch.from_numpy(features[start : start + self.rows]).to(self.dtype).to(self.device)
                with foreign_code(f"{self.where}: the module failed on rows of {len(self.columns)} features"):
                    answer = self.module(batch)
                if not isinstance(answer, torch.Tensor) or answer.ndim not in (1, 2) or len(answer) != len(batch):
                    found = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
                    expected = f"a tensor with one number, or one a class, for each of {len(batch)} rows"
                    raise UserError(f"{self.where}: expected {expected}; the module gave {found}")
                parts.append(answer.reshape(len(batch), *answer.shape[1:] or (1,)).cpu().double().numpy())
        return np.concatenate(parts)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Dropout off, and a module that draws at random draws the same each time; everything is put back."""
        import torch

        training = [part for part in self.module.modules() if part.training]
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            self.module.eval()
            try:
                yield
            finally:
                for part in training:
                    part.training = True


def load(
    setting: Setting,
    *,
    function: str,
    path: str | None = None,
    classes: tuple[bool | int | str, ...] | None = None,
    output: Output | None = None,
    threshold: float | None = None,
    device: str | None = None,
    batch_rows: Annotated[int, Field(ge=1)] = BATCH_ROWS,
) -> Model:
    """Load the module that a plan names.

    Args:
        setting: the data and the target.
        function: `module:function` that gives the module, or a tuple (module, names of its features, its classes) of
            which the last two may be left out, or be the module's attributes `feature_names_in_` and `classes_`.
        path: weights for that module: a state dict in a .safetensors, .pt or .pth file. A file that holds more than
            tensors is refused: whoever trusts a pickled module can load it in `function`.
        classes: labels of the outputs, in their order.
        output: `logits` or `probabilities`; default: seen from the answers to the first rows.
        threshold: selects where the positive label's probability is at least this; default 0.5 for one output, and
            the largest output for several.
        device: `cpu`, `cuda`, `mps`, or `auto` for the best there is; default: where the module is.
        batch_rows: most rows in one forward pass.
    """
    where = setting.where
    try:
        import torch
    except ImportError:
        raise UserError(f"{where}.adapter: PyTorch needs the extra: {EXTRA}") from None
    found = call(function, folder=setting.folder, where=f"{where}.function")
    module, features, own = (*(found if isinstance(found, tuple) else (found,)), None, None, None)[:3]
    if not isinstance(module, torch.nn.Module):
        kind = type(found).__name__
        raise UserError(f"{where}.function: expected a torch.nn.Module or (module, features, classes), found {kind}")
    if path is not None:
        weights = _weights(setting.folder / path, f"{where}.path")
        with foreign_code(f"{where}.path: {path} does not fit the module"):
            module.load_state_dict(weights)
    facts = {} if path is None else file_facts(setting.folder / path)
    return adapt(
        module, setting, features=features, classes=classes or own, output=output, threshold=threshold,
        device=device, batch_rows=batch_rows, facts=facts,
    )  # fmt: skip


def adapt(
    module: "torch.nn.Module",
    setting: Setting,
    *,
    features: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    output: Output | None = None,
    threshold: float | None = None,
    device: str | None = None,
    batch_rows: int = BATCH_ROWS,
    facts: Mapping[str, Scalar] | None = None,
) -> Model:
    """Make a `Model` of a module; the options are those of `load`, and the plan's features go before all others."""
    own = getattr(module, "feature_names_in_", None) if features is None else features
    network = _network(module, setting, None if own is None else [str(name) for name in own], device, batch_rows)
    probe = network.raw(setting.dataset.head(network.columns, rows=PROBE_ROWS))
    size, dtype = sum(part.numel() for part in module.parameters()), str(network.dtype).removeprefix("torch.")
    known: dict[str, Scalar] = {"type": type(module).__name__, "parameters": size, **(facts or {})}
    known |= {"weights_sha256": _weights_digest(module), "dtype": dtype, "device": network.device.type}
    if setting.target.task == "regression":
        if any(option is not None for option in (threshold, output, classes)):
            raise UserError(f"{setting.where}: threshold, output and classes go with labels, not with a regression")
        return _regression(network, probe, known)
    classes = getattr(module, "classes_", None) if classes is None else classes
    names = _names(probe.shape[1], None if classes is None else class_names(classes), setting)
    output = _output(probe, output, setting.where)
    return _classifier(network, setting, names, output, threshold, probe.shape[1], known)


def _regression(network: Network, probe: NDArray[np.float64], facts: dict[str, Scalar]) -> Model:
    if probe.shape[1] != 1:
        raise UserError(f"{network.where}: a regression needs one output, and the module has {probe.shape[1]}")

    def values(rows: Any) -> NDArray[np.float64]:
        return network.raw(rows)[:, 0]

    def answer(table: pa.Table) -> Outputs:
        return Outputs(values=values(table))

    facts["gradients of"] = "value"
    gradients = _gradients(network, lambda answer: answer[:, 0])
    can: dict[str, Callable[..., Any]] = {"predict": values, "gradients": gradients}
    return Model("torch", "gradients", answer, network.columns, facts, can)


def _classifier(
    network: Network, setting: Setting, names: tuple[str, ...], output: Output, threshold: float | None, outputs: int,
    facts: dict[str, Scalar],
) -> Model:  # fmt: skip
    """A model of labels; one output is the last of `names`, several are each of them."""
    positive, task = setting.target.positive, setting.target.task
    if positive is not None and positive not in names:
        raise UserError(f"{setting.where}.classes: the positive label {positive!r} is not one of {list(names)}")
    if threshold is not None and positive is None:
        raise UserError(f"{setting.where}.threshold: goes with one positive label, and the task is {task}")
    cut = 0.5 if threshold is None and outputs == 1 else threshold
    at = 0 if positive is None else names.index(positive)
    # Below the threshold lies the other label where there are two, and otherwise nothing that can be named.
    below = 1 - at if len(names) == 2 else len(names)
    choices = np.array([*names, OTHER], dtype=object)

    def scores(rows: Any) -> NDArray[np.float64]:
        return _probabilities(network.raw(rows), output, len(names))

    def decided(found: NDArray[np.float64]) -> NDArray[np.object_]:
        best = np.argmax(found, axis=1) if cut is None else np.where(found[:, at] >= cut, at, below)
        labels: NDArray[np.object_] = choices[best]
        labels[np.isnan(found).any(axis=1)] = None
        return labels

    def answer(table: pa.Table) -> Outputs:
        found = scores(table)
        return Outputs(pa.array(decided(found), pa.large_string()), found, names)

    link = "none" if output == "probabilities" else "sigmoid" if outputs == 1 else "softmax"
    facts |= {"answers": output, "outputs": outputs, "link": link, "classes": ", ".join(names)}
    facts |= {"rule": "largest"} if cut is None else {"threshold": cut}
    capabilities: dict[str, Callable[..., Any]] = {"predict": lambda rows: decided(scores(rows)), "scores": scores}
    if positive is None:
        return Model("torch", "scores", answer, network.columns, facts, capabilities)
    facts["gradients of"] = {"logits": "log-odds of ", "probabilities": "probability of "}[output] + positive
    capabilities["gradients"] = _gradients(network, partial(_explained, at=at, names=len(names), output=output))
    return Model("torch", "gradients", answer, network.columns, facts, capabilities)


def _explained(answer: "torch.Tensor", at: int, names: int, output: Output) -> "torch.Tensor":
    """The log-odds of a label from the module's logits, or its probability: what its features are credited with."""
    import torch

    if answer.shape[1] == 1:  # it is the last label's
        other = -answer if output == "logits" else 1 - answer
        return (answer if at == names - 1 else other)[:, 0]
    if output == "probabilities":
        return answer[:, at]
    return answer[:, at] - torch.logsumexp(torch.cat([answer[:, :at], answer[:, at + 1 :]], dim=1), dim=1)


def _gradients(network: Network, explained: Explained) -> Gradients:
    """Attributions of one number that is made of a module's outputs."""

    def gradients(rows: pd.DataFrame, background: pd.DataFrame) -> NDArray[np.float64]:
        """Integrated gradients of each row, shape (rows, features), averaged over the background as baselines.

        Their sum over the features is the row's number minus the mean of the background's. Background rows with a
        missing feature are left out; a row with one has attributions NaN.

        Source: Sundararajan, Taly & Yan (2017), Axiomatic attribution for deep networks, arXiv:1703.01365; averaged
        over baselines as in Erion et al. (2021), arXiv:1906.10670.
        """
        given, baselines = network.features(rows), network.features(background)
        baselines = baselines[~np.isnan(baselines).any(axis=1)]
        if not len(baselines):
            raise NotAssessed("too_few", what="rows", found=0, needed=1)
        total = np.where(np.isnan(given).any(axis=1, keepdims=True), np.nan, np.zeros_like(given))
        # Pairs of a row and a baseline, so many at a time that their first steps fill one forward pass.
        size = max(network.rows // FIRST_STEPS, 1)
        for start in range(0, len(given) * len(baselines), size):
            pairs = np.arange(start, min(start + size, len(given) * len(baselines)))
            row, baseline = np.divmod(pairs, len(baselines))
            np.add.at(total, row, _integrated(network, explained, given[row], baselines[baseline]))
        return total / len(baselines)

    return gradients


def _integrated(
    network: Network, explained: Explained, given: NDArray[np.float64], baselines: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Integrated gradients of each row against its own baseline, shape (rows, features)."""
    import torch

    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise NotAssessed("missing_extra", extra="torch") from None

    def number(batch: torch.Tensor) -> torch.Tensor:
        answer = network.module(batch)
        return explained(answer if answer.ndim == 2 else answer[:, None])

    # Rows do not see each other: the gradient of their sum is that of each, and one call of autograd instead of many.
    method = IntegratedGradients(lambda batch: number(batch).sum().reshape(1))
    ask = partial(method.attribute, internal_batch_size=max(network.rows, len(given)))
    x, b = (torch.from_numpy(part).to(network.dtype).to(network.device) for part in (given, baselines))
    with network.evaluating(), foreign_code(f"{network.where}: the module has no gradients"):
        with torch.no_grad():
            difference = number(x) - number(b)
        found, steps, tolerance = ask(x, b, n_steps=FIRST_STEPS), FIRST_STEPS, TOLERANCE * difference.abs().nanmean()
        while steps < MOST_STEPS and (off := (found.sum(dim=1) - difference).abs() > tolerance).any():
            steps *= 2
            found[off] = ask(x[off], b[off], n_steps=steps)
    return np.asarray(found.detach().cpu().double().numpy())


def _network(
    module: "torch.nn.Module", setting: Setting, own: list[str] | None, device: str | None, batch_rows: int
) -> Network:
    """Put the module where it is to run, and make sure that its features are numbers."""
    import torch

    columns, where = feature_columns(setting, own), f"{setting.dataset.where}.features"
    if not columns:
        raise UserError(f"{where}: there is no column left for the model")
    for name in columns:
        kind = setting.dataset.need(name, where).type
        if not (is_number(kind) or pa.types.is_boolean(kind)):
            remedy = "a torch module takes numbers: encode it in the data, or list the features without it"
            raise UserError(f"{where}: column {name!r} is {kind}, and {remedy}")
    parts = [*module.parameters(), *module.buffers()]
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device is not None:
        with foreign_code(f"{setting.where}.device: cannot use {device!r}"):
            module.to(device)
    place = torch.device(device or (parts[0].device if parts else "cpu"))
    kinds = (part.dtype for part in parts if part.is_floating_point())
    return Network(module, columns, place, next(kinds, torch.float32), batch_rows, setting.where)


def _names(outputs: int, given: tuple[str, ...] | None, setting: Setting) -> tuple[str, ...]:
    """Which labels the outputs stand for; of one output the label is the last."""
    expected = max(outputs, 2)
    if given is not None:
        if {len(given), len(set(given))} != {expected}:
            message = f"with {outputs} outputs, expected {expected} different labels, found {list(given)}"
            raise UserError(f"{setting.where}.classes: {message}")
        return given
    labels = setting.dataset.label_names() if setting.dataset.section.target else ()
    numbered = tuple(str(index) for index in range(expected))
    if labels and set(labels) <= set(numbered):  # as cross-entropy numbers them
        return numbered
    if outputs == 1 and setting.target.positive is not None:
        return labels if labels == ("-1", "1") else (setting.target.positive,)
    if len(labels) != outputs:
        raise UserError(f"{setting.where}.classes: name the labels of the {outputs} outputs; found {list(labels)}")
    return labels


def _output(probe: NDArray[np.float64], given: Output | None, where: str) -> Output:
    """Whether the module answers with logits or with probabilities."""
    seen = probe[~np.isnan(probe).any(axis=1)]
    fractions = bool(len(seen)) and bool(((seen >= 0) & (seen <= 1)).all())
    if given == "probabilities" and len(seen) and not fractions:
        raise UserError(f"{where}.output: probabilities are from 0 to 1, found {seen.min():.4g} to {seen.max():.4g}")
    if given is None and probe.shape[1] == 1 and fractions:
        raise UserError(f'{where}.output: set "logits" or "probabilities"; all answers are from 0 to 1')
    if given is None and fractions and np.allclose(seen.sum(axis=1), 1, atol=1e-3):
        return "probabilities"
    return given or "logits"


def _probabilities(raw: NDArray[np.float64], output: Output, classes: int) -> NDArray[np.float64]:
    """One column a class from the module's outputs; of one output, the last class has it."""
    with np.errstate(invalid="ignore"):  # an infinite logit gives NaN, a missing score
        if raw.shape[1] > 1:
            return raw if output == "probabilities" else np.asarray(softmax(raw, axis=1))
        both = np.column_stack([1 - raw, raw] if output == "probabilities" else [expit(-raw), expit(raw)])
        return both[:, -classes:]


def _weights(file: Path, where: str) -> Mapping[str, Any]:
    """Read a state dict, and nothing but tensors."""
    import torch

    if not file.is_file():
        raise UserError(f"{where}: no such file: {file.name}")
    if file.suffix not in (".safetensors", ".pt", ".pth"):
        raise UserError(f"{where}: {file.name}: expected .safetensors, .pt or .pth")
    with foreign_code(f"{where}: cannot read {file.name}"):
        try:
            if file.suffix == ".safetensors":
                from safetensors.torch import load_file

                return dict(load_file(file))
            found = torch.load(file, map_location="cpu", weights_only=True)
        except ImportError:
            raise UserError(f"{where}: reading .safetensors needs the extra: {EXTRA}") from None
        except UnpicklingError:  # its message recommends to load it all the same
            found = None
    if not isinstance(found, Mapping):
        raise UserError(
            f"{where}: {file.name} is no state dict: it is damaged, or a pickle that can run any code when it is "
            f"loaded; save model.state_dict(), or load the file in model.function if you trust who made it"
        )
    return found


def _weights_digest(module: "torch.nn.Module") -> str:
    """SHA-256 over names and contents of parameters and buffers: which model it was that was audited."""
    digest = sha256()
    for name, value in sorted(module.state_dict().items()):
        if hasattr(value, "dtype"):  # a module may keep state of other kinds
            digest.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
            digest.update(value.detach().cpu().double().numpy().tobytes())
    return digest.hexdigest()
