"""One model of several finished runs: their encoder, router and experts, and what it says to images."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.own import encoded
from pathsearch.encoders.pixels import make_encoder
from pathsearch.experts.answer import Answer
from pathsearch.experts.expert import Expert
from pathsearch.experts.router import FALSE_REJECTION, UNKNOWN, Router, Territory, check_rate
from pathsearch.run.runs import Run
from pathsearch.run.same_encoder import described
from pathsearch.targets import target_of
from pathsearch.targets.decoded import Decoded, Size

__all__ = ["Answer", "Model", "check_sight", "check_unchanged"]


@dataclass(frozen=True)
class Model:
    """An encoder, a router over tasks and the expert of each task, by name.

    Attributes:
        levels: the grey level of each name of a mask, of the tasks that ask for one; without them a mask says indices.
    """

    encoder: Encoder
    experts: dict[str, Expert]
    router: Router
    levels: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Sequence[Run], device: torch.device, false_rejection: float = FALSE_REJECTION) -> Model:
        """The model of finished runs, whose router takes for unknown a share `false_rejection` of each task's images.

        Raises:
            PathsearchError: runs of one task twice, of different encoders, or unfinished; a share outside ]0, 1[; a
                router file that was made of other numbers than the encoder gives now.
        """
        check_rate(false_rejection)
        experts = _load_experts(runs)
        territories = {task: _territory(run, false_rejection) for task, run in zip(experts, runs, strict=True)}
        encoder = make_encoder(runs[0].settings().encoder, device)
        for run, territory in zip(runs, territories.values(), strict=True):
            check_sight(territory, encoder, f"run {run.name}")
        return cls(encoder, experts, Router(territories))

    def answer(self, images: Tensor, sources: Sequence[str | int], sizes: Sequence[Size] | None = None) -> list[Answer]:
        """Route each image to its task's expert; see `stream`."""
        return list(self.stream(images, sources, sizes))

    def stream(
        self,
        images: Tensor,
        sources: Sequence[str | int],
        sizes: Sequence[Size] | None = None,
        given: str | None = None,
    ) -> Iterator[Answer]:
        """Route each image to its task's expert; what is large of an answer is made when it is asked for.

        Args:
            images: (B, 3, S, S) uint8.
            sources: B names, which the answers carry.
            sizes: B widths and heights that answers in pixels are for; by default that of `images`.
            given: the task of all images, if it is known: its expert answers each, and the router only says how far
                an image is from that task's own.

        Yields:
            B answers, in order.

        Raises:
            PathsearchError: the encoder's features are not finite, or one of a plug-in fails.
        """
        maps = encoded(self.encoder, images)
        sizes = sizes or [(images.shape[-1], images.shape[-2])] * len(images)
        sent, distances = self._sent(self.encoder.seen(maps), given)
        each: dict[str, Iterator[Decoded]] = {}
        for number, task in enumerate(self.router.tasks):
            here = (sent == number).nonzero()[0]
            if len(here):
                each[task] = self._decoded(task, maps[torch.from_numpy(here)], [sizes[i] for i in here])
        for source, number, distance, size in zip(sources, sent, map(float, distances), sizes, strict=True):
            if number == UNKNOWN:
                yield Answer(source, None, None, None, distance, True, {})
                continue
            task = self.router.tasks[number]
            one = next(each[task])
            mask = None if one.mask is None else self._in_levels(task, one.mask)
            yield Answer(
                source, task, one.label, one.probability, distance, distance > 1, one.probabilities,
                mask, one.areas, one.box, size, one.image,
            )  # fmt: skip

    def check_task(self, name: str) -> None:
        """Refuse a name that is none of the tasks'."""
        if name not in self.experts:
            near = difflib.get_close_matches(name, self.experts, n=1)
            hint = f"did you mean {near[0]}?" if near else "leave it out to let the router decide"
            raise PathsearchError(f"task: expected one of {', '.join(self.experts)}, got {name!r}; {hint}")

    def _sent(self, seen: Tensor, given: str | None) -> tuple[np.ndarray, np.ndarray]:
        """(B,) numbers of tasks, and distances over their thresholds."""
        if given is None:
            return self.router.route(seen)
        self.check_task(given)
        own = self.router.territories[given]
        distances = (own.distance(seen) / own.threshold).numpy()
        return np.full(len(seen), list(self.router.tasks).index(given)), distances

    def _decoded(self, task: str, maps: Tensor, sizes: Sequence[Size]) -> Iterator[Decoded]:
        """The answers of a task's expert."""
        expert = self.experts[task]
        outputs = torch.cat([expert.outputs(part) for part in maps.split(expert.at_once)])
        return expert.target.decoded(outputs, expert.facts.threshold, sizes)

    def _in_levels(self, task: str, mask: np.ndarray) -> np.ndarray:
        """Indices of labels as the grey levels that the task's masks have for them."""
        levels = self.levels.get(task)
        return mask if levels is None else np.array(levels, np.uint8)[mask]


def check_unchanged(run: Run, expert: Expert, task: Task, encoder: Encoder) -> None:
    """Refuse a run whose encoder weights or task are no longer those that its expert was made with."""
    report = run.report()
    if encoder.key != report["encoder"]["key"]:
        raise PathsearchError(
            f"run {run.name}: its encoder had {report['encoder']['weights']}, the same settings now give "
            f"{encoder.weights_label}; put the old weights back, or evolve again"
        )
    names = target_of(task, expert.facts.target).names
    if run.settings().data != task.fingerprint or expert.facts.classes != list(names):
        raise PathsearchError(
            f"run {run.name}: task {task.name!r} was prepared differently since, so that images of its test split "
            "may have trained the expert; evolve again, or prepare the task as before"
        )


def check_sight(territory: Territory, encoder: Encoder, owner: str) -> None:
    """Refuse a router file that was made of other numbers an image than the encoder gives."""
    if (made := territory.means.shape[1]) != (now := encoder.sight):
        raise PathsearchError(
            f"{owner}: expected a router file made of {now} numbers an image, which {encoder.settings.name} gives, got "
            f"one of {made}: of an earlier version, or of other code; evolve or train its task again"
        )


def _territory(run: Run, false_rejection: float) -> Territory:
    territory = Territory.load(run.router_file)  # its threshold is for FALSE_REJECTION
    return territory if false_rejection == FALSE_REJECTION else territory.at(false_rejection)


def _load_experts(runs: Sequence[Run]) -> dict[str, Expert]:
    experts: dict[str, Expert] = {}
    for run in runs:
        run.verify()
        expert = Expert.load(run.expert_file)
        if expert.facts.task in experts:
            raise PathsearchError(f"run {run.name}: task {expert.facts.task!r} is named twice; give one run a task")
        experts[expert.facts.task] = expert
    encoders = {run.name: run.report()["encoder"] for run in runs}
    if len({about["key"] for about in encoders.values()}) > 1:
        raise PathsearchError(
            f"runs: expected runs that share one encoder, got {described(encoders)}; evolve them alike"
        )
    return experts
