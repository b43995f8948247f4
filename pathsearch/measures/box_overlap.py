"""How well two boxes agree: intersection over union, pair by pair."""

from __future__ import annotations

import torch
from torch import Tensor


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """(…) intersection over union, in [0, 1], of boxes (…, 4), x_min, y_min, x_max, y_max; 0 where both have no area.

    torchvision's function of this name compares every box with every other.
    """
    sides = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])
    both = sides.clamp(min=0).prod(-1)
    either = sum((box[..., 2:] - box[..., :2]).prod(-1) for box in (one, other)) - both
    return torch.where(either > 0, both / either.where(either > 0, 1.0), 0.0)
