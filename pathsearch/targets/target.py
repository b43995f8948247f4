"""A target: what a task asks for, from its truth to the numbers that a person reads. The base of all, and their names.

A new target is a class under `@register("name")`, in the package or in a plug-in, and a task names it in its
`task.json`. What it must say is abstract here; the rest follows from how good an answer to one image is.
"""

from __future__ import annotations

import difflib
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from data_prep.warp import Warp
from pathsearch.targets.decoded import Decoded, Size
from pathsearch.targets.measuring import Groups, Measuring, Said
from pathsearch.targets.reading import Fitness, Means, NonFiniteFitness, Reading

__all__ = ["DEFAULT", "TARGETS", "Fitness", "Groups", "NonFiniteFitness", "Reading", "Said", "Target"]

Shape = tuple[int, ...]
Loss = Callable[[Tensor, Tensor], Tensor]  # outputs (P, B, …) of P paths and truth (B, …) to (P,)
Saying = Callable[[Tensor, Tensor], Said]  # features as read (B, …) and truth (B, …) to what is kept of the answers

TARGETS: dict[str, type[Target]] = {}
DEFAULT = "class"  # of a task that names none
Form = Literal["outlines", "boxes", "pictures"]  # in which answers are drawn
FORMS = get_args(Form)
Kind = TypeVar("Kind", bound="type[Target]")


