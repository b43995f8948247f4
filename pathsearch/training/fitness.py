"""Train the paths of a generation and score them on validation images: PathNet's way, with shared weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor

from pathsearch.encoders.split import Split
from pathsearch.grid import population
from pathsearch.grid.grid import Grid, PathNetwork, device_of, dropout_masks, head_name
from pathsearch.grid.modules import Shape
from pathsearch.grid.path import Path
from pathsearch.grid.population import Plan
from pathsearch.run.streams import torch_stream
from pathsearch.run.tensor_file import below
from pathsearch.targets.target import Fitness, Loss, NonFiniteFitness, Reading, Said, Target
from pathsearch.training.bench import Bench
from pathsearch.training.cost import PASSES, Cost, Meter
from pathsearch.training.optimisers import RunningAverage, adamw

TRAINING_BYTES = 2 << 30  # activations of a training step at most; where they are more, paths step in parts
KEPT = 6  # numbers that a step keeps for each that a module puts out: its insides, the sum's, and gradients
SCORING_BYTES = 128 << 20  # activations of a scoring pass at most: what keeps memory flat on a laptop
ANSWERED, ANSWERING_BYTES = 512, 1 << 30  # images that one network is asked at once, and its activations at most
KEPT_BYTES = 128 << 20  # of what paths say that is kept at most, where it must be
FEWEST = 4  # images in a chunk of a scoring pass, however large their maps are
PATHS_AT_ONCE = 256  # paths scored in one pass; more gain nothing


class Progress(NamedTuple):
    """How the training of one generation went, over all its paths."""

    loss: float  # mean over images
    accuracy: float  # mean quality of the answers, in [0, 1], with dropout


class Evaluator(Protocol):
    """What the search asks of a way to train and score paths."""

    @property
    def cost(self) -> Cost:
        """Of all training since this evaluator was made; no part of its state."""

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        """Train along `paths`; generation -1 is the warm-up."""

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        """Validation fitness of each path, in order."""

    def state(self) -> dict[str, Tensor]:
        """All tensors that the next generation depends on."""

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go back to a saved state."""


