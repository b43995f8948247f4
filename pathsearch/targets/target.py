"""A target: what a task asks for, from its truth to the numbers that a person reads. The base of all, and their names.

A new target is a class under `@register("name")`, in the package or in a plug-in, and a task names it in its
`task.json`. What it must say is abstract here; the rest follows from how good an answer to one image is.
"""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from pathsearch.measures.clusters import clusters
from pathsearch.measures.intervals import GroupDraws, method
from pathsearch.measures.measure import averaged
from pathsearch.measures.one_error import errors_between
from pathsearch.measures.paired import Paired, compared

Shape = tuple[int, ...]
Said = dict[str, Tensor]  # what one network said to n images: tensors of n rows on the CPU, by name
Loss = Callable[[Tensor, Tensor], Tensor]  # outputs (P, B, …) of P paths and truth (B, …) to (P,)
Groups = np.ndarray | None  # (n,) names, such as patients, "" where unknown; None: images are independent

TARGETS: dict[str, type[Target]] = {}
DEFAULT = "class"  # of a task that names none
Kind = TypeVar("Kind", bound="type[Target]")


class Fitness(NamedTuple):
    """How good a path is on the validation images; compared in this order."""

    score: float  # the measure that the search maximises, in [0, 1]
    log_likelihood: float  # mean, nats an image, or what stands for it; breaks the ties of small validation sets


class NonFiniteFitness(PathsearchError):
    """A loss or a score became NaN or infinite."""


class Reading(ABC):
    """What P paths said to images, reduced batch by batch to what a measure needs of it."""

    @abstractmethod
    def add(self, outputs: Tensor, truth: Tensor) -> None:
        """Read outputs (P, B, …) for images of this truth (B, …)."""


