"""The weights of a trunk: random from a seed, torchvision's own, or from a file that holds tensors and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from pathsearch.run.settings import EncoderSettings
from pathsearch.run.streams import torch_stream

# torchvision's own DenseNet files still name the layers `norm.1` that its code now calls `norm1`
OLD_DENSENET_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


# what a seed can draw, or needs not to, and the tensors that are then filled
DRAWN = (nn.Conv2d, nn.Linear)
PLAIN = (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
FILLED = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def load_weights(model: nn.Module, settings: EncoderSettings, own: bool = False) -> str:
    """Fill the model (on the meta device until now) and return the weights' description.

    Args:
        model: all of it, or of an encoder of a user's `own` the trunk.
        settings: which weights.
        own: whether torchvision has none of it.

    Raises:
        PathsearchError: no such file, a damaged one, or one of another architecture; a download that failed; a tensor
            of the model that no weights fill.
    """
    _refuse_unfilled(model, settings)
    if settings.weights == "random":
        model.to_empty(device="cpu")
        elsewhere = "a file" if own else "imagenet or a file"
        _he_initialise(model, torch_stream(settings.random_seed, "encoder", settings.name), elsewhere)
        return f"random (He, seed {settings.random_seed})"
    if settings.weights == "imagenet":
        state, label = _imagenet_state(settings.name), "ImageNet (torchvision IMAGENET1K_V1)"
    else:
        file = Path(settings.weights)
        state = _read_weights(file)
        label = f"file {file.name} (sha256 {hashlib.sha256(file.read_bytes()).hexdigest()[:12]})"
    trunk_keys = _of_trunk(model.state_dict())
    state = {OLD_DENSENET_NAME.sub(r"\1\2", key): value for key, value in state.items()}
    if not trunk_keys & set(state):  # the file of a trunk alone, as torchvision's `.features` names it
        state = {f"features.{key}": value for key, value in state.items()}
    for key in trunk_keys - set(state):
        if key.endswith("num_batches_tracked"):  # older files lack this counter, which a frozen network never reads
            state[key] = torch.tensor(0)
    missing, foreign = sorted(trunk_keys - set(state)), sorted(_of_trunk(state) - trunk_keys)
    if missing or foreign:
        example = f"first missing: {missing[0]}" if missing else f"and {len(foreign)} others, first: {foreign[0]}"
        raise PathsearchError(
            f"encoder weights {settings.weights}: expected the {len(trunk_keys)} tensors of {settings.name}'s trunk, "
            f"got {len(trunk_keys) - len(missing)} of them ({example}); is it the file of another architecture?"
        )
    model.to_empty(device="cpu")
    try:
        model.load_state_dict({key: state[key] for key in trunk_keys}, strict=False)
    except RuntimeError as error:
        raise PathsearchError(
            f"encoder weights {settings.weights}: shapes do not fit {settings.name} "
            f"({str(error).splitlines()[-1].strip()}); is it the file of another architecture?"
        ) from None
    return label


def _of_trunk(names: Iterable[str]) -> set[str]:
    """The names of a full model's tensors without those of its classifier."""
    return {name for name in names if not name.startswith(("classifier", "fc."))}


def _refuse_unfilled(model: nn.Module, settings: EncoderSettings) -> None:
    """Refuse tensors that no weights file holds: they would stay uninitialised memory, and out of the cache's key."""
    unfilled = sorted(dict(model.named_buffers()).keys() - model.state_dict().keys())
    for place, part in model.named_modules():
        unfilled += [f"{place}.{name}" for name, value in vars(part).items() if isinstance(value, Tensor)]
    if unfilled:
        tensor = unfilled[0].removeprefix("features.")
        raise PathsearchError(
            f"encoder {settings.name!r}: expected parameters and persistent buffers, which weights fill, got the "
            f"tensor {tensor}; make it in forward, or a persistent buffer and weights from a file"
        )


def _he_initialise(model: nn.Module, generator: torch.Generator, elsewhere: str) -> None:
    for part in model.modules():
        own = [name for name, _ in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))]
        known = FILLED if isinstance(part, (*DRAWN, *PLAIN)) else set()
        if foreign := [name for name in own if name not in known]:  # it would stay uninitialised memory
            raise PathsearchError(
                f"encoder weights random: expected parts with a known initialisation, got {type(part).__name__}"
                f"{f' with {foreign[0]}' if known else ''}; use {elsewhere}"
            )
        if isinstance(part, DRAWN):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, PLAIN):
            part.reset_parameters()  # ones and zeros: draws nothing


def _imagenet_state(name: str) -> dict[str, Tensor]:
    weights: Any = torchvision_models().get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except Exception as error:  # no network, a broken download, or a broken file of an earlier one: many kinds
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        # of a broken file torch says that protection can be switched off
        reason = _first_line(error) if isinstance(error, OSError) else "not whole"
        raise PathsearchError(
            f"encoder weights: could not download or read {weights.url} ({reason}); 1. fetch it in a "
            f"browser, 2. put it into {folder} or name it with --encoder-weights FILE, or 3. use "
            "--encoder-weights random"
        ) from None


def _read_weights(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise PathsearchError(f"encoder weights: expected imagenet, random or a file, got {str(file)!r}, which is none")
    read: Callable[[Path], Any] = load_file if file.suffix == ".safetensors" else _read_pth
    try:
        state = read(file)
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise PathsearchError(f"encoder weights {file}: not a readable safetensors file ({error})") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PathsearchError(f"encoder weights {file}: expected a table of tensors (a state dict), got another object")
    return state


def _read_pth(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)  # tensors only: no code is ever unpickled
    except Exception:  # of many kinds, and torch's own words advise to switch the protection off
        raise PathsearchError(
            f"encoder weights {file}: not a plain state dict: it is damaged, or holds objects that may run code when "
            "they are read; save model.state_dict() as safetensors where you trust its maker"
        ) from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def torchvision_models() -> Any:
    """Torchvision's models. Its import costs more than torch's, and networks from pixels do without."""
    try:
        from torchvision import models
    except RuntimeError as error:  # a torch and a torchvision that were not built for each other
        raise ImportError(
            f"torchvision does not fit the installed torch ({error}); in a fresh virtual environment run "
            "`pip install torch torchvision` so that pip chooses both together"
        ) from error
    return models
