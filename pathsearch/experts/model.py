"""One model of several finished runs: their encoder, router and experts, and what it says to images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.own import encoded
from pathsearch.encoders.pixels import make_encoder
from pathsearch.encoders.pooled import pooled
from pathsearch.experts.expert import Expert
from pathsearch.experts.router import FALSE_REJECTION, Router, Territory, check_rate
from pathsearch.run.runs import Run
from pathsearch.run.same_encoder import described
from pathsearch.targets.target import DEFAULT


@dataclass(frozen=True)
class Answer:
    """What the model says to one image.

    Attributes:
        source: the image's file, or its number among the images given.
        task: the task that it was routed to; None if it is unknown.
        label: the class; None if it is unknown.
        probability: the expert's, of that class; None if it is unknown. Where a threshold decides, it may be
            below a half.
        distance: to the nearest task's images over that task's threshold: above 1, the image is unknown.
        unknown: it looks like no task's images.
        probabilities: of every class of the task; empty if it is unknown.
    """

    source: str | int
    task: str | None
    label: str | None
    probability: float | None
    distance: float
    unknown: bool
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Model:
    """An encoder, a router over tasks and the expert of each task, by name."""

    encoder: Encoder
    experts: dict[str, Expert]
    router: Router

    @classmethod
    def of(cls, runs: Sequence[Run], device: torch.device, false_rejection: float = FALSE_REJECTION) -> Model:
        """The model of finished runs, whose router takes for unknown a share `false_rejection` of each task's images.

        Raises:
            PathsearchError: runs of one task twice, of different encoders, or unfinished; a share outside ]0, 1[.
        """
        check_rate(false_rejection)
        experts = _load_experts(runs)
        territories = {task: _territory(run, false_rejection) for task, run in zip(experts, runs, strict=True)}
        return cls(make_encoder(runs[0].settings().encoder, device), experts, Router(territories))

    def answer(self, images: Tensor, sources: Sequence[str | int]) -> list[Answer]:
        """Route each image to its task's expert.

        Args:
            images: (B, 3, S, S) uint8.
            sources: B names, which the answers carry.

        Raises:
            PathsearchError: the encoder's features are not finite, or one of a plug-in fails.
        """
        maps = encoded(self.encoder, images)
        sent, distances = self.router.route(pooled(maps, self.encoder.places))
        answers = [Answer(s, None, None, None, float(d), True, {}) for s, d in zip(sources, distances, strict=True)]
        for number, task in enumerate(self.router.tasks):
            here = (sent == number).nonzero()[0]
            if not len(here):
                continue
            expert = self.experts[task]
            probabilities = expert.probabilities(maps[torch.from_numpy(here)])
            classes = expert.facts.classes
            for i, row, k in zip(here, probabilities, expert.classify(probabilities), strict=True):
                each = dict(zip(classes, row.tolist(), strict=True))
                answers[i] = Answer(sources[i], task, classes[k], each[classes[k]], answers[i].distance, False, each)
        return answers


def check_unchanged(run: Run, expert: Expert, task: Task, encoder: Encoder) -> None:
    """Refuse a run whose encoder weights or task are no longer those that its expert was made with."""
    report = run.report()
    if encoder.key != report["encoder"]["key"]:
        raise PathsearchError(
            f"run {run.name}: its encoder had {report['encoder']['weights']}, the same settings now give "
            f"{encoder.weights_label}; put the old weights back, or evolve again"
        )
    if run.settings().data != task.fingerprint or expert.facts.classes != list(task.classes):
        raise PathsearchError(
            f"run {run.name}: task {task.name!r} was prepared differently since, so that images of its test split "
            "may have trained the expert; evolve again, or prepare the task as before"
        )


def _territory(run: Run, false_rejection: float) -> Territory:
    territory = Territory.load(run.router_file)  # its threshold is for FALSE_REJECTION
    return territory if false_rejection == FALSE_REJECTION else territory.at(false_rejection)


def _load_experts(runs: Sequence[Run]) -> dict[str, Expert]:
    experts: dict[str, Expert] = {}
    for run in runs:
        run.verify()
        expert = Expert.load(run.expert_file)
        if expert.facts.target != DEFAULT:
            raise PathsearchError(
                f"run {run.name}: expected a task of classes, got one that asks for {expert.facts.target}; a model of "
                "several tasks answers with classes: leave this run out"
            )
        if expert.facts.task in experts:
            raise PathsearchError(f"run {run.name}: task {expert.facts.task!r} is named twice; give one run a task")
        experts[expert.facts.task] = expert
    encoders = {run.name: run.report()["encoder"] for run in runs}
    if len({about["key"] for about in encoders.values()}) > 1:
        raise PathsearchError(
            f"runs: expected runs that share one encoder, got {described(encoders)}; evolve them alike"
        )
    return experts
