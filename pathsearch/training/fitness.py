"""Train the paths of a generation and score them on validation images: PathNet's way, with shared weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from pathsearch.grid import population
from pathsearch.grid.grid import Grid, device_of, dropout_masks, head_name
from pathsearch.grid.path import Path
from pathsearch.grid.population import Plan
from pathsearch.run.streams import torch_stream
from pathsearch.run.tensor_file import below
from pathsearch.targets.target import Fitness, Loss, NonFiniteFitness, Reading
from pathsearch.training.batches import minibatches, most_activations, paths_scored_at_once, scoring_batch
from pathsearch.training.bench import Bench
from pathsearch.training.cost import PASSES, Cost, Meter
from pathsearch.training.optimisers import RunningAverage, adamw


class Progress(NamedTuple):
    """How the training of one generation went, over all its paths."""

    loss: float  # mean over images
    accuracy: float  # mean quality of the answers, in [0, 1], with dropout


class Passes(NamedTuple):
    """How a generation's paths are trained by each minibatch."""

    n_paths: int
    whole: Plan
    parts: list[tuple[float, Plan]]  # share of the paths, and their plan


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


class Learner:
    """One task's grid while a generation trains along its paths; every score is of today's weights.

    With `snapshots`, a score is the mean over the weights after each of the last so many generations: of the
    measure and of the likelihood, not those of averaged weights or answers. One generation's last minibatches
    favour some modules over others; the mean forgets that.
    """

    def __init__(self, bench: Bench, grid: Grid) -> None:
        self.bench, self.grid, self.settings = bench, grid, bench.search
        self.loss = search_loss(bench)
        self.trainable = {name: p for name, p in grid.named_parameters() if p.requires_grad and _of(bench.task, name)}
        self.average: RunningAverage | None = None  # of the weights along the steps; it is scored if there is one
        if self.settings.average:
            self.average = RunningAverage(grid, self.settings.average)
        self.snapshots: list[dict[str, Tensor]] = []  # of what is scored, oldest first; none are kept if one is enough
        self.meter, self.spent = Meter(grid, bench.task), Cost()

    @property
    def cost(self) -> Cost:
        """Of all training since this was made."""
        return self.spent

    def passes(self, paths: Sequence[Path]) -> Passes:
        """How all `paths` are trained by one minibatch: in one pass, unless their activations are too many."""
        whole = population.plan(paths, self.grid.blueprint)
        most = most_activations(self.settings.batch_size)
        parts = population.parts(paths, whole, self.grid.blueprint, most)
        return Passes(len(paths), whole, [(n / len(paths), own.to(device_of(self.grid))) for n, own in parts])

    def minibatches(self, steps: int, generation: int) -> Iterator[tuple[Tensor, Tensor]]:
        """A generation's; the grid trains."""
        self.grid.train()
        stream = torch_stream(self.bench.seed, "batches", generation)
        return minibatches(self.bench.training, self.settings.batch_size, steps, stream)

    def learn(
        self,
        passes: Passes,
        x: Tensor,
        truth: Tensor,
        masks: torch.Generator,
        weighed: Callable[[Tensor], Tensor] = lambda loss: loss,
    ) -> Tensor:
        """Add the gradients of one minibatch; return (2,) its mean loss, plain, and the quality of the answers.

        Args:
            passes: of the generation's paths.
            x: the minibatch.
            truth: of it.
            masks: that dropout is drawn from.
            weighed: what the loss counts beside those of other tasks.
        """
        # 1. one minibatch and one set of dropout masks for every path
        device = device_of(self.grid)
        x, truth = x.to(device), truth.to(device)
        dropped = dropout_masks(self.grid.shapes[1:], len(x), self.settings.dropout, masks)
        dropped = dropped and [mask.to(device) for mask in dropped]
        # 2. all paths forward, mean loss back
        target, sums = self.bench.target, torch.zeros(2, dtype=torch.float64, device=device)
        for share, part in passes.parts:
            outputs = population.forward(self.grid, self.bench.task, part, x, dropped)  # (P, B, …)
            loss = self.loss(outputs, truth).mean()
            (weighed(loss) * share).backward()
            quality = target.of_known(target.each_quality(outputs.detach(), truth), truth)
            sums += torch.stack([loss.detach(), quality.mean()]) * share
        images = len(truth)
        self.spent += Cost(images, images * passes.n_paths, PASSES * images * self.meter.together(passes.whole))
        return sums

    def stepped(self) -> None:
        """After each step of the optimiser."""
        if self.average is not None:
            self.average.update_parameters(self.grid)

    def finished(self, sums: Sequence[float], steps: int, generation: int) -> Progress:
        """The end of a generation's training, of the sums over its steps that `learn` returned.

        Raises:
            NonFiniteFitness: the loss became NaN or infinite.
        """
        loss_sum, correct = sums
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
        at_once = paths_scored_at_once(self.bench, self.grid)
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
        """Weights of the grid, their average and snapshots if there are any."""
        tensors = {f"grid.{name}": tensor for name, tensor in self.grid.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for number, weights in enumerate(self.snapshots):
            tensors |= {f"snapshot.{number}.{name}": tensor for name, tensor in weights.items()}
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


class SharedWeights(Learner):
    """PathNet's way: one grid, trained along all paths of a generation at once.

    Source: Fernando et al. 2017, section 2. We differ: one shared minibatch for all paths and one step of
    the optimiser for all, since steps for one path after another undo each other.
    """

    def __init__(self, bench: Bench, grid: Grid) -> None:
        super().__init__(bench, grid)
        self.optimiser = adamw(self.trainable.values(), self.settings.learning_rate, self.settings.weight_decay)

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        """Train the grid for one generation's minibatches along all `paths` in one pass."""
        steps = self.settings.warmup if generation < 0 else self.settings.steps
        passes, masks = self.passes(paths), torch_stream(self.bench.seed, "masks", generation)
        sums = torch.zeros(2, dtype=torch.float64, device=device_of(self.grid))  # no step waits for the device
        for x, truth in self.minibatches(steps, generation):
            self.optimiser.zero_grad(set_to_none=True)
            sums += self.learn(passes, x, truth, masks)
            self.optimiser.step()  # one for all
            self.stepped()
        return self.finished(sums.tolist(), steps, generation)

    def state(self) -> dict[str, Tensor]:
        """Weights of the grid, their average and snapshots if there are any, and the optimiser's moments."""
        return super().state() | moments(self.optimiser, self.trainable)

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        super().load_state(tensors)
        load_moments(self.optimiser, self.trainable, tensors)


def moments(optimiser: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """What an optimiser knows of each parameter, by its name."""
    return {
        f"optimiser.{name}:{key}": value
        for name, parameter in parameters.items()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def load_moments(
    optimiser: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Restore what `moments` returned."""
    optimiser.state.clear()
    for name, value in below("optimiser.", dict(tensors)).items():
        parameter, _, key = name.rpartition(":")
        owner = parameters[parameter]
        optimiser.state[owner][key] = value.to(owner.device, copy=True)


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
