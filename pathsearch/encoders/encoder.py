"""The frozen trunk: images to feature maps. It never learns, so every image needs it once."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from pathsearch.encoders.encoder_weights import load_weights, torchvision_models
from pathsearch.encoders.frozen import digest, frozen
from pathsearch.encoders.pooled import STAGE, Sight, pooled
from pathsearch.run.settings import EncoderSettings

MEAN, STD = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # ImageNet's, torchvision's convention for all its trunks
FAMILIES = (  # whose trunk is convolutional and can be cut off
    "alexnet", "convnext", "densenet", "efficientnet", "mobilenet", "resnet", "resnext", "squeezenet", "vgg",
    "wide_resnet",
)  # fmt: skip


class Encoder:
    """A frozen trunk: uint8 images in, float16 feature maps out.

    The trunk is torchvision's of the settings' name, or that of a subclass which overrides `network`; see `register`.

    Attributes:
        settings: what it was made from.
        weights_label: the weights in words, for reports ("random (He, seed 0)", never a bare "vgg16").
        weights_sha256: digest of all parameters and buffers, so that equal names cannot hide other weights.
        taps: channels of each map that modules may read, the trunk's last map first; they add up to C.
        feature_shape: (C, H, W) of one image's features: the maps of all taps, one after another along the channels;
            (n,) of several maps at their own sizes, one after another.
        dtype: of the features.
        preprocessing: what becomes of an image before the trunk, in words.
        has_trunk: whether there is a network in it.
        sees: what the router sees of the features, given them and the places: a plain function of the module.
        plugin: those that its class and its bases came from, as NAME=SHA-256 joined by +, or nothing.
    """

    dtype: Any = np.float16
    preprocessing = "RGB / 255, bilinear resize, ImageNet mean and standard deviation"
    has_trunk = True
    sees: Sight = staticmethod(pooled)
    plugin = ""

    def __init__(self, settings: EncoderSettings, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        if settings.name in ENCODERS and settings.weights == "imagenet":
            raise PathsearchError(
                f"encoder.weights: expected random or a file with encoder.name={settings.name}, which is none of "
                "torchvision's, got imagenet; give --encoder-weights random, or FILE"
            )
        model = self._model()
        self.weights_label = load_weights(model, settings, own=settings.name in ENCODERS)
        self.trunk = frozen(_trunk(model).to(device, memory_format=torch.channels_last))
        self.device = torch.device(device)
        self.weights_sha256 = digest(self.trunk)
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        self._mean, self._std = (255 * mean).view(3, 1, 1).to(device), (255 * std).view(3, 1, 1).to(device)
        self._steps = _steps(self.trunk.network)
        blank = torch.zeros(1, 3, settings.image_size, settings.image_size, dtype=torch.uint8)
        ends = self._stage_ends(blank)
        self._ends, self._steps = frozenset(ends), self._steps[: max(ends) + 1]
        self.taps = tuple(ends.values())
        if settings.sizes == "own":
            self._stage_shapes = [tuple(one.shape[1:]) for one in self.maps(blank)]
        self.feature_shape: tuple[int, ...] = tuple(self(blank).shape[1:])

    @property
    def places(self) -> dict[str, tuple[int, ...]]:
        """Shape of each place that a blueprint may read: the features, or each stage at its own size."""
        if self.settings.sizes == "one":
            return {"features": self.feature_shape}
        return {f"{STAGE}{number}": shape for number, shape in enumerate(self._stage_shapes, 1)}

    def seen(self, features: Tensor) -> Tensor:
        """(B, n) float32, what the router sees of features (B, …)."""
        return self.sees(features, self.places)

    @property
    def sight(self) -> int:
        """How many numbers that are."""
        return self.seen(torch.zeros(1, *self.feature_shape)).shape[1]

    @property
    def parts(self) -> tuple[int, ...]:
        """How many of the features, along their first axis, come of each map."""
        return self.taps if len(self.feature_shape) > 1 else tuple(map(prod, self.places.values()))

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the features of an image; runs whose identities are equal share an encoder."""
        about = {
            "name": self.settings.name,
            "weights": self.weights_label,
            "weights_sha256": self.weights_sha256,
            "image_size": self.settings.image_size,
            "map_size": self.settings.map_size,
            "preprocessing": self.preprocessing,
            "feature_shape": list(self.feature_shape),
        }
        if self.settings.precision != "float32":
            about["precision"] = self.settings.precision
        if self.settings.stages is not None:
            about["stages"] = self.settings.stages
        if self.settings.taps > 1:
            about["taps"] = list(self.taps)
        if self.settings.sizes != "one":
            about["sizes"] = self.settings.sizes
        if self.plugin:  # other code may give other features by the same weights
            about["plugin"] = self.plugin
        return about

    @property
    def key(self) -> str:
        """Digest of the identity; the weights' description, which may name a file, does not count."""
        deciding = {name: value for name, value in self.identity.items() if name != "weights"}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]

    def network(self) -> nn.Module:
        """The trunk of a subclass, without weights: these are drawn from the settings' seed, or read from a file.

        A plain sequence of layers and blocks, from (B, 3, S, S) to the last map; its stages are where the size changes.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method `network` that returns the trunk")

    def _model(self) -> Any:
        """The whole model, on the meta device until its weights are there."""
        if self.settings.name not in ENCODERS:
            return _architecture(self.settings.name)
        model = nn.Module()
        with torch.device("meta"):
            model.features = self.network()  # as torchvision names a trunk
        return model

    def refuse_idle_map_size(self) -> None:
        """Refuse a map size above the trunk's own, unless it is the default; runs of earlier versions may have one."""
        wanted, side = self.settings.map_size, self.feature_shape[-1]
        if self.settings.sizes == "own" and wanted != EncoderSettings.map_size:
            raise PathsearchError(
                f"encoder.map_size: {wanted} has no effect with encoder.sizes=own, which leaves maps as they are; "
                "leave one of them out"
            )
        if self.settings.sizes == "one" and side < wanted != EncoderSettings.map_size:
            raise PathsearchError(
                f"encoder.map_size: {wanted} has no effect, since the map of {self.settings.name} at "
                f"{self.settings.image_size} px has {side} positions a side; give {side} or fewer, or leave it out"
            )

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            images: (B, 3, S, S) uint8, S the image size of the settings.

        Returns:
            (B, C, H, W) float16 on the CPU, averaged down to at most `map_size` positions a side; see `averaged`.

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

    def graphed(self, images: Tensor) -> Tensor:
        """(B, …) features of images (B, 3, S, S) float32 of 0 to 255, as an exported graph computes them."""
        return self.averaged(self.stages(self.normalised(images))).half()

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

        A pooling that ends the trunk (VGG's) opens no stage of its own; of the first stages alone, it is left out.
        """
        x, shapes = self.normalised(blank.to(self.device).float()), []
        for step in self._steps:
            x = step(x)
            shapes.append(x.shape)
        last = len(shapes) - 1
        ends = [last, *(i for i in reversed(range(last - 1)) if shapes[i][-1] != shapes[i + 1][-1])]
        kept = ends[-(self.settings.stages or len(ends)) :]
        asked = {"stages": (self.settings.stages or 1, ends), "taps": (self.settings.taps, kept)}
        for name, (wanted, there) in asked.items():
            if wanted > len(there):
                raise PathsearchError(
                    f"encoder.{name}: expected at most {len(there)}, the stages of {self.settings.name} at "
                    f"{self.settings.image_size} px{' that are kept' if len(there) < len(ends) else ''}, got {wanted}; "
                    "choose fewer"
                )
        return {place: shapes[place][1] for place in kept[: self.settings.taps]}

    def normalised(self, images: Tensor) -> Tensor:
        """Pixels of 0…255, float32, as the trunk wants them: of ImageNet's mean and spread."""
        return (images - self._mean) / self._std

    def averaged(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of all taps, the last map first, as one (B, C, H, W); differentiable.

        Each is averaged down to at most `map_size` positions a side, and to no more than the last map has. At their own
        sizes they stay as they are: one map alone, several as rows (B, n).
        """
        if self.settings.sizes == "own":
            return torch.cat([one.flatten(1) for one in maps], dim=1) if len(maps) > 1 else maps[0]
        side = min(self.settings.map_size, maps[0].shape[-1])
        same = [F.adaptive_avg_pool2d(one, side) if one.shape[-1] > side else one for one in maps]
        return torch.cat(same, dim=1) if len(same) > 1 else same[0]

    def state(self) -> dict[str, Tensor]:
        """The trunk's tensors under torchvision's names, as the settings' `weights` read them from a file."""
        model = self._model()
        names = {id(tensor): name for name, tensor in model.state_dict(keep_vars=True).items()}
        own = self.trunk.network.state_dict()
        trunk = _trunk(model).state_dict(keep_vars=True)
        return {names[id(tensor)]: own[key].cpu().contiguous() for key, tensor in trunk.items()}


Kind = TypeVar("Kind", bound=type[Encoder])
ENCODERS: dict[str, Any] = {}  # subclasses of `Encoder` by the names that settings give them


def register(name: str) -> Callable[[Kind], Kind]:
    """Enter an encoder under the name that `--encoder` takes: a subclass with a `network`, or one of `Pixels`."""

    def enter(kind: Kind) -> Kind:
        if name in ENCODERS or name in _known():
            raise ValueError(f"encoder {name!r} is registered twice, or torchvision's; rename yours")
        ENCODERS[name] = kind
        return kind

    return enter


def choose_device(name: str) -> torch.device:
    """The torch device called `name`; `auto` takes CUDA where there is one.

    CUDA is told, for the whole process, to compute float32 as float32 (convolutions would otherwise keep 10 of 23
    bits, TF32) and to take operations that give the same bits every time; torch warns of one that has no such form.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise PathsearchError(
            f"--device: expected cpu, auto, or cuda where present; got {name!r}; see pathsearch doctor"
        )
    if name == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False  # its choice of an algorithm is a matter of timing
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when cuBLAS starts
        torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device(name)


def _architecture(name: str) -> Any:
    if name not in _known():
        near = difflib.get_close_matches(name, [*_known(), *ENCODERS], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see torchvision.models for the names, or give pixels"
        if not any(kind.plugin for kind in ENCODERS.values()):  # else it is given already
            hint += " One of your own needs --plugin FILE" if near else "; one of your own needs --plugin FILE"
        raise PathsearchError(f"encoder: expected a torchvision classification model, got {name!r}; {hint}")
    if not name.startswith(FAMILIES):
        raise PathsearchError(
            f"encoder: {name!r} has no convolutional trunk that can be cut off; choose one of {', '.join(FAMILIES)}"
        )
    with torch.device("meta"):  # no weights yet, and no reading of the global generator
        return torchvision_models().get_model(name, weights=None)


def _known() -> list[str]:
    """Names of torchvision's classification models."""
    models = torchvision_models()
    return list(models.list_models(module=models))


def _trunk(model: Any) -> Any:
    """The part of a classification model that yields feature maps."""
    if hasattr(model, "features"):
        dense = isinstance(model, torchvision_models().DenseNet)  # it applies its last ReLU outside `features`
        return nn.Sequential(model.features, nn.ReLU()) if dense else model.features
    # the ResNet family: all but pooling and classifier
    return nn.Sequential(*[part for key, part in model.named_children() if key not in ("avgpool", "fc")])


def _steps(network: nn.Module) -> list[nn.Module]:
    """A trunk as the plain sequence of layers and blocks that it is."""
    if type(network).forward is not nn.Sequential.forward:
        return [network]
    return [step for part in network.children() for step in _steps(part)]
