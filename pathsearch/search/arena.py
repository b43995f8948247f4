"""What a method of a comparison may spend on its bench, and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from pathsearch.grid.grid import PathNetwork, count
from pathsearch.measures.fronts import front
from pathsearch.targets.target import Said
from pathsearch.training.bench import Bench
from pathsearch.training.cost import Cost, epoch_images, multiply_adds
from pathsearch.training.folds import choice_folds
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


def minibatches(bench: Bench) -> int:
    """Minibatches that the evolved path's search draws at most; `fresh` weights: for each path, and each fold."""
    one = bench.search
    if one.weights == "shared":
        return one.warmup + one.generations * one.steps
    return one.population * one.generations * one.steps * one.folds


def most(bench: Bench) -> Budget:
    """The most that the evolved path may spend; what it does spend, its plateau and its known paths decide."""
    one, last = bench.search, bench.last
    paths = one.population if one.weights == "shared" else 1  # which every minibatch trains
    images = min(one.batch_size, len(bench.training))
    return Budget(minibatches(bench) * images * paths, (last.finalists + last.probe) * last.epochs * epoch(bench))


def epoch(bench: Bench) -> int:
    """Images of one epoch of a candidate's last training, and of one of each that it is chosen by."""
    return sum(epoch_images(len(one.training), bench.last.batch_size) for one in (bench, *choice_folds(bench).parts))


def n_candidates(bench: Bench, budget: Budget) -> int:
    """Trainings that a budget is enough for, if none of them stops early."""
    return math.ceil(budget.total / (bench.last.epochs * epoch(bench)))


def threshold(bench: Bench, said: Said) -> float | None:
    """The threshold that the settings' rule fixes on these answers to the validation images."""
    return bench.target.fix(bench.last.threshold, said, bench.validation.truth)


def cost(bench: Bench, network: PathNetwork, epochs: int, *, refit: bool = False) -> Cost:
    """Of so many epochs of a network's training, as a refit on validation images too."""
    more = len(bench.validation) if refit else 0
    images = epoch_images(len(bench.training) + more, bench.last.batch_size)
    return Cost.alone(epochs * images, multiply_adds(network, bench.shape))


@dataclass(frozen=True)
class Tried:
    """One candidate's training, without a refit. Of many candidates, the networks that others beat are let go."""

    trained: Trained  # with no network: its weights stand below
    said: Said  # to the images that choose
    parameters: int
    cost: Cost  # with that of the trainings that it is chosen by
    weights: dict[str, Tensor] | None

    @classmethod
    def of(cls, bench: Bench, trained: Trained, said: Said, more: Cost) -> Tried:
        """All of it; `more` was spent on what was said."""
        spent = cost(bench, trained.network, len(trained.history)) + more
        bare = replace(trained, network=PathNetwork([], nn.Identity()))
        return cls(bare, said, count(trained.network), spent, weights_of(trained.network))

    def fixed(self, network: PathNetwork) -> Trained | None:
        """What came of it in `network`, an untrained one; None if the weights were let go."""
        if self.weights is None:
            return None
        network.load_state_dict(self.weights)
        return replace(self.trained, network=network.eval())


@dataclass(frozen=True)
class Entry:
    """One method at one seed, fixed on validation images: all that the test needs."""

    facts: dict[str, Any]  # plain values: method, seed, parameters, path, threshold, costs by stage …
    said: Said  # to the validation images, before any refit
    weights: dict[str, Tensor]  # of the fixed network; empty for nearest neighbours
    front: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # by candidate: weights, before any refit

    @classmethod
    def of(cls, bench: Bench, results: Sequence[Tried], chosen: int, best: Trained, path: str | None) -> Entry:
        """What remains of trained candidates of which one was chosen, and refitted if the settings ask for it."""
        spent = sum((one.cost for one in results), Cost())
        again = cost(bench, best.network, best.best_epoch, refit=True) if bench.last.refit else Cost()
        facts = {
            "path": path,
            "parameters": results[chosen].parameters,
            "candidates": [{"parameters": r.parameters, "validation_accuracy": r.trained.score} for r in results],
            "chosen": chosen,
            "epochs": best.best_epoch,
            "evaluations": 0,
            **by_stage(Cost(), spent, again),
        }
        return cls(facts, best.said, weights_of(best.network))

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


def until_spent(
    bench: Bench, path_images: int, trainings: Iterator[tuple[Any, Tried]], at_least: int = 1
) -> tuple[list[Any], list[Tried]]:
    """Train one candidate after another until their path-images reach so many; `at_least` so many candidates.

    Returns:
        The candidates, and what came of each; those on the front of accuracy against size have their weights.
    """
    candidates: list[Any] = []
    found: list[Tried] = []
    spent = 0
    for candidate, tried in trainings:
        candidates.append(candidate)
        found.append(tried)
        on_front = set(front([one.parameters for one in found], [one.trained.score for one in found]))
        found = [one if i in on_front else replace(one, weights=None) for i, one in enumerate(found)]
        spent += found[-1].cost.path_images
        bench.tell.count(min(spent, path_images), path_images)
        if spent >= path_images and len(found) >= at_least:
            break
    return candidates, found
