"""The last training of one path: alone, with early stopping, its weights averaged. Baselines get the same."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from pathsearch.grid.grid import PathNetwork
from pathsearch.grid.modules import Shape
from pathsearch.measures.measure import NAMES
from pathsearch.run.streams import derive
from pathsearch.run.tensor_file import below
from pathsearch.targets.target import Fitness, Said
from pathsearch.training.bench import Bench
from pathsearch.training.course import Course, diverged
from pathsearch.training.fitness import said_to

TRAIN, REFIT = "train", "refit"  # the phases of a last training


@dataclass(frozen=True)
class Trained:
    """A trained network, how it got there, and what it said to the validation images before any refit."""

    network: PathNetwork
    history: list[dict[str, Any]]  # one row an epoch: losses in nats an image, accuracies in [0, 1]
    best_epoch: int
    said: Said  # to the validation images
    accuracy: float  # of that, by the first measure of the target
    log_likelihood: float  # of that, mean, nats an image


def train(bench: Bench, network: PathNetwork, shapes: list[Shape]) -> Trained:
    """Train a path's network and return it at its best on validation.

    Args:
        bench: its validation images decide when to stop, by what its target stops by. Its seed is that of data order
            and dropout. One view is drawn each time a training image comes up.
        network: trained in place; parameters that are fixed stay so.
        shapes: of the outputs of its layers, for the dropout masks; empty for a probe.

    Returns:
        The averaged weights of the best epoch. Scored and kept is the running average, not the last step.

    Raises:
        NonFiniteFitness: a loss or the likelihood became NaN or infinite.
    """
    settings, validation, target = bench.last, bench.validation, bench.target
    course = Course(bench, network, shapes, settings.epochs)
    history: list[dict[str, Any]] = []
    best: _Best | None = None
    if stood := bench.halfway.load(TRAIN):
        facts, tensors = stood
        course.load(facts, tensors)
        history, best = facts["history"], _Best.of(facts["best"], tensors)
    while course.number < settings.epochs:
        # 1. stop when validation has not improved for a while
        if best is not None and course.number - best.epoch >= settings.patience:
            break
        # 2. one more; score the averaged weights, keep the best
        epoch = course.epoch()
        said = said_to(target, course.averaged, validation)
        stopping = target.stopping(said, validation.truth)
        if not math.isfinite(stopping):
            raise diverged(epoch.number, "validation likelihood", stopping, settings)
        course.heard(stopping)
        fitness = target.fitness(target.measures[0], said, validation.truth)
        if best is None or stopping > best.stopping:
            best = _Best(stopping, epoch.number, copy.deepcopy(course.averaged.state_dict()), said, fitness)
        history.append(
            {
                "epoch": epoch.number,
                "learning_rate": epoch.rate,
                "train_loss": epoch.loss,
                "train_accuracy": epoch.accuracy,
                "val_loss": -fitness.log_likelihood,
                "val_loss_calibrated": -stopping,
                "val_accuracy": fitness.score,
            }
        )
        bench.tell.note(f"epoch {epoch.number} of {settings.epochs}  {NAMES[target.measures[0]]} {fitness.score:.4f}")
        # 3. keep where it stands, now and then
        if bench.halfway.due():
            facts, tensors = course.state()
            facts |= {"history": history, "best": best.facts()}
            bench.halfway.save(TRAIN, facts, tensors | best.tensors())
    assert best is not None
    network.load_state_dict(best.weights)
    network.eval()
    return Trained(network, history, best.epoch, best.said, best.fitness.score, best.fitness.log_likelihood)


class _Best(NamedTuple):
    """The best epoch so far."""

    stopping: float
    epoch: int
    weights: dict[str, Tensor]
    said: Said
    fitness: Fitness

    def facts(self) -> list[float]:
        """Its plain values."""
        return [self.stopping, self.epoch, *self.fitness]

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        weights = {f"best.{name}": tensor for name, tensor in self.weights.items()}
        return weights | {f"said.{name}": tensor for name, tensor in self.said.items()}

    @classmethod
    def of(cls, facts: list[Any], tensors: dict[str, Tensor]) -> _Best:
        """From what `facts` and `tensors` gave."""
        stopping, epoch, *fitness = facts
        return cls(stopping, epoch, below("best.", tensors), below("said.", tensors), Fitness(*fitness))


def refit(bench: Bench, trained: Trained, fresh: PathNetwork, shapes: list[Shape]) -> Trained:
    """Train `fresh` on training and validation images together, as long as `trained` was best.

    Nothing is chosen here: path, number of epochs and threshold come from `trained`, whose validation figures
    are kept; the refitted network has no images left to be validated on.
    """
    both = bench.on(bench.training.joined(bench.validation), bench.validation).at(derive(bench.seed, "refit"))
    rates = [row["learning_rate"] for row in trained.history]
    course = Course(both, fresh, shapes, trained.best_epoch, rates)
    if stood := bench.halfway.load(REFIT):
        course.load(*stood)
    while course.number < trained.best_epoch:
        course.epoch()
        course.heard(None)
        bench.tell.note(f"epoch {course.number} of {trained.best_epoch}")
        if bench.halfway.due():
            bench.halfway.save(REFIT, *course.state())
    fresh.load_state_dict(course.averaged.state_dict())
    fresh.eval()
    return replace(trained, network=fresh)
