"""Module kinds: small networks with an input and an output shape, registered by name.

A new kind is a class with `__init__(self, in_shape, out_shape, size)` under `@register("name")`; nothing
else in the package needs to know it (how one of your own comes in: see `plugins`). Shapes are without the
batch: `(channels, height, width)` or `(width,)`.
`size` is the kind's own measure of width, written after the name: `conv3x3-16`. A module that reads some of
the channels only, an encoder's tap, says which: `conv3x3-16@512:896`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data_prep.errors import PathsearchError

Shape = tuple[int, ...]
KINDS: dict[str, Callable[[Shape, Shape, int], nn.Module]] = {}


def register(name: str) -> Callable[[Any], Any]:
    """Enter a module kind under `name`, the part of a specification before the hyphen."""

    def enter(kind: Any) -> Any:
        if not name or set(name) & set("-@:"):
            raise ValueError(f"module kind: expected a name without -, @ and :, got {name!r}; rename it")
        if name in KINDS:
            raise ValueError(f"module kind {name!r} is registered twice; rename one of them")
        KINDS[name] = kind
        return kind

    return enter


def build(specification: str, in_shape: Shape, out_shape: Shape, generator: torch.Generator) -> nn.Module:
    """Return the module that `specification` names, its weights drawn from `generator` alone."""
    kind, _, channels = specification.partition("@")
    if channels:
        first, end = map(int, channels.split(":"))
        return nn.Sequential(Channels(first, end), build(kind, (end - first, *in_shape[1:]), out_shape, generator))
    name, _, size = kind.partition("-")
    if name not in KINDS:
        near = difflib.get_close_matches(name, KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known kinds: {', '.join(KINDS)}"
        raise PathsearchError(f"module kind: expected a registered name, got {name!r}; {hint}")
    with torch.device("meta"):  # shapes only: a constructor's own initialisation would read the global generator
        module = KINDS[name](in_shape, out_shape, int(size or 0))
        if name in built_in() and len(out_shape) == 3 and not isinstance(module, _OnMap):  # which knows its maps
            _try(name, module, in_shape, out_shape)
    module.to_empty(device="cpu")
    initialise(module, generator)
    if name not in built_in():
        _try(name, module, in_shape, out_shape)
    return module


def built_in() -> frozenset[str]:
    """Names of the package's own kinds."""
    return frozenset(name for name, kind in KINDS.items() if str(kind.__module__).startswith("pathsearch."))


@torch.no_grad()
def _try(name: str, module: nn.Module, in_shape: Shape, out_shape: Shape) -> None:
    """Run a module once, so that faults are named before a search starts; the package's own without numbers."""
    if buffers := [key for key, _ in module.named_buffers()]:
        raise PathsearchError(
            f"module kind {name!r}: expected no buffers, which a forward pass could change, got {buffers[0]}; "
            "use layer norm, which keeps no statistics"
        )
    try:
        found = tuple(module(torch.zeros(2, *in_shape)).shape)
    except Exception as error:
        line = " ".join(str(error).split())
        raise PathsearchError(f"module kind {name!r}: fails on an input of shape {(2, *in_shape)}: {line}") from error
    if found != (2, *out_shape):
        raise PathsearchError(
            f"module kind {name!r}: expected an output of shape {(2, *out_shape)} for an input of "
            f"{(2, *in_shape)}, got {found}; make `out_shape` its output's shape"
        )


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights of `module` afresh from `generator`: LeCun-uniform weights, zero biases, unit scales.

    A part with a method `draw(generator)` draws its own.

    Raises:
        PathsearchError: a part has parameters that no rule knows; they would stay whatever the memory held.
    """
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            bound = math.sqrt(3 / prod(part.weight.shape[1:]))
            part.weight.uniform_(-bound, bound, generator=generator)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, (nn.LayerNorm, nn.GroupNorm)):
            part.reset_parameters()
        elif isinstance(part, Scale):
            part.scale.fill_(1.0)
        elif callable(draw := getattr(part, "draw", None)):
            draw(generator)
        elif own := [key for key, _ in part.named_parameters(recurse=False)]:
            raise PathsearchError(
                f"module part {type(part).__name__}: no rule draws its parameter {own[0]!r}; give the class a method "
                "`draw(generator)` that does, or build it of linear maps, convolutions and layer norms"
            )


def normalise(x: Tensor) -> Tensor:
    """Layer norm over all axes but the first, without parameters or running statistics."""
    return F.layer_norm(x, x.shape[1:])


class Channels(nn.Module):
    """Some of a map's channels, from `first` to before `end`."""

    def __init__(self, first: int, end: int) -> None:
        super().__init__()
        self.first, self.end = first, end

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, end - first, H, W)
        """Run it; see the class."""
        return x[:, self.first : self.end]


# --- first layer: a feature map becomes a vector, or a smaller map where the grid asks for one ---------------


class _OnMap(nn.Module):
    """A convolutional body, then a linear readout of every position if the output is a vector."""

    def __init__(self, body: nn.Module, channels: int, in_shape: Shape, out_shape: Shape) -> None:
        super().__init__()
        self.body = body
        if len(in_shape) != 3:
            raise PathsearchError(
                f"module on a map: expected in_shape (channels, height, width), got {in_shape}; let its layer read maps"
            )
        if len(out_shape) == 1:
            positions = in_shape[1] * in_shape[2]
            self.readout: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(channels * positions, out_shape[0]))
        elif out_shape != (channels, *in_shape[1:]):
            raise PathsearchError(f"module on a map: expected out_shape {(channels, *in_shape[1:])}, got {out_shape}")
        else:
            self.readout = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, D) or (B, channels, H, W)
        """Run it; see the class."""
        return self.readout(self.body(x))


