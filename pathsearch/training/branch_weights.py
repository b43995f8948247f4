"""Paths of several tasks, trained and scored together: shared layers learn from all, each branch from its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from pathsearch.grid.branches import Branches
from pathsearch.grid.grid import dropout_masks
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import followed, followed_together
from pathsearch.run.settings import SearchSettings
from pathsearch.run.streams import derive, torch_stream
from pathsearch.run.tensor_file import below
from pathsearch.run.together_settings import TogetherSettings, parse_fitness
from pathsearch.targets.target import Fitness
from pathsearch.training.batches import minibatches
from pathsearch.training.bench import Bench
from pathsearch.training.cost import PASSES, Cost, Meter
from pathsearch.training.fitness import (
    Evaluator,
    Learner,
    Progress,
    fitnesses,
    load_moments,
    moments,
    search_loss,
)
from pathsearch.training.optimisers import adamw
from pathsearch.training.strategies import LossWeights, Turns


class TogetherEvaluator(Evaluator, Protocol):
    """An evaluator that tells its tasks apart."""

    def each(self, paths: Sequence[Path]) -> list[list[Fitness]]:
        """For each task, the validation fitness of its part of each path."""

    def lessons(self, paths: Sequence[Path]) -> list[Progress]:
        """How the training of these paths, the last ones that were trained, went for each task."""


def weights_of(settings: TogetherSettings, n: int) -> list[float]:
    """What each task's measure counts; they sum to one."""
    given = parse_fitness(settings.fitness) or [1.0] * n
    return [one / sum(given) for one in given]


def combined(settings: TogetherSettings, each: Sequence[Sequence[Fitness]]) -> list[Fitness]:
    """One fitness for each path, of those of its parts: by the mean of measures, weighed or not, or of ranks.

    A rank is the share of the other paths asked that a path is better than, ties by half; likelihoods are averaged.
    """
    weights = weights_of(settings, len(each))
    ranked = [_ranked(own) if settings.fitness == "rank" else own for own in each]
    # added up path by path: a product of matrices would round a path by whoever is asked beside it
    return [
        Fitness(
            *(
                math.fsum(w * value for w, value in zip(weights, values, strict=True))
                for values in zip(*parts, strict=True)
            )
        )
        for parts in zip(*ranked, strict=True)
    ]


def _ranked(own: Sequence[Fitness]) -> list[Fitness]:
    """Share of the others that each is better than in place of its score."""
    ranks = rankdata([one.score for one in own]) - 1
    return [one._replace(score=float(rank) / max(1, len(own) - 1)) for one, rank in zip(own, ranks, strict=True)]


