"""The other way to score paths: every one trained from the same start, so that its fitness is its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from pathsearch.grid.copies import Copies
from pathsearch.grid.grid import Grid, device_of, dropout_masks
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import CHOICES, followed
from pathsearch.run.streams import torch_stream
from pathsearch.targets.target import Fitness, Reading
from pathsearch.training.batches import minibatches, most_activations, paths_at_once
from pathsearch.training.bench import Bench
from pathsearch.training.cost import PASSES, Cost, Meter
from pathsearch.training.fitness import Evaluator, Progress, SharedWeights, fitnesses, search_loss
from pathsearch.training.folds import folds
from pathsearch.training.optimisers import CopiesAdamW

COPIES_AT_ONCE = 64  # paths with weights of their own that train in one pass


class FreshWeights:
    """Every path from the same initial weights with the same minibatches: a function of the path alone, looked up.

    New paths train in one pass, each by its recipe; who trains beside a path changes its score by rounding at most.
    With `folds`, a path is trained once for each part of training and validation images, on the other parts, from the
    same start but with other minibatches; its fitness is over all images, each as the training without it answers.
    """

    def __init__(self, bench: Bench, grid: Grid) -> None:
        self.bench, self.grid, self.settings = bench, grid, bench.search
        self.loss = search_loss(bench)
        self.known: dict[Path, tuple[Fitness, Progress]] = {}
        # one evaluator for each part that is left out
        self.parts = [FreshWeights(part, grid) for part in folds(bench)] if bench.search.folds > 1 else []
        self.meter, self.spent = Meter(grid, bench.task), Cost()

    @property
    def cost(self) -> Cost:
        """Of all training since this evaluator was made, once for each part that is left out."""
        return sum((part.cost for part in self.parts), self.spent)

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        """Train a copy of each path that was not seen before; the warm-up has nothing to do."""
        if generation < 0:
            return Progress(math.nan, math.nan)
        self._look_up(paths)
        means = np.mean([self.known[path][1] for path in paths], axis=0)
        return Progress(float(means[0]), float(means[1]))

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        """Look up each path's fitness, training those not seen before."""
        self._look_up(paths)
        return [self.known[path][0] for path in paths]

    def _look_up(self, paths: Sequence[Path]) -> None:
        """Let all of them be known."""
        new = [path for path in dict.fromkeys(paths) if path not in self.known]
        n = sum(len(one.bench.validation) for one in self.parts or [self])
        at_once = paths_at_once(self.bench, min(COPIES_AT_ONCE, self._most()), n)
        for start in range(0, len(new), at_once):
            some = new[start : start + at_once]
            self.known |= dict(zip(some, self._evaluate(some), strict=True))

    def _most(self) -> int:
        """Paths whose activations a step can hold, however many modules each has."""
        widest = [prod(layer.out_shape) * (self.grid.space.max_active + 1) for layer in self.grid.blueprint.layers]
        return max(1, most_activations(self.settings.batch_size) // sum(widest))

    def _evaluate(self, paths: list[Path]) -> list[tuple[Fitness, Progress]]:
        """Train each path, once or once a part, and score it."""
        each = [one._answers(paths) for one in self.parts or [self]]
        found = fitnesses(self.bench, [reading for reading, _ in each], paths)
        progress = [Progress(*map(fmean, zip(*rows, strict=True))) for rows in zip(*(p for _, p in each), strict=True)]
        return list(zip(found, progress, strict=True))

    def _answers(self, paths: list[Path]) -> tuple[Reading, list[Progress]]:
        """Train a copy of each path, all in one pass, by its recipe or the settings.

        Returns what they say to the images that they are scored on, and how each training went.
        """
        recipes = [followed(self.settings, path.recipe) for path in paths]
        rates, decays, dropout = (torch.tensor([getattr(one, name) for one in recipes]) for name in CHOICES)
        dropout = dropout[0] if len(dropout.unique()) == 1 else dropout  # one mask serves all
        copies, target = Copies(self.grid, self.bench.task, paths), self.bench.target
        optimiser = CopiesAdamW(copies, rates, decays)
        size, steps = self.settings.batch_size, self.settings.steps
        streams, order = torch_stream(self.bench.seed, "masks"), torch_stream(self.bench.seed, "batches")
        device = device_of(self.grid)
        losses, quality = torch.zeros(2, len(paths), device=device)  # no step waits for the device
        images = 0
        for x, truth in minibatches(self.bench.training, size, steps, order):
            x, truth = x.to(device), truth.to(device)
            masks = dropout_masks(self.grid.shapes[1:], len(x), dropout, streams)
            outputs = copies(x, masks and [mask.to(device) for mask in masks])  # (P, B, …)
            # a sum over paths: each copy gets the gradient that it would get alone
            each = self.loss(outputs, truth)
            optimiser.zero_grad()
            each.sum().backward()
            optimiser.step()
            losses += each.detach()
            quality += target.of_known(target.each_quality(outputs.detach(), truth), truth).mean(1)
            images += len(truth)
        forward = sum(self.meter.path(path) for path in paths)
        self.spent += Cost(images, images * len(paths), PASSES * images * forward)
        reading = target.reading(self.bench.measure)
        with torch.no_grad():
            for x, truth in self.bench.validation.batches(2 * size):
                reading.add(copies(x.to(device)), truth)
        rows = zip((losses / steps).tolist(), (quality / steps).tolist(), strict=True)
        return reading, [Progress(*row) for row in rows]

    def state(self) -> dict[str, Tensor]:
        """The scores found so far, as one table, and the paths' gene lists."""
        if not self.known:
            return {}
        names = "\n".join(map(str, self.known)).encode()
        return {
            "known.paths": torch.frombuffer(bytearray(names), dtype=torch.uint8),
            "known.scores": torch.tensor([(*f, *p) for f, p in self.known.values()], dtype=torch.float64),
        }

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        if tensors:
            names = bytes(tensors["known.paths"].numpy()).decode().split("\n")
            rows = tensors["known.scores"].tolist()
            self.known = {
                Path.parse(name): (Fitness(*row[:2]), Progress(*row[2:])) for name, row in zip(names, rows, strict=True)
            }


def evaluator(bench: Bench, grid: Grid) -> Evaluator:
    """The way to train and score paths that the settings ask for."""
    return SharedWeights(bench, grid) if bench.search.weights == "shared" else FreshWeights(bench, grid)
