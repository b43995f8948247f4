"""Minibatches, and how many images or paths go through one pass, so that memory stays flat on a laptop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pathsearch.encoders.split import Split
from pathsearch.grid.grid import Grid, PathNetwork, device_of
from pathsearch.grid.modules import Shape
from pathsearch.grid.population import Plan
from pathsearch.targets.target import Said, Target
from pathsearch.training.bench import Bench

TRAINING_BYTES = 2 << 30  # activations of a training step at most; where they are more, paths step in parts
KEPT = 6  # numbers that a step keeps for each that a module puts out: its insides, the sum's, and gradients
SCORING_BYTES = 128 << 20  # activations of a scoring pass at most: what keeps memory flat on a laptop
ANSWERED, ANSWERING_BYTES = 512, 1 << 30  # images that one network is asked at once, and its activations at most
KEPT_BYTES = 128 << 20  # of what paths say that is kept at most, where it must be
FEWEST = 4  # images in a chunk of a scoring pass, however large their maps are
PATHS_AT_ONCE = 256  # paths scored in one pass; more gain nothing


def most_activations(batch: int) -> int:
    """Numbers that a training step may put out for each of so many images."""
    return TRAINING_BYTES // (4 * KEPT * batch)


def paths_at_once(bench: Bench, most: int, n: int) -> int:
    """Paths that are scored in one pass: as many as may be, unless what they say of n images must all be kept."""
    each = bench.target.kept_bytes(bench.measure, n)
    return most if not each else max(1, min(most, KEPT_BYTES // each))


def paths_scored_at_once(bench: Bench, grid: Grid) -> int:
    """The same of a grid's, in one pass over the validation images; maps are many numbers."""
    held = bench.target.held(grid.head_shape, bench.validation.truth)
    most = paths_at_once(bench, PATHS_AT_ONCE, len(bench.validation))
    return max(1, min(most, SCORING_BYTES // (4 * 3 * FEWEST * held)))


def minibatches(split: Split, size: int, steps: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """`steps` minibatches in random order, every image once before any comes again; a random view of each."""
    for x, truths in shared_minibatches([split], size, steps, generator):
        yield x, truths[0]


def shared_minibatches(
    splits: Sequence[Split], size: int, steps: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """The same of splits that are the same images with truth of several kinds: their features once, and each truth."""
    split = splits[0]
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(order) < min(size, len(split)):
            order = torch.cat([order, torch.randperm(len(split), generator=generator)])
        positions, order = order[:size], order[size:]
        views = torch.randint(len(split.views), positions.shape, generator=generator)
        yield split.batch(positions, views, generator), [one.truth_of(positions, views) for one in splits]


def scoring_batch(grid: Grid, plan: Plan, outputs: int = 1) -> int:
    """Images in a chunk of a scoring pass, so that its activations, and what is said, stay within `SCORING_BYTES`.

    `outputs` are the numbers that a path puts out for one image.
    """
    widest = max(math.prod(shape) for shape in grid.shapes[1:])
    maps = math.prod(grid.shapes[0]) + 64 * grid.blueprint.positions  # the input, a module's insides on the largest map
    said = SCORING_BYTES // (4 * 3 * len(plan.sums) * outputs)  # outputs, what is made of them, and one of them moved
    return max(FEWEST, min(1024, SCORING_BYTES // (4 * (4 * plan.widest * widest + maps)), said))


def answering_batch(network: PathNetwork, features: Shape) -> int:
    """Images in a chunk of what one network says to features of this shape, within `ANSWERING_BYTES` of activations."""
    made = [] if network.blueprint is None else [*network.blueprint.in_shapes, *network.blueprint.shapes]
    widest = max(map(math.prod, (features, *made)))
    return max(8, min(ANSWERED, ANSWERING_BYTES // (4 * 4 * widest)))


@torch.no_grad()
def said_to(target: Target, network: PathNetwork, split: Split, in_full: bool = False) -> Said:
    """What one network says to all images of a split, in evaluation mode; in full, where it is a final one."""
    network.eval()
    size = answering_batch(network, split.shape)
    device, said = device_of(network), target.said_in_full if in_full else target.said
    return joined([said(network(x.to(device)), truth.to(device)) for x, truth in split.batches(size)])


def joined(parts: Sequence[Said]) -> Said:
    """What was said to several batches, in their order."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
