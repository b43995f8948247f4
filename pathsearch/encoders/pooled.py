"""What the router sees of an image: few numbers of what the source has of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import torch
from torch import Tensor

Places = Mapping[str, tuple[int, ...]]
STAGE = "stage"  # how the name of a place begins that is one map of several sizes; a number ends it, 1 of the last map
Sight = Callable[[Tensor, Places], Tensor]  # features (B, …), and the places of their source, to (B, n) float32

THUMBNAIL, QUARTERS = 8, 2  # positions a side, see `sketch`


def pooled(maps: Tensor, places: Places | None = None) -> Tensor:
    """What the router sees of a trunk's features: their mean over positions.

    Args:
        maps: (B, C, H, W) features, or rows (B, n) of several places.
        places: of the source, with the shape of each, where it has several.

    Returns:
        (B, C) mean over positions, of several places one after another.
    """
    if maps.dim() == 4:
        return maps.float().mean((2, 3))
    shapes = list((places or {}).values())
    each = zip(maps.float().split(list(map(prod, shapes)), 1), shapes, strict=True)
    return torch.cat([part.unflatten(1, shape).mean((2, 3)) for part, shape in each], 1)


def sketch(images: Tensor, places: Places | None = None) -> Tensor:
    """What the router sees of pixels, where no trunk has made anything of them.

    Of an RGB image 70 numbers: a grey thumbnail of 8 × 8, the contrast in each quarter, and how coloured it is.
    Contrast and colour are logarithms, so that none of either is far from little. docs/studies.md says what else was
    tried.

    Args:
        images: (B, C, H, W) of 0 to 255, uint8 or float32.
        places: of the source; not needed.

    Returns:
        (B, 64 + 4 + C - 1) float32.
    """
    x = images.float()
    grey = x.mean(1).double()
    spread = (_blocks(grey.square(), QUARTERS) - _blocks(grey, QUARTERS).square()).clamp_min(0).sqrt()
    tint = (x[:, :-1] - x[:, 1:]).abs().mean((2, 3))
    parts = [_blocks(grey, THUMBNAIL).flatten(1), spread.log1p().flatten(1), tint.log1p()]
    return torch.cat([part.float() for part in parts], 1)


def _blocks(grey: Tensor, side: int) -> Tensor:
    """(B, side, side) means over blocks of (B, H, W) float64; those of sides that do not divide overlap by a pixel.

    As matrix products, which every runtime has in double precision.
    """
    height, width = grey.shape[-2:]
    return _averages(height, side) @ grey @ _averages(width, side).T


def _averages(size: int, side: int) -> Tensor:
    """(side, size) float64, each row the mean over one part of `size` positions."""
    found = torch.zeros(side, size, dtype=torch.float64)
    for part in range(side):
        first, end = part * size // side, -(-(part + 1) * size // side)
        found[part, first:end] = 1 / (end - first)
    return found
