"""Why an answer: which places of an image speak for its class (Grad-CAM), through the encoder and the expert's path."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pathsearch.experts.model import Model


def heat_map(model: Model, image: Tensor, task: str, label: str) -> np.ndarray:
    """Where an image speaks for a class.

    Args:
        model: its encoder and the expert of `task`.
        image: (3, S, S) uint8.
        task: which expert.
        label: one of its classes.

    Returns:
        (S, S) float32 in [0, 1], 1 the strongest place; all 0 where nothing speaks for the class.

    Source: Selvaraju et al. 2017 (arXiv:1610.02391), of the class's logit, on the trunk's last map. We differ:
    from there the gradient runs through the average that the expert sees, its standardisation and its path. With
    several taps the heat is the sum of each map's own, in the same units; one that the path does not read has none.
    """
    expert = model.experts[task]
    maps = [one.cpu().requires_grad_() for one in model.encoder.maps(image[None])]
    logit = expert(model.encoder.averaged(maps))[0, expert.facts.classes.index(label)]
    heat = torch.zeros(image.shape[1:])
    for own, gradient in zip(maps, torch.autograd.grad(logit, maps), strict=True):
        finer = own[0, 0].numel() / maps[0][0, 0].numel()  # a gradient's mean shrinks with its map's positions
        weights = finer * gradient.mean((2, 3), keepdim=True)  # one a channel
        warm = (weights * own.detach()).sum(1, keepdim=True).relu()
        heat += F.interpolate(warm, size=image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
    return (heat / heat.max() if heat.max() > 0 else heat).numpy()