class SharedBranches:
    """One grid for all tasks, trained along all paths of a generation at once; by turns, or all in each step.

    Args:
        benches: of each task; what their settings say of the search is the same.
        branches: their grids, tied.
    """

    def __init__(self, benches: Sequence[Bench], branches: Branches) -> None:
        self.branches, self.settings, self.seed = branches, benches[0].search, benches[0].seed
        self.together = benches[0].settings.together
        self.learners = [Learner(*each) for each in zip(benches, branches.grids, strict=True)]
        self.weights = LossWeights(self.together, len(benches)).to(benches[0].device)
        every = ((f"{n}.{name}", p) for n, one in enumerate(self.learners) for name, p in one.trainable.items())
        self.trainable = _distinct([*every, *self.weights.named_parameters("weights")])
        self.optimiser = _optimiser(self.trainable.values(), self.weights, self.settings)
        self.progress: list[Progress] = []
        # names of weights that are those of an earlier grid, and their names there
        first: dict[int, str] = {}
        names = [
            (f"{n}.grid.{name}", p) for n, grid in enumerate(branches.grids) for name, p in grid.named_parameters()
        ]
        self.twins = {name: first[id(p)] for name, p in names if first.setdefault(id(p), name) != name}

    @property
    def cost(self) -> Cost:
        """Of all training since this evaluator was made."""
        return sum((one.cost for one in self.learners), Cost())

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        """Train the grids for one generation's minibatches along all `paths`."""
        steps = self.settings.warmup if generation < 0 else self.settings.steps
        turns = _turns(self.together, [one.bench for one in self.learners], self.seed, steps).of(generation)
        taken = _taken(turns, len(self.learners))
        taught = [0] * len(self.learners)  # minibatches in which any image has a truth
        passes = [one.passes([self.branches.of(p, n) for p in paths]) for n, one in enumerate(self.learners)]
        masks = [torch_stream(one.bench.seed, "masks", generation) for one in self.learners]
        batches = [one.minibatches(n, generation) for one, n in zip(self.learners, taken, strict=True)]
        sums = torch.zeros(len(self.learners), 2, dtype=torch.float64, device=self.learners[0].bench.device)
        for turn in turns:
            self.optimiser.zero_grad(set_to_none=True)
            for number in turn:
                one, (x, truth) = self.learners[number], next(batches[number])
                if one.bench.target.known(truth).any():
                    weighed = partial(_weighed, self.weights, number)
                    sums[number] += one.learn(passes[number], x, truth, masks[number], weighed)
                    taught[number] += 1
            self.optimiser.step()
            for one in self.learners:
                one.stepped()
        ends = zip(self.learners, sums.tolist(), taught, strict=True)
        self.progress = [one.finished(own, n, generation) for one, own, n in ends]
        return _mean(self.progress)

    def lessons(self, paths: Sequence[Path]) -> list[Progress]:
        """Of the last generation."""
        return self.progress

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        """Validation fitness of each path, of all its parts."""
        return combined(self.together, self.each(paths))

    def each(self, paths: Sequence[Path]) -> list[list[Fitness]]:
        """The same of each part."""
        return [one.score([self.branches.of(p, n) for p in paths]) for n, one in enumerate(self.learners)]

    def state(self) -> dict[str, Tensor]:
        """Of each task's grid, of the weights of losses, and the optimiser's moments; what grids share, once."""
        each = {f"{n}.{name}": t for n, one in enumerate(self.learners) for name, t in one.state().items()}
        each = {name: tensor for name, tensor in each.items() if name not in self.twins}
        weights = {f"weights.{name}": tensor for name, tensor in self.weights.state_dict().items()}
        return each | weights | moments(self.optimiser, self.trainable)

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        whole = tensors | {name: tensors[first] for name, first in self.twins.items()}
        for number, one in enumerate(self.learners):
            one.load_state(below(f"{number}.", whole))
        self.weights.load_state_dict(below("weights.", tensors))
        load_moments(self.optimiser, self.trainable, tensors)


class _Known(NamedTuple):
    """What came of one path, for each task."""

    fitness: list[Fitness]
    progress: list[Progress]


