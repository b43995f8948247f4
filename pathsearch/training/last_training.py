"""The last training of a path, alone or with others: early stopping, weights averaged. Baselines get the same."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import Tensor

from pathsearch.grid.grid import PathNetwork
from pathsearch.grid.modules import Shape
from pathsearch.measures.measure import NAMES
from pathsearch.run.streams import derive
from pathsearch.run.tensor_file import below
from pathsearch.targets.target import Fitness, Said
from pathsearch.training.batches import said_to
from pathsearch.training.bench import Bench
from pathsearch.training.course import Course, Pupil, diverged

TRAIN, REFIT = "train", "refit"  # the phases of a last training


@dataclass(frozen=True)
class Trained:
    """A trained network, how it got there, and what it said to the validation images before any refit."""

    network: PathNetwork
    history: list[dict[str, Any]]  # one row an epoch; what its columns call accuracy is the target's first measure
    best_epoch: int
    said: Said  # to the validation images
    score: float  # of that, by the first measure of the target
    log_likelihood: float  # of that, mean, nats an image; of other targets than classes minus the loss


def train(bench: Bench, network: PathNetwork, shapes: list[Shape]) -> Trained:
    """Train a path's network and return it at its best on validation; arguments as of `Pupil`, see `train_together`."""
    return train_together([Pupil(bench, network, shapes)])[0]


def train_together(pupils: Sequence[Pupil]) -> list[Trained]:
    """Train networks that have layers in common, or one alone, and return them at their best on validation.

    Args:
        pupils: validation images decide when to stop, by what each target stops by. One view is drawn each time a
            training image comes up.

    Returns:
        The averaged weights of the best epoch, which is one and the same for all. Scored and kept is the running
        average, not the last step.

    Raises:
        NonFiniteFitness: a loss became NaN or infinite.
    """
    settings, bench = pupils[0].bench.last, pupils[0].bench
    course, validation = Course(pupils, settings.epochs), [one.bench.validation.held() for one in pupils]
    histories: list[list[dict[str, Any]]] = [[] for _ in pupils]
    best: _Best | None = None
    if stood := bench.halfway.load(TRAIN):
        facts, tensors = stood
        course.load(facts, tensors)
        histories, best = facts["histories"], _Best.of(facts["best"], tensors)
    while course.number < settings.epochs:
        # 1. stop when validation has not improved for a while
        if best is not None and course.number - best.epoch >= settings.patience:
            break
        # 2. one more; score the averaged weights, keep the best
        epoch, targets = course.epoch(), [one.bench.target for one in pupils]
        truths = [split.truth for split in validation]
        said = [said_to(*each) for each in zip(targets, course.averaged, validation, strict=True)]
        each = [target.stopping(own, truth) for target, own, truth in zip(targets, said, truths, strict=True)]
        stopping = course.weights.stopping(each)
        if not math.isfinite(stopping):
            raise diverged(epoch.number, "validation loss", -stopping, settings)
        course.heard(stopping)
        fitnesses = [t.fitness(t.measures[0], own, truth) for t, own, truth in zip(targets, said, truths, strict=True)]
        if best is None or stopping > best.stopping:
            best = _Best(stopping, epoch.number, copy.deepcopy(course.average.module.state_dict()), said, fitnesses)
        counts = [{"loss_weight": weight} if len(pupils) > 1 else {} for weight in course.weights.now]
        rows = zip(histories, epoch.lessons, fitnesses, each, counts, strict=True)
        for history, lesson, fitness, own, weight in rows:
            history.append(
                {
                    "epoch": epoch.number,
                    "learning_rate": epoch.rate,
                    "train_loss": lesson.loss,
                    "train_accuracy": lesson.quality,
                    "val_loss": -fitness.log_likelihood,
                    "val_loss_calibrated": -own,
                    "val_accuracy": fitness.score,
                    **weight,
                }
            )
        so_far = "  ".join(f"{NAMES[t.measures[0]]} {one.score:.4f}" for t, one in zip(targets, fitnesses, strict=True))
        bench.tell.note(f"epoch {epoch.number} of {settings.epochs}  {so_far}")
        # 3. keep where it stands, now and then
        if bench.halfway.due():
            facts, tensors = course.state()
            facts |= {"histories": histories, "best": best.facts()}
            bench.halfway.save(TRAIN, facts, tensors | best.tensors())
    assert best is not None
    course.whole.load_state_dict(best.weights)
    course.whole.eval()
    parts = zip(course.networks, histories, best.said, best.fitnesses, strict=True)
    return [Trained(net, history, best.epoch, own, *fitness) for net, history, own, fitness in parts]


class _Best(NamedTuple):
    """The best epoch so far."""

    stopping: float
    epoch: int
    weights: dict[str, Tensor]
    said: list[Said]  # by each network
    fitnesses: list[Fitness]

    def facts(self) -> list[Any]:
        """Its plain values."""
        return [self.stopping, self.epoch, [list(one) for one in self.fitnesses]]

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        weights = {f"best.{name}": tensor for name, tensor in self.weights.items()}
        each = enumerate(self.said)
        return weights | {f"said.{number}.{name}": tensor for number, own in each for name, tensor in own.items()}

    @classmethod
    def of(cls, facts: list[Any], tensors: dict[str, Tensor]) -> _Best:
        """From what `facts` and `tensors` gave."""
        stopping, epoch, each = facts
        said = [below(f"said.{number}.", tensors) for number in range(len(each))]
        return cls(stopping, epoch, below("best.", tensors), said, [Fitness(*one) for one in each])


def refit(bench: Bench, trained: Trained, fresh: PathNetwork, shapes: list[Shape]) -> Trained:
    """Train `fresh` on training and validation images together, see `refit_together`."""
    return refit_together([trained], [Pupil(bench, fresh, shapes)])[0]


def refit_together(trained: Sequence[Trained], fresh: Sequence[Pupil]) -> list[Trained]:
    """Train fresh networks on training and validation images together, as long as those trained were best.

    Nothing is chosen here: path, number of epochs and threshold come from `trained`, whose validation figures
    are kept; the refitted networks have no images left to be validated on.

    Of the schedules a plateau's rates are those of before, epoch by epoch, while a cosine ends here: it falls to zero
    at the best epoch, where that of `trained` stood somewhere on its way to the last of all epochs.
    """
    pupils = []
    for one in fresh:
        both = one.bench.on(one.bench.training.joined(one.bench.validation), one.bench.validation)
        pupils.append(one._replace(bench=both.at(derive(one.bench.seed, "refit"))))
    bench, epochs = pupils[0].bench, trained[0].best_epoch
    course = Course(pupils, epochs, [row["learning_rate"] for row in trained[0].history])
    if stood := bench.halfway.load(REFIT):
        course.load(*stood)
    while course.number < epochs:
        course.epoch()
        course.heard(None)
        bench.tell.note(f"epoch {course.number} of {epochs}")
        if bench.halfway.due():
            bench.halfway.save(REFIT, *course.state())
    course.whole.load_state_dict(course.average.module.state_dict())
    course.whole.eval()
    return [replace(one, network=network) for one, network in zip(trained, course.networks, strict=True)]
