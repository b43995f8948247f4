"""The loss of masks: cross-entropy of pixels and soft Dice, of every path for every image at once."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMOOTH = 1.0  # pixel, on both sides of the fraction: an empty mask that is answered by an empty one costs nothing


def mask_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, mean over pixels, nats, plus 1 minus soft Dice, mean over the labels but background.

    Args:
        logits: (P, B, 1, H, W) of the one label but background, or (P, B, K, H, W) of all K.
        labels: (B, H, W) uint8 indices.

    Returns:
        (P, B). Beside the logits, what is held is as large as they are a few times over: probabilities, their products
        with the truth, and what the gradient needs. The truth is never repeated path by path.

    Source: equation 1 of UMS-Rep, weights 1 to 1; Dice after Milletari et al. 2016, as MONAI computes it. We differ:
    the Dice of each image by itself, with a pixel added to both sides of the fraction.
    """
    if logits.shape[2] == 1:
        logits, flags = logits[:, :, 0], (labels == 1).to(logits.dtype)
        flags = flags.expand_as(logits)
        pixels = F.binary_cross_entropy_with_logits(logits, flags, reduction="none")
        return pixels.mean((-2, -1)) + _one_minus_dice(logits.sigmoid(), flags)
    n_paths, n_images, n_names = logits.shape[:3]
    log_p = logits.log_softmax(2)
    pixels = -log_p.gather(2, labels.long()[None, :, None].expand(n_paths, -1, -1, -1, -1))[:, :, 0]
    flags = (labels[:, None] == torch.arange(1, n_names, device=labels.device)[:, None, None]).to(logits.dtype)
    p = log_p[:, :, 1:].exp().flatten(1, 2)  # (P, B·(K - 1), H, W)
    each = _one_minus_dice(p, flags.flatten(0, 1).expand_as(p)).unflatten(1, (n_images, n_names - 1))
    return pixels.mean((-2, -1)) + each.mean(2)


def _one_minus_dice(p: Tensor, flags: Tensor) -> Tensor:
    """(P, N) of probabilities and truth (P, N, H, W): MONAI's batch are the paths, its channels the images' labels."""
    return _monai()(p, flags)[..., 0, 0]


@functools.cache
def _monai() -> nn.Module:
    """MONAI's Dice loss, without a reduction; it takes seconds to import, once."""
    from monai.losses.dice import DiceLoss

    return DiceLoss(reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH)
