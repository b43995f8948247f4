"""What the router sees of an image: few numbers of what the source has of it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

THUMBNAIL = 8  # positions a side: the three means of an image's channels would tell tasks apart by brightness alone


def pooled(maps: Tensor, places: Mapping[str, tuple[int, ...]] | None = None) -> Tensor:
    """What the router sees of a batch.

    Args:
        maps: (B, C, H, W) features, or rows (B, n) of several places.
        places: of the source, with the shape of each, where it has several.

    Returns:
        (B, C) mean over positions, of several places one after another; of pixels, which are uint8, an 8 × 8 thumbnail.
    """
    if maps.dtype == torch.uint8:
        return F.adaptive_avg_pool2d(maps.float(), THUMBNAIL).flatten(1)
    if maps.dim() == 4:
        return maps.float().mean((2, 3))
    shapes = list((places or {}).values())
    each = zip(maps.float().split(list(map(prod, shapes)), 1), shapes, strict=True)
    return torch.cat([part.unflatten(1, shape).mean((2, 3)) for part, shape in each], 1)
