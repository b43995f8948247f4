"""What training costs, counted alike for every method: images, path-images and operations.

- images: drawn in minibatches; one that several paths train on together counts once.
- path-images: each image once for every path whose loss it enters. Under shared weights these are all paths of a
  generation, copies included; under fresh weights those that are trained, since a known path is looked up. It is what
  methods are compared at: a path learns from its images, whoever else learns from them in the same pass.
- operations: multiply-adds of the matrix products and convolutions, forward and backward; a backward pass counts as two
  forward ones, for it multiplies once for the inputs and once for the weights. What paths share in one pass counts
  once. Sums, normalisation, activations and the optimiser are left out, and so is all scoring of validation images.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pathsearch.grid.grid import Grid, device_of
from pathsearch.grid.path import Path
from pathsearch.grid.population import Plan

PASSES = 3  # one forward, and backward as much as two


@dataclass(frozen=True)
class Cost:
    """Of some trainings; sums of costs are costs."""

    images: int = 0
    path_images: int = 0
    operations: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.images + other.images, self.path_images + other.path_images, self.operations + other.operations
        )

    @classmethod
    def alone(cls, images: int, forward: int) -> Cost:
        """Of one network trained by itself; `forward` multiply-adds an image."""
        return cls(images, images, PASSES * forward * images)


def epoch_images(n: int, batch_size: int) -> int:
    """Images that one epoch over n draws: all of them, and some twice, so that its last minibatch is whole too."""
    return math.ceil(n / batch_size) * min(batch_size, n)


def multiply_adds(module: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of a module's forward pass for one image of this shape, as torch's own counter finds them."""
    like = next(module.parameters(), torch.zeros(()))
    once = copy.deepcopy(module).eval()  # whatever a pass leaves behind, it leaves there
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        once(like.new_zeros(1, *shape))
    return int(counter.get_total_flops()) // 2  # it counts multiplication and addition apart


class Meter:
    """Counts what trainings on a grid cost; each module is measured once."""

    def __init__(self, grid: Grid, task: str) -> None:
        self.modules = [
            [multiply_adds(grid.module(n, i), shape) for i in range(len(kinds))]
            for n, (kinds, shape) in enumerate(zip(grid.specifications, grid.blueprint.in_shapes, strict=True))
        ]
        self.head, self.end = multiply_adds(grid.heads[task], grid.head_shape), grid.blueprint.end

    def path(self, path: Path) -> int:
        """Forward multiply-adds of a path for one image."""
        return self.head + sum(self.modules[n][i] for n, layer in enumerate(path.layers) for i in layer)

    def together(self, plan: Plan) -> int:
        """Forward multiply-adds of one pass over a population for one image: what paths share runs once."""
        calls = sum(self.modules[n][i] * times for n, layer in enumerate(plan.layers) for i, times in layer.calls)
        return calls + self.head * len(plan.layers[self.end].starts)


def training_work(grid: Grid, task: str, batch_size: int) -> float:
    """Multiply-adds of a training step of the full grid, the largest network that a run trains.

    A generation's step does about as many: its paths share what they have in common. Infinitely many for a grid that
    is not on the processor.
    """
    network = grid.network(grid.space.full_path(), task)
    if device_of(network).type != "cpu":
        return math.inf
    return PASSES * answering_work(network, grid.shapes[0], batch_size)


def answering_work(network: nn.Module, shape: Sequence[int], batch_size: int) -> float:
    """Multiply-adds of one pass of a network over a batch of maps of `shape`."""
    return float(multiply_adds(network, shape) * batch_size)
