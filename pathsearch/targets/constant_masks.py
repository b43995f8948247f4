"""The best mask that looks at no image: what any network has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from pathsearch.measures.overlap import counted, dice

CUTS = 20  # thresholds that are tried
ROWS = 64  # masks that are compared at once


def best_constant(labels: Tensor, n_labels: int) -> tuple[Tensor, float]:
    """The mask (H, W) with the highest mean Dice for all images, of those that their mean can be cut into; and that.

    A pixel has its most frequent label if that is in at least a share of the masks; shares from 0 to 1 are tried, and
    the empty mask. Medical images are taken alike, so a mean lung is no bad answer.

    Args:
        labels: (n, H, W) uint8 indices, 0 for background.
        n_labels: L, without background.
    """
    if not len(labels):
        return labels.new_zeros(labels.shape[1:]), 0.0
    shares = torch.stack([(labels == label).double().mean(0) for label in range(1, n_labels + 1)])  # (L, H, W)
    most, which = shares.max(0)
    cuts = torch.linspace(0, 1, CUTS + 1, dtype=torch.float64)
    tried = torch.stack([*((which + 1) * (most >= cut) for cut in cuts), torch.zeros_like(which)]).byte()
    total = torch.zeros(len(tried), dtype=torch.float64)
    for some in labels.split(ROWS):
        said = tried[:, None].expand(-1, len(some), -1, -1)
        total += dice(counted(said, some, n_labels)).mean(-1).sum(1)
    best = int(total.argmax())
    return tried[best], float(total[best]) / len(labels)
