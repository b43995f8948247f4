"""What a method of a comparison may spend on its bench, and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from pathsearch.grid.grid import PathNetwork, count
from pathsearch.targets.decision import fix_threshold
from pathsearch.training.bench import Bench
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
    return Budget(minibatches(bench) * images * paths, last.finalists * last.epochs * epoch(bench))


def epoch(bench: Bench) -> int:
    """Images of one epoch of a last training."""
    return epoch_images(len(bench.training), bench.last.batch_size)


def n_candidates(bench: Bench, budget: Budget) -> int:
    """Trainings that a budget is enough for, if none of them stops early."""
    return math.ceil(budget.total / (bench.last.epochs * epoch(bench)))


def threshold(bench: Bench, log_p: Tensor) -> float | None:
    """The threshold that the settings' rule fixes on these answers to the validation images."""
    return fix_threshold(bench.last.threshold, bench.validation.labels.numpy(), log_p.double().exp().numpy())


def cost(bench: Bench, trained: Trained, epochs: int, *, refit: bool = False) -> Cost:
    """Of so many epochs of a network's training, as a refit on validation images too."""
    more = len(bench.validation) if refit else 0
    images = epoch_images(len(bench.training) + more, bench.last.batch_size)
    return Cost.alone(epochs * images, multiply_adds(trained.network, bench.shape))


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
        bench: Bench,
        results: Sequence[Trained],
        chosen: int,
        best: Trained,
        path: str | None,
    ) -> Entry:
        """What remains of trained candidates of which one was chosen, and refitted if the settings ask for it."""
        spent = sum((cost(bench, one, len(one.history)) for one in results), Cost())
        again = cost(bench, best, best.best_epoch, refit=True) if bench.last.refit else Cost()
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


def until_spent(bench: Bench, budget: Budget, trainings: Iterator[tuple[Any, Trained]]) -> list[tuple[Any, Trained]]:
    """Train one candidate after another until their path-images reach the budget; at least one."""
    found, spent = [], 0
    for candidate, trained in trainings:
        found.append((candidate, trained))
        spent += len(trained.history) * epoch(bench)
        if spent >= budget.total:
            break
    return found