class Target(Measuring):
    """What a task asks for.

    Attributes:
        names: that answers are made of, such as classes, in order; there may be none.
        kind: under which it is registered; where its measures stand in reports.
        measures: what a search may maximise; the first is the one that people read.
        rates: fields of `assess` of which comparisons give mean and spread.
        summed: the same, of several baselines of one kind.
        all_or_nothing: whether an answer is right or wrong, and nothing between.
        reads_maps: whether its head needs a map, (channels, height, width), to read.
        gives: the form of its answers, class, mask, box or image; see `Decoded`.
        shows: the form in which a run draws its worst and best answers, see `shown`; None for none.
    """

    kind: ClassVar[str]
    measures: ClassVar[tuple[str, ...]]
    rates: ClassVar[tuple[str, ...]]
    summed: ClassVar[tuple[str, ...]]
    all_or_nothing: ClassVar[bool] = False
    reads_maps: ClassVar[bool] = False
    gives: ClassVar[str] = "class"
    shows: ClassVar[Form | None] = None

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)

    # --- what is asked ----------------------------------------------------------------------------------------------

    @classmethod
    def names_of(cls, task: Task) -> tuple[str, ...]:
        """The names of a task that answers are made of: its classes, unless a target has others, or none."""
        return task.classes

    @abstractmethod
    def truth(self, task: Task, split: str) -> Tensor:
        """(n, …) of a split's images, in the order of the manifest."""

    def warped(self, truth: Tensor, warps: Sequence[Warp]) -> Tensor:
        """The truth (n, …) of views that show n images so warped; the same, unless it lies somewhere in the image."""
        return truth

    def in_views(
        self, task: Task, split: str, used: np.ndarray, truth: Tensor, warps: Sequence[Sequence[Warp]]
    ) -> tuple[Tensor, ...]:
        """The truth of each view, by `warped` unless a target knows better from its task; none where it does not move.

        Args:
            task: of the images.
            split: theirs.
            used: which n of its images, positions in the split.
            truth: of these images, (n, …).
            warps: of each view, n each.
        """
        moves = type(self).warped is not Target.warped
        return tuple(self.warped(truth, own) for own in warps) if moves else ()

    @abstractmethod
    def head(self, shape: Shape) -> tuple[str, Shape]:
        """The module specification of the head that reads `shape`, and what it puts out for one image."""

    def probed(self, shape: Shape) -> Shape:
        """Of what the linear probe reads of features of `shape`: all of them in a row, or the map as it is.

        Raises:
            PathsearchError: they are no map, and the head needs one.
        """
        if not self.reads_maps:
            return (math.prod(shape),)
        if len(shape) != 3:
            raise PathsearchError(
                f"target {self.kind}: expected features that are one map (channels, height, width), got {shape}; "
                "take a source of maps"
            )
        return shape

    def held(self, shape: Shape, truth: Tensor) -> int:
        """Numbers of one path's answer to one image that are held at once, for a head that reads `shape`."""
        return math.prod(self.head(shape)[1])

    def strata(self, truth: Tensor) -> np.ndarray:
        """(n,) numbers of what every part of a cut should have its share of, and what one Gaussian describes."""
        return np.zeros(len(truth), np.int64)

    # --- training ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def each_loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """(P, B) plain loss of every path for every image, from outputs (P, B, …) and truth (B, …).

        Finite, and without a gradient that is not, also where the truth is unknown.
        """

    @abstractmethod
    def each_quality(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """(P, B) how good each answer is, from 0 to 1; its mean is the first measure. Finite for unknown truth, too."""

    def each_score(self, measure: str, outputs: Tensor, truth: Tensor) -> Tensor:
        """The same by any of the measures that a search may maximise."""
        return self.each_quality(outputs, truth)

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
        self.some_known(truth, "training")
        return lambda outputs, truth: self.of_known(self.each_loss(outputs, truth), truth).mean(1)

    # --- scoring many paths -----------------------------------------------------------------------------------------

    def reading(self, measure: str) -> Reading:
        """An empty reading, for a measure."""
        return Means(
            lambda outputs, truth: (
                self.each_score(measure, outputs, truth),
                self.each_loss(outputs, truth),
                self.known(truth),
            )
        )

    def fitnesses(self, readings: Sequence[Any], measure: str) -> list[Fitness]:
        """Of P paths over the images of all readings, each of other networks, as in cross-validation."""
        n = sum(one.n for one in readings)
        if not n:
            raise self._nothing("validation", 0)
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

    def said_in_full(self, outputs: Tensor, truth: Tensor) -> Said:
        """The same of a final network, with what is too dear to be measured after every epoch."""
        return self.said(outputs, truth)

    def fitness(self, measure: str, said: Said, truth: Tensor) -> Fitness:
        """Of one network."""
        score = self._of_known(torch.from_numpy(self.score(measure, said, truth, None)), truth)
        return Fitness(score.mean().item(), -self._of_known(said["loss"], truth).mean().item())

    def stopping(self, said: Said, truth: Tensor) -> float:
        """What a training stops by when it no longer rises."""
        return -self._of_known(said["loss"], truth).mean().item()

    def check_rule(self, rule: str) -> None:
        """Raise `PathsearchError` if a threshold rule has no meaning here; worth asking before a search."""
        if rule != "argmax":
            raise PathsearchError(f"threshold {rule}: expected a task of two classes, got {self.kind}; use argmax")

    def fix(self, rule: str, said: Said, truth: Tensor) -> float | None:
        """What is fixed on validation images before the test: a threshold, where there is one."""
        self.check_rule(rule)
        return None

    # --- answering --------------------------------------------------------------------------------------------------

    def decoded(self, outputs: Tensor, fixed: float | None, sizes: Sequence[Size]) -> Iterator[Decoded]:
        """The answers that one network's outputs (B, …) are, one after another, each in the pixels of its image.

        Args:
            outputs: of B images, as the network saw them.
            fixed: on validation, see `fix`.
            sizes: B widths and heights, of the images as they were given.

        Raises:
            PathsearchError: the target does not say how.
        """
        raise PathsearchError(
            f"target {self.kind}: expected a method `decoded`, which makes answers of outputs, got none; a model "
            "cannot answer with it: add the method, or leave its run out"
        )

    @classmethod
    def answers(cls) -> bool:
        """Whether it says how outputs become answers."""
        return cls.decoded is not Target.decoded

    def graphed(self, outputs: Tensor, fixed: float | None) -> tuple[str, Tensor]:
        """What an exported graph puts out of outputs (B, …), and its name: the outputs as they are, unless told."""
        return "outputs", outputs

    def blind(self, truth: Tensor) -> float:
        """The first measure of the best answer that looks at no image."""
        return 0.0

    def without_network(self, training: Tensor, pictures: bool) -> tuple[str, Saying] | None:
        """The best answer that takes no network, which any network has to beat: its name, and what it says in full.

        Args:
            training: (n, …) truth of the training images, all that it may know.
            pictures: whether networks read pictures, (B, C, H, W) of 0 to 255, and not an encoder's features.
        """
        return None

    # --- what only some have ----------------------------------------------------------------------------------------

    def more(self, task: Task, said: dict[str, Said], truth: dict[str, Tensor], fixed: float | None) -> dict[str, Any]:
        """What a run's report says besides, by field; said and truth are by split: train (truth only), val and test."""
        return {}

    def shown(self, outputs: Tensor, truth: Tensor) -> Said:
        """What figures draw of one network's outputs (B, …) for images of known truth (B, …): B rows each, on the CPU.

        Returns:
            Of `shows` outlines: `truth` and `answer` (B, H, W) uint8 labels, 0 for background. Of boxes: both (B, 4)
            x_min, y_min, x_max, y_max in shares of the image's width and height. Of pictures: both (B, C, H, W) uint8.
        """
        return {}

    def nearest(self, known: np.ndarray, truth: Tensor, asked: np.ndarray, k: int) -> Said:
        """What the k nearest of known images (n, C) say to asked ones (m, C); a comparison asks it."""
        raise PathsearchError(f"target {self.kind}: nearest neighbours say nothing of it; leave them out")

    def placed(self, assessed: dict[str, Any]) -> dict[str, Any]:
        """`assess` as it stands in a report's `validation` and `test`."""
        return {"n": assessed["n"], self.kind: assessed}


def register(name: str) -> Callable[[Kind], Kind]:
    """Enter a target under the name by which tasks ask for it."""

    def enter(target: Kind) -> Kind:
        if name in TARGETS:
            raise ValueError(f"target {name!r} is registered twice; rename one of them")
        if target.shows not in (None, *FORMS):
            raise ValueError(f"target {name!r}: expected shows to be one of {', '.join(FORMS)}, got {target.shows!r}")
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


def target_of(task: Task, kind: str | None = None) -> Target:
    """What a prepared task asks for; of several, the one that is asked for by its kind."""
    kind = kind or task.target
    return make_target(kind, TARGETS[kind].names_of(task) if kind in TARGETS else ())
