"""Where the evolved path and its controls meet: what all share, what each may spend, and what one leaves behind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from data_prep.manifest import Task
from pathsearch.encoders.features import Split
from pathsearch.grid.grid import Grid, PathNetwork, count
from pathsearch.grid.modules import Shape
from pathsearch.grid.path import Path
from pathsearch.run.settings import RunSettings
from pathsearch.run.teller import Teller
from pathsearch.targets.decision import fix_threshold
from pathsearch.training import baselines
from pathsearch.training.cost import Cost, epoch_images, multiply_adds
from pathsearch.training.last_training import Trained

STAGES = ("search", "candidates", "refit")  # of a method, each with its cost


@dataclass(frozen=True)
class Budget:
    """Path-images that a control may spend: as many as the evolved path did at the same seed."""

    search: int  # along the way to its finalists
    last: int  # by their last trainings

    @property
    def total(self) -> int:
        """For a method without a search, which trains candidates alone."""
        return self.search + self.last


@dataclass(frozen=True)
class Arena:
    """What all rivals share: features and settings."""

    task: Task
    shape: Shape  # of the encoder's maps
    settings: RunSettings
    training: Split
    validation: Split
    device: Any
    tell: Teller
    taps: tuple[int, ...] = ()  # channels of each of the encoder's

    def grid(self, seed: int) -> Grid:
        """A grid at a seed's initial weights, with the task's head."""
        grid = Grid(self.shape, self.settings.grid, seed, self.taps)
        grid.add_head(self.task.name, len(self.task.classes))
        return grid.to(self.device)

    def seen(self, split: Split) -> Split:
        """A split as this arena's networks see it: few training images have a mean and spread of their own."""
        return replace(split, standardise=self.training.standardise)

    @property
    def minibatches(self) -> int:
        """Minibatches that the evolved path's search draws at most; `fresh` weights: for each path, and each fold."""
        one = self.settings.search
        if one.weights == "shared":
            return one.warmup + one.generations * one.steps
        return one.population * one.generations * one.steps * one.folds

    @property
    def most(self) -> Budget:
        """The most that the evolved path may spend; what it does spend, its plateau and its known paths decide."""
        one, last = self.settings.search, self.settings.training
        paths = one.population if one.weights == "shared" else 1  # which every minibatch trains
        images = min(one.batch_size, len(self.training))
        return Budget(self.minibatches * images * paths, last.finalists * last.epochs * self.epoch)

    @property
    def epoch(self) -> int:
        """Images of one epoch of a last training."""
        return epoch_images(len(self.training), self.settings.training.batch_size)

    def candidates(self, budget: Budget) -> int:
        """Trainings that a budget is enough for, if none of them stops early."""
        return math.ceil(budget.total / (self.settings.training.epochs * self.epoch))

    def alone(self, grid: Grid, path: Path, seed: int) -> Trained:
        """A path's last training from the grid's present weights, without a refit."""
        last = replace(self.settings.training, refit=False)
        return baselines.train_path(grid, self.task.name, path, self.training, self.validation, last, seed)

    def threshold(self, log_p: Tensor) -> float | None:
        """The threshold that the settings' rule fixes on these answers to the validation images."""
        rule, labels = self.settings.training.threshold, self.validation.labels.numpy()
        return fix_threshold(rule, labels, log_p.double().exp().numpy())

    def cost(self, trained: Trained, epochs: int, *, refit: bool = False) -> Cost:
        """Of so many epochs of a network's training, as a refit on validation images too."""
        last = self.settings.training
        images = self.epoch
        if refit:
            images = epoch_images(len(self.training) + len(self.validation), last.batch_size)
        return Cost.alone(epochs * images, multiply_adds(trained.network, self.shape))


@dataclass(frozen=True)
class Entry:
    """One method at one seed, fixed on validation images: all that the test needs."""

    facts: dict[str, Any]  # plain values: method, seed, parameters, path, threshold, costs by stage …
    log_p: Tensor  # (n_val, K) log-probabilities of the validation images, before any refit
    weights: dict[str, Tensor]  # of the fixed network; empty for nearest neighbours
    front: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # by candidate: weights, before any refit

    @classmethod
    def of(
        cls,
        arena: Arena,
        results: Sequence[Trained],
        chosen: int,
        best: Trained,
        path: str | None,
    ) -> Entry:
        """What remains of trained candidates of which one was chosen, and refitted if the settings ask for it."""
        spent = sum((arena.cost(one, len(one.history)) for one in results), Cost())
        again = arena.cost(best, best.best_epoch, refit=True) if arena.settings.training.refit else Cost()
        facts = {
            "path": path,
            "parameters": count(best.network),
            "candidates": [{"parameters": count(r.network), "validation_accuracy": r.accuracy} for r in results],
            "chosen": chosen,
            "epochs": best.best_epoch,
            "evaluations": 0,
            **by_stage(Cost(), spent, again),
        }
        return cls(facts, best.log_p, weights_of(best.network))

    @property
    def spent(self) -> Budget:
        """Path-images of its search and of its candidates' trainings."""
        return Budget(*(self.facts["path_images"][stage] for stage in STAGES[:2]))


def by_stage(*costs: Cost) -> dict[str, dict[str, int]]:
    """Images, path-images and operations, each by stage; stages that are not given cost nothing."""
    each = [asdict(cost) for cost in (*costs, *[Cost()] * (len(STAGES) - len(costs)))]
    return {kind: {stage: own[kind] for stage, own in zip(STAGES, each, strict=True)} for kind in each[0]}


def weights_of(network: PathNetwork) -> dict[str, Tensor]:
    """A network's tensors, on the CPU."""
    return {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}


def until_spent(budget: Budget, trainings: Iterator[tuple[Any, Trained]], arena: Arena) -> list[tuple[Any, Trained]]:
    """Train one candidate after another until their path-images reach the budget; at least one."""
    found, spent = [], 0
    for candidate, trained in trainings:
        found.append((candidate, trained))
        spent += len(trained.history) * arena.epoch
        if spent >= budget.total:
            break
    return found