class Target(ABC):
    """What a task asks for.

    Attributes:
        names: that answers are made of, such as classes, in order; there may be none.
        kind: under which it is registered; where its measures stand in reports.
        measures: what a search may maximise; the first is the one that people read.
        rates: fields of `assess` of which comparisons give mean and spread.
        summed: the same, of several baselines of one kind.
        all_or_nothing: whether an answer is right or wrong, and nothing between.
    """

    kind: ClassVar[str]
    measures: ClassVar[tuple[str, ...]]
    rates: ClassVar[tuple[str, ...]]
    summed: ClassVar[tuple[str, ...]]
    all_or_nothing: ClassVar[bool] = False

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)

    # --- what is asked ----------------------------------------------------------------------------------------------

    @abstractmethod
    def truth(self, task: Task, split: str) -> Tensor:
        """(n, …) of a split's images, in the order of the manifest."""

    @abstractmethod
    def head(self, shape: Shape) -> tuple[str, Shape]:
        """The module specification of the head that reads `shape`, and what it puts out for one image."""

    def strata(self, truth: Tensor) -> np.ndarray:
        """(n,) numbers of what every part of a cut should have its share of, and what one Gaussian describes."""
        return np.zeros(len(truth), np.int64)

    # --- training ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def each_loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """(P, B) plain loss of every path for every image, from outputs (P, B, …) and truth (B, …)."""

    @abstractmethod
    def each_quality(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """(P, B) how good each answer is, from 0 to 1; its mean is the first measure."""

    def loss(self, truth: Tensor, balance: float | None = None, smoothing: float = 0.0) -> Loss:
        """What training minimises.

        Args:
            truth: (n, …) of the training images, which imbalance is read from.
            balance: None lets images weigh alike; 0 to 1 says how much rare ones gain.
            smoothing: of the truth.

        Returns:
            A function from outputs (P, B, …) and truth (B, …) to one value a path, (P,).
        """
        if balance is not None or smoothing:
            raise PathsearchError(
                f"target {self.kind}: expected neither balance nor label_smoothing, which classes have; leave them out"
            )
        return lambda outputs, truth: self.each_loss(outputs, truth).mean(1)

    # --- scoring many paths -----------------------------------------------------------------------------------------

    def reading(self, measure: str) -> Reading:
        """An empty reading, for a measure."""
        return _Means(self)

    def fitnesses(self, readings: Sequence[Any], measure: str) -> list[Fitness]:
        """Of P paths over the images of all readings, each of other networks, as in cross-validation."""
        n = sum(one.n for one in readings)
        sums = torch.stack([one.sums for one in readings]).sum(0)  # (P, 2)
        return [Fitness(quality, -loss) for quality, loss in (sums / n).tolist()]

    def kept_bytes(self, measure: str, n: int) -> int:
        """Bytes that a reading keeps of one path for n images, if it must keep all."""
        return 0

    # --- one network ------------------------------------------------------------------------------------------------

    def said(self, outputs: Tensor, truth: Tensor) -> Said:
        """What is kept of one network's outputs (B, …) for images of this truth (B, …): a few numbers an image."""
        quality, loss = (f(outputs[None], truth)[0].double().cpu() for f in (self.each_quality, self.each_loss))
        return {"quality": quality, "loss": loss}

    def fitness(self, measure: str, said: Said, truth: Tensor) -> Fitness:
        """Of one network."""
        return Fitness(said["quality"].mean().item(), -said["loss"].mean().item())

    def stopping(self, said: Said, truth: Tensor) -> float:
        """What a training stops by when it no longer rises."""
        return -said["loss"].mean().item()

    def check_rule(self, rule: str) -> None:
        """Raise `PathsearchError` if a threshold rule has no meaning here; worth asking before a search."""
        if rule != "argmax":
            raise PathsearchError(f"threshold {rule}: expected a task of two classes, got {self.kind}; use argmax")

    def fix(self, rule: str, said: Said, truth: Tensor) -> float | None:
        """What is fixed on validation images before the test: a threshold, where there is one."""
        self.check_rule(rule)
        return None

    def quality(self, said: Said, truth: Tensor, fixed: float | None) -> np.ndarray:
        """(n,) how good each answer is, from 0 to 1, decided with what was fixed."""
        return said["quality"].numpy()

    # --- numbers with their errors ----------------------------------------------------------------------------------

    def error_of(self, measure: str, score: float, truth: Tensor) -> float:
        """Standard error of a score of which only the value is known, never 0."""
        n = len(truth) + 4  # as of a share, which varies most of all that lies between 0 and 1
        rate = (score * len(truth) + 2) / n
        return math.sqrt(rate * (1 - rate) / n)

    def errors(
        self, measure: str, said: Sequence[Said], truth: Tensor, groups: Groups
    ) -> tuple[list[float], list[float]]:
        """Of several networks on the same images: each one's own error, and that of its difference from the best."""
        each = [averaged(self.quality(one, truth, None)) for one in said]
        return errors_between(each, clusters(groups, len(truth)))

    def assess(self, said: Said, truth: Tensor, fixed: float | None, groups: Groups) -> dict[str, Any]:
        """Every measure of one network's answers with its 95 % interval, ready for JSON."""
        n, first, numbers = len(truth), self.measures[0], clusters(groups, len(truth))
        if not n:
            return {"n": 0, first: None, "log_likelihood": None, "ci95": {first: None}, "intervals": method(None)}
        each = self.quality(said, truth, fixed)
        draws = GroupDraws(np.zeros(n, np.int64), each, 1, np.arange(n) if numbers is None else numbers, 0)
        return {
            "n": n,
            first: float(each.mean()),
            "log_likelihood": -said["loss"].mean().item(),
            "ci95": {first: draws.accuracy()},
            "intervals": method(numbers),
        }

    def paired(
        self,
        measure: str,
        truth: Tensor,
        own: tuple[Said, float | None],
        other: tuple[Said, float | None],
        groups: Groups,
    ) -> Paired:
        """The first network against the second on the same images; fields as of `measures.paired`."""
        both = [averaged(self.quality(said, truth, fixed)) if len(truth) else None for said, fixed in (own, other)]
        return compared(self.measures[0], len(truth), (both[0], both[1]), clusters(groups, len(truth)))

    def blind(self, truth: Tensor) -> float:
        """The first measure of the best answer that looks at no image."""
        return 0.0

    # --- what only some have ----------------------------------------------------------------------------------------

    def more(self, task: Task, said: dict[str, Said], truth: dict[str, Tensor], fixed: float | None) -> dict[str, Any]:
        """What a run's report says besides, by field; said and truth are by split: train (truth only), val and test."""
        return {}

    def nearest(self, known: np.ndarray, truth: Tensor, asked: np.ndarray, k: int) -> Said:
        """What the k nearest of known images (n, C) say to asked ones (m, C); a comparison asks it."""
        raise PathsearchError(f"target {self.kind}: nearest neighbours say nothing of it; leave them out")

    def placed(self, assessed: dict[str, Any]) -> dict[str, Any]:
        """`assess` as it stands in a report's `validation` and `test`."""
        return {"n": assessed["n"], self.kind: assessed}

    def measure(self, asked: str) -> str:
        """The measure that a search maximises; who asks for none, by the settings' default, gets the first."""
        if asked in self.measures:
            return asked
        if asked == "accuracy":
            return self.measures[0]
        raise PathsearchError(f"fitness: expected one of {', '.join(self.measures)}; got {asked!r}")


class _Means(Reading):
    """Sums over images: no more than two numbers a path are held."""

    def __init__(self, target: Target) -> None:
        self.target, self.n = target, 0
        self.sums = torch.zeros(1, 2, dtype=torch.float64)

    def add(self, outputs: Tensor, truth: Tensor) -> None:
        truth = truth.to(outputs.device)
        each = (self.target.each_quality(outputs, truth), self.target.each_loss(outputs, truth))
        self.sums = self.sums + torch.stack([one.double().sum(1) for one in each], 1).cpu()
        self.n += len(truth)


def register(name: str) -> Callable[[Kind], Kind]:
    """Enter a target under the name by which tasks ask for it."""

    def enter(target: Kind) -> Kind:
        if name in TARGETS:
            raise ValueError(f"target {name!r} is registered twice; rename one of them")
        target.kind, TARGETS[name] = name, target
        return target

    return enter


def check_target(kind: str) -> None:
    """Raise `PathsearchError` unless there is a target of this kind."""
    if kind not in TARGETS:
        near = difflib.get_close_matches(kind, TARGETS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "one of your own needs --plugin FILE"
        raise PathsearchError(f"target: expected one of {', '.join(TARGETS)}; got {kind!r}; {hint}")


def make_target(kind: str, names: Sequence[str] = ()) -> Target:
    """The target of this kind over these names."""
    check_target(kind)
    return TARGETS[kind](names)


def target_of(task: Task) -> Target:
    """What a prepared task asks for."""
    return make_target(task.target, task.classes)
