"""What the router sees of an image: few numbers of what the source has of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

THUMBNAIL = 8  # positions a side: the three means of an image's channels would tell tasks apart by brightness alone


def pooled(maps: Tensor) -> Tensor:
    """(B, C) mean over positions of feature maps (B, C, H, W); of pixels, which are uint8, an 8 × 8 thumbnail."""
    if maps.dtype == torch.uint8:
        return F.adaptive_avg_pool2d(maps.float(), THUMBNAIL).flatten(1)
    return maps.float().mean((2, 3))
