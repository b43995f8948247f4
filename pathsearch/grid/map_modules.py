"""Module kinds from a map to a map, of another size too: what encoders and decoders that learn are made of.

Width is that of the map they put out, and the stride follows from the two maps; they need no size of their own. Nothing
here keeps statistics between batches: instance norm normalises every image by itself, so what an expert answers depends
on no other image.
"""

from __future__ import annotations

from torch import nn

from data_prep.errors import PathsearchError
from pathsearch.grid.modules import Shape, register


def _stride(name: str, in_shape: Shape, out_shape: Shape) -> int:
    """By which a 3×3 convolution goes from one map to the other."""
    if len(in_shape) == len(out_shape) == 3:
        stride = max(1, round(in_shape[1] / out_shape[1]))
        if [-(-side // stride) for side in in_shape[1:]] == list(out_shape[1:]):
            return stride
    raise PathsearchError(
        f"module kind {name}: expected a map of (channels, height, width) and one that a stride makes of it, got "
        f"{in_shape} and {out_shape}; let its layer read maps `at` twice its height and width, or at its own"
    )


@register("strided")
def strided(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """3×3 convolution, ReLU: what UMS-Rep's encoder has in place of pooling (Zamzmi et al. 2021)."""
    stride = _stride("strided", in_shape, out_shape)
    return nn.Sequential(nn.Conv2d(in_shape[0], out_shape[0], 3, stride, padding=1), nn.ReLU())


@register("double")
def double(in_shape: Shape, out_shape: Shape, size: int) -> nn.Module:
    """Twice 3×3 convolution, instance norm and leaky ReLU; the first has the stride (nnU-Net, Isensee et al. 2021)."""
    stride, channels = _stride("double", in_shape, out_shape), out_shape[0]
    return nn.Sequential(
        nn.Conv2d(in_shape[0], channels, 3, stride, padding=1, bias=False),  # the norm has one
        nn.GroupNorm(channels, channels),
        nn.LeakyReLU(0.01),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.GroupNorm(channels, channels),
        nn.LeakyReLU(0.01),
    )
