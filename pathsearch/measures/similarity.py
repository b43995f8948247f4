"""How alike two pictures are: SSIM, MS-SSIM, and the peak signal-to-noise ratio."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

SIGMA, RADIUS = 1.5, 5  # pixels, of the Gaussian window, which is 11 wide
C1, C2 = 0.01**2, 0.03**2  # what keeps fractions finite, for values in [0, 1]
MOST = 100.0  # dB of equal pictures, whose ratio is infinite
LEAST_SIDE = 176  # pixels, of MS-SSIM: torchmetrics wants eleven times sixteen, for five scales and its window


def ssim(said: Tensor, true: Tensor) -> Tensor:
    """Structural similarity, mean over channels and positions, at most 1.

    Args:
        said: (P, B, C, H, W) in [0, 1].
        true: (B, C, H, W) likewise.

    Returns:
        (P, B). Held are six maps as large as the truth, those of one path at a time.

    Source: Wang et al. 2004, with the picture mirrored beyond its edges, as torchmetrics has it. We differ in cost
    only: the window is two matrix products, and the truth's own maps are made once for all paths.
    """
    rows, columns = (_window(side, said.dtype).to(said.device) for side in true.shape[-2:])

    def mean(x: Tensor) -> Tensor:
        return rows @ x @ columns.T

    mean_true = mean(true)
    spread_true = (mean(true**2) - mean_true**2).clamp(min=0)
    found = []
    for one in said:
        mean_said = mean(one)
        spread = (mean(one**2) - mean_said**2).clamp(min=0) + spread_true + C2
        both = mean_said * mean_true
        shared = 2 * (mean(one * true) - both) + C2
        each = (2 * both + C1) * shared / ((mean_said**2 + mean_true**2 + C1) * spread)
        found.append(each.flatten(1).mean(1))
    return torch.stack(found) if found else true.new_zeros(0, len(true))


def ms_ssim(said: Tensor, true: Tensor) -> Tensor:
    """(B,) multi-scale structural similarity of (B, C, H, W) in [0, 1], five scales, both sides at least 176 pixels.

    Source: Wang, Simoncelli and Bovik 2003, as torchmetrics computes it; a negative factor counts as 0.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure  # a slow import

    each = [
        multiscale_structural_similarity_index_measure(one, other, reduction="none", data_range=1.0, normalize="relu")
        for one, other in zip(said[:, None], true[:, None], strict=True)
    ]
    return torch.cat([one.reshape(1) for one in each]) if each else true.new_zeros(0)


def psnr(squared: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, dB, of mean squared errors of values in [0, 1]; 100 at most."""
    return -10 * squared.clamp(min=10 ** (-MOST / 10)).log10()


@functools.lru_cache(maxsize=8)
def _window(side: int, dtype: torch.dtype) -> Tensor:
    """(side, side): the Gaussian means along an axis, mirrored at its ends without repeating them."""
    steps = torch.arange(-RADIUS, RADIUS + 1)
    weights = torch.exp(-(steps.double() ** 2) / (2 * SIGMA**2))
    period = max(1, 2 * (side - 1))
    places = (torch.arange(side)[:, None] + steps) % period
    places = torch.where(places < side, places, period - places)
    found = torch.zeros(side, side, dtype=torch.float64)
    return found.scatter_add_(1, places, (weights / weights.sum()).expand(side, -1)).to(dtype)