def _conv(channels_in: int, channels_out: int, kernel: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, padding="same", **options)


@register("conv3x3")
def conv3x3(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """3×3 convolution to `size` channels, ReLU: the paper's convolutional module."""
    return _OnMap(nn.Sequential(_conv(in_shape[0], size, 3), nn.ReLU()), size, in_shape, out_shape)


@register("conv1x1")
def conv1x1(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """1×1 convolution to `size` channels, GELU."""
    return _OnMap(nn.Sequential(_conv(in_shape[0], size, 1), nn.GELU()), size, in_shape, out_shape)


@register("bottleneck")
def bottleneck(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """1×1 down to `size` channels, 3×3, 1×1 up to twice as many (He et al. 2016, without the shortcut)."""
    body = nn.Sequential(
        _conv(in_shape[0], size, 1),
        nn.GELU(),
        _conv(size, size, 3),
        nn.GELU(),
        _conv(size, 2 * size, 1),
        nn.GELU(),
    )
    return _OnMap(body, 2 * size, in_shape, out_shape)


@register("dilated")
def dilated(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """1×1 down to `size` channels, then a 3×3 convolution of dilation 2: context at the price of a 3×3."""
    body = nn.Sequential(_conv(in_shape[0], size, 1), nn.GELU(), _conv(size, size, 3, dilation=2), nn.GELU())
    return _OnMap(body, size, in_shape, out_shape)


@register("separable")
def separable(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """1×1 down to `size` channels, depthwise 5×5, pointwise; depthwise over all channels would cost 15 times."""
    body = nn.Sequential(
        _conv(in_shape[0], size, 1),
        nn.GELU(),
        _conv(size, size, 5, groups=size),
        _conv(size, size, 1),
        nn.GELU(),
    )
    return _OnMap(body, size, in_shape, out_shape)


class _OneShotAggregation(nn.Module):
    def __init__(self, channels_in: int, size: int) -> None:
        super().__init__()
        self.down = _conv(channels_in, size, 1)
        self.steps = nn.ModuleList([_conv(size, size, 3) for _ in range(3)])
        self.join = _conv(4 * size, size, 1)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, size, H, W)
        """Run it; see the class."""
        stages = [F.gelu(self.down(x))]
        for step in self.steps:
            stages.append(F.gelu(step(stages[-1])))
        return F.gelu(self.join(torch.cat(stages, dim=1)))


@register("osa")
def one_shot_aggregation(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """1×1 down, three 3×3 convolutions in a row, all four stages joined once (VoVNet, Lee et al. 2019)."""
    return _OnMap(_OneShotAggregation(in_shape[0], size), size, in_shape, out_shape)


@register("pool")
def pool(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """Mean over positions, then a linear map, through `size` dimensions if a size is given."""
    if len(in_shape) != 3:
        raise PathsearchError(
            f"module kind pool: expected in_shape (channels, height, width), got {in_shape}; let its layer read maps"
        )
    body: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if size:
        body.append(nn.Linear(in_shape[0], size, bias=False))
    return nn.Sequential(*body, nn.Linear(size or in_shape[0], out_shape[0]))


@register("map")
def position_map(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """A linear map at every position, a 1×1 convolution with bias: the head of what answers at every position."""
    if len(in_shape) != 3 or len(out_shape) != 3 or in_shape[1:] != out_shape[1:]:
        raise PathsearchError(
            f"module kind map: expected two maps (channels, height, width) of one size, got {in_shape} and "
            f"{out_shape}; let it read a map"
        )
    return nn.Conv2d(in_shape[0], out_shape[0], 1)


# --- later layers: a vector becomes a vector; a map is flattened first ----------------------------------------


def _two_layers(in_shape: Shape, out_shape: Shape, size: int, middle: nn.Module, factor: int = 1) -> nn.Module:
    width = prod(in_shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(width, factor * size), middle, nn.Linear(size, out_shape[0]))


@register("skip")
def skip(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """The input itself: no parameters at all."""
    if prod(in_shape) != prod(out_shape):
        raise PathsearchError(f"module kind skip: expected equal shapes, got {in_shape} and {out_shape}")
    return nn.Flatten() if len(out_shape) == 1 else nn.Identity()


class Scale(nn.Module):
    """One learned factor for each of `width` components."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:  # (B, D) -> (B, D)
        """Run it; see the class."""
        return x.flatten(1) * self.scale


@register("scale")
def scale(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """A learned factor for each component of the input."""
    if prod(in_shape) != prod(out_shape):
        raise PathsearchError(f"module kind scale: expected equal shapes, got {in_shape} and {out_shape}")
    return Scale(prod(out_shape))


@register("linear")
def linear(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """A linear map, through `size` dimensions if a size is given (low rank)."""
    if size:
        return _two_layers(in_shape, out_shape, size, nn.Identity())
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(in_shape), out_shape[0]))


@register("relu")
def relu(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """A fully connected layer with ReLU: the paper's later module."""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(in_shape), out_shape[0]), nn.ReLU())


@register("gelu")
def gelu(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """Two linear maps with GELU between, `size` hidden units."""
    return _two_layers(in_shape, out_shape, size, nn.GELU())


@register("gated")
def gated(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """`size` hidden units, each gated by a sigmoid of its own (Dauphin et al. 2017)."""
    return _two_layers(in_shape, out_shape, size, nn.GLU(), factor=2)


@register("normalised")
def normalised(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """As `gelu`, with layer norm on the hidden units."""
    return _two_layers(in_shape, out_shape, size, nn.Sequential(nn.LayerNorm(size), nn.GELU()))