class SharedWeights:
    """PathNet's way: one grid, trained along all paths of a generation at once; every score is of today's weights.

    With `snapshots`, a score is the mean over the weights after each of the last so many generations: of the
    measure and of the likelihood, not those of averaged weights or answers. One generation's last minibatches
    favour some modules over others; the mean forgets that.

    Source: Fernando et al. 2017, section 2. We differ: one shared minibatch for all paths and one step of
    the optimiser for all, since steps for one path after another undo each other.
    """

    def __init__(self, bench: Bench, grid: Grid) -> None:
        self.bench, self.grid, self.settings = bench, grid, bench.search
        self.loss = search_loss(bench)
        self.trainable = {name: p for name, p in grid.named_parameters() if p.requires_grad and _of(bench.task, name)}
        settings = bench.search
        self.optimiser = adamw(self.trainable.values(), settings.learning_rate, settings.weight_decay)
        self.average: RunningAverage | None = None  # of the weights along the steps; it is scored if there is one
        if settings.average:
            self.average = RunningAverage(grid, settings.average)
        self.snapshots: list[dict[str, Tensor]] = []  # of what is scored, oldest first; none are kept if one is enough
        self.meter, self.spent = Meter(grid, bench.task), Cost()

    @property
    def cost(self) -> Cost:
        """Of all training since this evaluator was made."""
        return self.spent

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        """Train the grid for one generation's minibatches along all `paths` in one pass."""
        steps = self.settings.warmup if generation < 0 else self.settings.steps
        plan = population.plan(paths, self.grid.blueprint)
        most = most_activations(self.settings.batch_size)
        parts = [
            (n / len(paths), own.to(device_of(self.grid)))
            for n, own in population.parts(paths, plan, self.grid.blueprint, most)
        ]
        streams = torch_stream(self.bench.seed, "masks", generation)
        self.grid.train()
        sums = torch.zeros(2, dtype=torch.float64, device=device_of(self.grid))  # no step waits for the device
        images = 0
        for x, truth in minibatches(
            self.bench.training, self.settings.batch_size, steps, torch_stream(self.bench.seed, "batches", generation)
        ):
            # 1. one minibatch and one set of dropout masks for every path
            x, truth = x.to(device_of(self.grid)), truth.to(device_of(self.grid))
            masks = dropout_masks(self.grid.shapes[1:], len(x), self.settings.dropout, streams)
            masks = masks and [mask.to(x.device) for mask in masks]
            # 2. all paths forward, mean loss back; in one part, unless their activations are too many
            self.optimiser.zero_grad(set_to_none=True)
            target = self.bench.target
            for share, part in parts:
                outputs = population.forward(self.grid, self.bench.task, part, x, masks)  # (P, B, …)
                loss = self.loss(outputs, truth).mean() * share
                loss.backward()
                quality = target.of_known(target.each_quality(outputs.detach(), truth), truth)
                sums += torch.stack([loss.detach(), quality.mean() * share])
            # 3. one step for all
            self.optimiser.step()
            if self.average is not None:
                self.average.update_parameters(self.grid)
            images += len(truth)
        self.spent += Cost(images, images * len(paths), PASSES * images * self.meter.together(plan))
        loss_sum, correct = sums.tolist()
        if not math.isfinite(loss_sum):
            raise NonFiniteFitness(
                f"generation {generation}: the training loss became {loss_sum}; "
                f"lower the rate with --set search.learning_rate={self.settings.learning_rate / 4}"
            )
        if self.settings.snapshots > 1 and generation >= 0:
            now = {name: tensor.clone() for name, tensor in self._scored().state_dict().items()}
            self.snapshots = [*self.snapshots, now][-self.settings.snapshots :]
        return Progress(loss_sum / max(steps, 1), correct / max(steps, 1))

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        """Validation fitness of each path, all in one pass over the data; duplicates are scored once."""
        distinct = list(dict.fromkeys(paths))
        found: dict[Path, Fitness] = {}
        at_once = paths_at_once(self.bench, PATHS_AT_ONCE, len(self.bench.validation))
        held = self.bench.target.held(self.grid.head_shape, self.bench.validation.truth)
        at_once = max(1, min(at_once, SCORING_BYTES // (4 * 3 * FEWEST * held)))  # maps are many numbers
        for start in range(0, len(distinct), at_once):
            some = distinct[start : start + at_once]
            found |= dict(zip(some, self._score(some), strict=True))
        return [found[path] for path in paths]

    @torch.no_grad()
    def _score(self, paths: list[Path]) -> list[Fitness]:
        plan = population.plan(paths, self.grid.blueprint).to(device_of(self.grid))
        each = [self._score_with(network, plan, paths) for network in self._networks()]
        return [Fitness(*map(fmean, zip(*several, strict=True))) for several in zip(*each, strict=True)]

    def _score_with(self, scored: Grid, plan: Plan, paths: list[Path]) -> list[Fitness]:
        scored.eval()
        target, device = self.bench.target, device_of(self.grid)
        size = scoring_batch(self.grid, plan, target.held(self.grid.head_shape, self.bench.validation.truth))
        reading = target.reading(self.bench.measure)
        for x, truth in self.bench.validation.batches(size):
            reading.add(population.forward(scored, self.bench.task, plan, x.to(device)), truth)
        return fitnesses(self.bench, [reading], paths)

    def _scored(self) -> Grid:
        """The grid whose weights are scored: the trained one, or the average along its steps."""
        return cast(Grid, self.average.module) if self.average is not None else self.grid

    def _networks(self) -> Iterator[Grid]:
        """One grid for each of the weights that count; all are one copy, so each must be used before the next."""
        if not self.snapshots:
            yield self._scored()
            return
        shown = copy.deepcopy(self._scored())  # the trained weights are never moved
        for weights in self.snapshots:
            shown.load_state_dict(weights)
            yield shown

    def state(self) -> dict[str, Tensor]:
        """Weights of the grid, their average and snapshots if there are any, and the optimiser's moments."""
        tensors = {f"grid.{name}": tensor for name, tensor in self.grid.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for number, weights in enumerate(self.snapshots):
            tensors |= {f"snapshot.{number}.{name}": tensor for name, tensor in weights.items()}
        for name, parameter in self.trainable.items():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{name}:{key}"] = value
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self.grid.load_state_dict(below("grid.", tensors))
        if self.average is not None:
            self.average.load_state_dict(below("average.", tensors))
        self.snapshots = []
        while own := below(f"snapshot.{len(self.snapshots)}.", tensors):
            device = device_of(self.grid)
            self.snapshots.append({name: tensor.to(device, copy=True) for name, tensor in own.items()})
        self.optimiser.state.clear()
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                parameter, _, key = name[len("optimiser.") :].rpartition(":")
                owner = self.trainable[parameter]
                self.optimiser.state[owner][key] = value.to(owner.device, copy=True)


def _of(task: str, parameter: str) -> bool:
    """Whether a grid's parameter is in a module or in this task's head, not in another task's."""
    return parameter.startswith(("layers.", f"heads.{head_name(task)}."))


def search_loss(bench: Bench) -> Loss:
    """What the trainings of a search minimise."""
    settings = bench.search
    return bench.target.loss(bench.training.truth, settings.balance_strength if settings.balance else None)


def fitnesses(bench: Bench, readings: Sequence[Reading], paths: Sequence[Path]) -> list[Fitness]:
    """Of what was read of paths, by the measure of the search.

    Raises:
        NonFiniteFitness: a path's score is NaN or infinite; DEAP would let it beat everything.
    """
    found = bench.target.fitnesses(readings, bench.measure)
    for path, (score, likelihood) in zip(paths, found, strict=True):
        if not (math.isfinite(score) and math.isfinite(likelihood)):
            raise NonFiniteFitness(
                f"path {path}: fitness became {bench.measure}={score}, log-likelihood={likelihood}; lower the rate"
            )
    return found


def most_activations(batch: int) -> int:
    """Numbers that a training step may put out for each of so many images."""
    return TRAINING_BYTES // (4 * KEPT * batch)


def paths_at_once(bench: Bench, most: int, n: int) -> int:
    """Paths that are scored in one pass: as many as may be, unless what they say of n images must all be kept."""
    each = bench.target.kept_bytes(bench.measure, n)
    return most if not each else max(1, min(most, KEPT_BYTES // each))


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
