"""The frozen trunk: images to feature maps. It never learns, so every image needs it once."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from pathsearch.config import EncoderSettings
from pathsearch.streams import torch_stream

try:
    from torchvision import models
except RuntimeError as error:  # a torch and a torchvision that were not built for each other
    raise ImportError(
        f"torchvision does not fit the installed torch ({error}); in a fresh virtual environment run "
        "`pip install torch torchvision` so that pip chooses both together"
    ) from error

MEAN, STD = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # ImageNet's, torchvision's convention for all its trunks
FAMILIES = (  # whose trunk is convolutional and can be cut off
    "alexnet", "convnext", "densenet", "efficientnet", "mobilenet", "resnet", "resnext", "squeezenet", "vgg",
    "wide_resnet",
)  # fmt: skip
# torchvision's own DenseNet files still name the layers `norm.1` that its code now calls `norm1`
OLD_DENSENET_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


class Encoder:
    """A frozen torchvision trunk: uint8 images in, float16 feature maps out.

    Attributes:
        settings: what it was made from.
        weights_label: the weights in words, for reports ("random (He, seed 0)", never a bare "vgg16").
        weights_sha256: digest of all parameters and buffers, so that equal names cannot hide other weights.
        taps: channels of each map that modules may read, the trunk's last map first; they add up to C.
        feature_shape: (C, H, W) of one image's features: the maps of all taps, one after another along the channels.
    """

    def __init__(self, settings: EncoderSettings, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        model = _architecture(settings.name)
        self.weights_label = _load_weights(model, settings)
        self.trunk = frozen(_trunk(model, settings.name).to(device, memory_format=torch.channels_last))
        self.device = torch.device(device)
        self.weights_sha256 = digest(self.trunk)
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        self._mean, self._std = (255 * mean).view(3, 1, 1).to(device), (255 * std).view(3, 1, 1).to(device)
        self._steps = _steps(self.trunk.network)
        blank = torch.zeros(1, 3, settings.image_size, settings.image_size, dtype=torch.uint8)
        ends = self._stage_ends(blank)
        self._ends = frozenset(ends)
        self.taps = tuple(ends.values())
        self.feature_shape: tuple[int, int, int] = tuple(self(blank).shape[1:])  # type: ignore[assignment]

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the features of an image; runs whose identities are equal share an encoder."""
        about = {
            "name": self.settings.name,
            "weights": self.weights_label,
            "weights_sha256": self.weights_sha256,
            "image_size": self.settings.image_size,
            "map_size": self.settings.map_size,
            "preprocessing": "RGB / 255, bilinear resize, ImageNet mean and standard deviation",
            "feature_shape": list(self.feature_shape),
        }
        if self.settings.precision != "float32":
            about["precision"] = self.settings.precision
        if self.settings.taps > 1:
            about["taps"] = list(self.taps)
        return about

    @property
    def key(self) -> str:
        """Digest of the identity; the weights' description, which may name a file, does not count."""
        deciding = {name: value for name, value in self.identity.items() if name != "weights"}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            images: (B, 3, S, S) uint8, S the image size of the settings.

        Returns:
            (B, C, H, W) float16 on the CPU, averaged down to at most `map_size` positions a side.

        Raises:
            PathsearchError: a feature is not finite in float16.
        """
        half = self.averaged(self.maps(images)).half()
        if not torch.isfinite(half).all():
            raise PathsearchError(
                f"encoder {self.settings.name} ({self.weights_label}): features are not finite in float16; "
                "are the weights those of this architecture?"
            )
        return half.contiguous().cpu()

    @torch.no_grad()
    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, c, h, w) of every tap, float32 on the encoder's device, before they are averaged."""
        x = self.normalised(images.to(self.device, memory_format=torch.channels_last, non_blocking=True).float())
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            return tuple(one.float() for one in self.stages(x))

    def stages(self, x: Tensor) -> tuple[Tensor, ...]:
        """The trunk's last map and those at the ends of the stages before it, as many as there are taps."""
        kept = []
        for place, step in enumerate(self._steps):
            x = step(x)
            if place in self._ends:
                kept.append(x)
        return tuple(reversed(kept))

    @torch.no_grad()
    def _stage_ends(self, blank: Tensor) -> dict[int, int]:
        """The last step and, backwards, those after which the map changes its size, one a tap: place and channels.

        A pooling that ends the trunk (VGG's) opens no stage of its own.
        """
        x, shapes = self.normalised(blank.to(self.device).float()), []
        for step in self._steps:
            x = step(x)
            shapes.append(x.shape)
        last = len(shapes) - 1
        ends = [last, *(i for i in reversed(range(last - 1)) if shapes[i][-1] != shapes[i + 1][-1])]
        if self.settings.taps > len(ends):
            raise PathsearchError(
                f"encoder.taps: expected at most {len(ends)}, the stages of {self.settings.name} at "
                f"{self.settings.image_size} px, got {self.settings.taps}; choose fewer"
            )
        return {place: shapes[place][1] for place in ends[: self.settings.taps]}

    def normalised(self, images: Tensor) -> Tensor:
        """Pixels of 0…255, float32, as the trunk wants them: of ImageNet's mean and spread."""
        return (images - self._mean) / self._std

    def averaged(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of all taps, the last map first, as one (B, C, H, W); differentiable.

        Each is averaged down to at most `map_size` positions a side, and to no more than the last map has.
        """
        side = min(self.settings.map_size, maps[0].shape[-1])
        same = [F.adaptive_avg_pool2d(one, side) if one.shape[-1] > side else one for one in maps]
        return torch.cat(same, dim=1) if len(same) > 1 else same[0]

    def state(self) -> dict[str, Tensor]:
        """The trunk's tensors under torchvision's names, as the settings' `weights` read them from a file."""
        model = _architecture(self.settings.name)
        names = {id(tensor): name for name, tensor in model.state_dict(keep_vars=True).items()}
        own = self.trunk.network.state_dict()
        trunk = _trunk(model, self.settings.name).state_dict(keep_vars=True)
        return {names[id(tensor)]: own[key].cpu().contiguous() for key, tensor in trunk.items()}


class Frozen(nn.Module):
    """A network fixed for good: no gradients, and evaluation mode that no parent's `train()` can leave."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Frozen:
        """Stay in evaluation mode: batch normalisation would otherwise keep learning."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Run it; see the class."""
        return self.network(x)


def frozen(network: nn.Module) -> Frozen:
    """Freeze parameters, buffers and mode of a network; the one place where that is done."""
    return Frozen(network).eval()


def digest(network: nn.Module) -> str:
    """SHA-256 over names and bytes of all parameters and buffers."""
    sha = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def choose_device(name: str) -> torch.device:
    """The torch device called `name`; `auto` takes CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise PathsearchError(
            f"--device: expected cpu, auto, or cuda where present; got {name!r}; see pathsearch doctor"
        )
    return torch.device(name)


def _architecture(name: str) -> Any:
    known = models.list_models(module=models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see torchvision.models for the names"
        raise PathsearchError(f"encoder: expected a torchvision classification model, got {name!r}; {hint}")
    if not name.startswith(FAMILIES):
        raise PathsearchError(
            f"encoder: {name!r} has no convolutional trunk that can be cut off; choose one of {', '.join(FAMILIES)}"
        )
    with torch.device("meta"):  # no weights yet, and no reading of the global generator
        return models.get_model(name, weights=None)


def _trunk(model: Any, name: str) -> Any:
    """The part of a classification model that yields feature maps."""
    if hasattr(model, "features"):
        # DenseNet applies its last ReLU outside `features`
        return nn.Sequential(model.features, nn.ReLU()) if name.startswith("densenet") else model.features
    # the ResNet family: all but pooling and classifier
    return nn.Sequential(*[part for key, part in model.named_children() if key not in ("avgpool", "fc")])


def _steps(network: nn.Module) -> list[nn.Module]:
    """A trunk as the plain sequence of layers and blocks that it is."""
    if type(network).forward is not nn.Sequential.forward:
        return [network]
    return [step for part in network.children() for step in _steps(part)]


def _load_weights(model: nn.Module, settings: EncoderSettings) -> str:
    """Fill the model (on the meta device until now) and return the weights' description."""
    if settings.weights == "random":
        model.to_empty(device="cpu")
        _he_initialise(model, torch_stream(settings.random_seed, "encoder", settings.name))
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


def _he_initialise(model: nn.Module, generator: torch.Generator) -> None:
    for part in model.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, (nn.BatchNorm2d, nn.LayerNorm)):
            part.reset_parameters()  # ones and zeros: draws nothing
        elif [*part.parameters(recurse=False), *part.buffers(recurse=False)]:  # else it would stay uninitialised memory
            raise PathsearchError(
                f"encoder weights random: expected parts with a known initialisation, got {type(part).__name__}; "
                "use imagenet or a file"
            )


def _imagenet_state(name: str) -> dict[str, Tensor]:
    weights: Any = models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except Exception as error:  # no network, a broken download, or a broken file of an earlier one: many kinds
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise PathsearchError(
            f"encoder weights: could not download or read {weights.url} ({_first_line(error)}); 1. fetch it in a "
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
    except Exception as error:  # the unpickler raises many kinds
        raise PathsearchError(
            f"encoder weights {file}: not a plain state dict ({_first_line(error)}); save it as safetensors"
        ) from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