class FreshBranches:
    """Every path's networks from the same initial weights with the same minibatches, by its recipe; looked up.

    They are trained one path after another: recipes may have other tasks step at other times.
    """

    def __init__(self, benches: Sequence[Bench], branches: Branches) -> None:
        self.benches, self.branches, self.settings = benches, branches, benches[0].search
        self.together = benches[0].settings.together
        self.meters = [Meter(grid, bench.task) for grid, bench in zip(branches.grids, benches, strict=True)]
        self.losses = [search_loss(bench) for bench in benches]
        self.known: dict[Path, _Known] = {}
        self.spent = Cost()

    @property
    def cost(self) -> Cost:
        """Of all training since this evaluator was made."""
        return self.spent

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        """Train the networks of each path that was not seen before; the warm-up has nothing to do."""
        if generation < 0:
            return Progress(math.nan, math.nan)
        return _mean(self.lessons(paths))

    def lessons(self, paths: Sequence[Path]) -> list[Progress]:
        """Mean over the paths."""
        self._look_up(paths)
        each = zip(*(self.known[path].progress for path in paths), strict=True)
        return [_mean(own) for own in each]

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        """Look up each path's fitness, training those not seen before."""
        return combined(self.together, self.each(paths))

    def each(self, paths: Sequence[Path]) -> list[list[Fitness]]:
        """The same of each part."""
        self._look_up(paths)
        return [list(own) for own in zip(*(self.known[path].fitness for path in paths), strict=True)]

    def _look_up(self, paths: Sequence[Path]) -> None:
        for path in dict.fromkeys(paths):
            if path not in self.known:
                self.known[path] = self._trained(path)

    def _trained(self, path: Path) -> _Known:
        settings = followed(self.settings, path.recipe)
        together, seed = followed_together(self.together, path.recipe), self.benches[0].seed
        own = [self.branches.of(path, number) for number in range(len(self.benches))]
        networks = self.branches.networks(own)
        weights = LossWeights(together, len(networks)).to(self.benches[0].device)
        optimiser = _optimiser(nn.ModuleList([*networks, weights]).parameters(), weights, settings)
        turns = _turns(together, self.benches, seed, settings.steps).of(0)
        taken, taught = _taken(turns, len(networks)), [0] * len(networks)
        masks = [torch_stream(seed, "masks") for _ in networks]
        batches = [
            minibatches(one.training, settings.batch_size, n, torch_stream(seed, "batches"))
            for one, n in zip(self.benches, taken, strict=True)
        ]
        sums = torch.zeros(len(networks), 2, dtype=torch.float64, device=self.benches[0].device)
        for network in networks:
            network.train()
        for turn in turns:
            optimiser.zero_grad(set_to_none=True)
            for number in turn:
                bench, network, shapes = self.benches[number], networks[number], self.branches.grids[number].shapes[1:]
                x, truth = (one.to(bench.device) for one in next(batches[number]))
                if not bench.target.known(truth).any():
                    continue
                taught[number] += 1
                dropped = dropout_masks(shapes, len(x), settings.dropout, masks[number])
                outputs = network(x, dropped and [mask.to(bench.device) for mask in dropped])[None]  # of one path
                loss = self.losses[number](outputs, truth).mean()
                weights([loss], [number]).backward()
                quality = bench.target.of_known(bench.target.each_quality(outputs.detach(), truth), truth)
                sums[number] += torch.stack([loss.detach(), quality.mean()]).double()
                images = len(truth)
                self.spent += Cost(images, images, PASSES * images * self.meters[number].path(own[number]))
            optimiser.step()
        progress = [Progress(*(one / max(1, n) for one in row)) for row, n in zip(sums.tolist(), taught, strict=True)]
        return _Known([self._score(*each) for each in zip(self.benches, networks, own, strict=True)], progress)

    @torch.no_grad()
    def _score(self, bench: Bench, network: nn.Module, path: Path) -> Fitness:
        network.eval()
        reading = bench.target.reading(bench.measure)
        for x, truth in bench.validation.batches(2 * self.settings.batch_size):
            reading.add(network(x.to(bench.device))[None], truth)
        return fitnesses(bench, [reading], [path])[0]

    def state(self) -> dict[str, Tensor]:
        """The scores found so far, as one table, and the paths' gene lists."""
        if not self.known:
            return {}
        rows = [[(*f, *p) for f, p in zip(*one, strict=True)] for one in self.known.values()]
        names = "\n".join(map(str, self.known)).encode()
        return {
            "known.paths": torch.frombuffer(bytearray(names), dtype=torch.uint8),
            "known.scores": torch.tensor(rows, dtype=torch.float64),  # (paths, tasks, 4)
        }

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        if tensors:
            names = bytes(tensors["known.paths"].numpy()).decode().split("\n")
            each = tensors["known.scores"].tolist()
            self.known = {
                Path.parse(name): _Known([Fitness(*row[:2]) for row in rows], [Progress(*row[2:]) for row in rows])
                for name, rows in zip(names, each, strict=True)
            }


def evaluator_of_branches(benches: Sequence[Bench], branches: Branches) -> TogetherEvaluator:
    """The way to train and score paths of several tasks that the settings ask for."""
    return (SharedBranches if benches[0].search.weights == "shared" else FreshBranches)(benches, branches)


def _turns(together: TogetherSettings, benches: Sequence[Bench], seed: int, steps: int) -> Turns:
    """So that each strategy sees as many images: `steps` minibatches a task on average."""
    sizes = [math.ceil(len(bench.training) / bench.search.batch_size) for bench in benches]
    return Turns(together, sizes, derive(seed, "search turns"), steps)


def _taken(turns: Sequence[tuple[int, ...]], n: int) -> list[int]:
    """Turns of each."""
    return [sum(number in turn for turn in turns) for number in range(n)]


def _weighed(weights: LossWeights, number: int, loss: Tensor) -> Tensor:
    return weights([loss], [number])


def _optimiser(
    parameters: Iterable[nn.Parameter], weights: LossWeights, settings: SearchSettings
) -> torch.optim.Optimizer:
    """AdamW; the weights of losses, if they are learned, do not decay."""
    own = set(map(id, weights.parameters()))
    rate, decay = settings.learning_rate, settings.weight_decay
    learned = [p for p in parameters if p.requires_grad]
    optimiser = adamw([p for p in learned if id(p) not in own], rate, decay)
    if own:
        optimiser.add_param_group({"params": list(weights.parameters()), "weight_decay": 0.0})
    return optimiser


def _distinct(named: Iterable[tuple[str, nn.Parameter]]) -> dict[str, nn.Parameter]:
    """Each parameter under the first of its names."""
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for name, parameter in named:
        found.setdefault(id(parameter), (name, parameter))
    return dict(found.values())


def _mean(each: Sequence[Progress]) -> Progress:
    loss, accuracy = np.mean(each, axis=0)
    return Progress(float(loss), float(accuracy))
