"""One model of several finished runs: their encoder, router and experts, and what it says to images."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from data_prep.table_words import by_folder, folder_of
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.own import encoded
from pathsearch.encoders.pixels import make_encoder
from pathsearch.experts.answer import Answer
from pathsearch.experts.expert import Expert
from pathsearch.experts.router import FALSE_REJECTION, UNKNOWN, Router, Territory, check_rate
from pathsearch.experts.rules import Rule, derived
from pathsearch.run.runs import Run
from pathsearch.run.same_encoder import described
from pathsearch.targets import target_of
from pathsearch.targets.decoded import Decoded, Size, together

__all__ = ["Answer", "Model", "check_sight", "check_unchanged"]


@dataclass(frozen=True)
class Model:
    """An encoder, a router over tasks, and experts by name.

    Experts whose tasks are one folder, such as lungs and lungs:class, are one task to the router, by the folder's name,
    and answer together, each in another form.

    Attributes:
        levels: the grey level of each name of a mask, by the expert that answers with one; without them a mask says
            indices.
        rules: what is derived of the answers to one image.
    """

    encoder: Encoder
    experts: dict[str, Expert]
    router: Router
    levels: Mapping[str, Sequence[int]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for task, names in by_folder(self.experts).items():
            targets = {name: self.experts[name].target for name in names} if len(names) > 1 else {}
            forms = {name: one.gives for name, one in targets.items() if one.answers()}
            if len({*forms.values()}) < len(forms):
                told = " and ".join(f"{name} with {form}" for name, form in forms.items())
                raise PathsearchError(
                    f"task {task}: expected experts that answer in different forms, got {told}; leave one out"
                )

    @classmethod
    def of(cls, runs: Sequence[Run], device: torch.device, false_rejection: float = FALSE_REJECTION) -> Model:
        """The model of finished runs, whose router takes for unknown a share `false_rejection` of each task's images.

        Raises:
            PathsearchError: runs of one task twice, of one folder on other images, of different encoders, or
                unfinished; a share outside ]0, 1[; a router file that was made of other numbers than the encoder gives
                now.
        """
        check_rate(false_rejection)
        experts = _load_experts(runs)
        named = dict(zip(experts, runs, strict=True))
        first = {task: _on_same_images(task, [named[one] for one in names]) for task, names in by_folder(named).items()}
        territories = {task: _territory(run, false_rejection) for task, run in first.items()}
        encoder = make_encoder(runs[0].settings().encoder, device)
        for task, territory in territories.items():
            check_sight(territory, encoder, f"run {first[task].name}")
        return cls(encoder, experts, Router(territories))

    def answer(self, images: Tensor, sources: Sequence[str | int], sizes: Sequence[Size] | None = None) -> list[Answer]:
        """Route each image to its task's experts; see `stream`."""
        return list(self.stream(images, sources, sizes))

    def stream(
        self,
        images: Tensor,
        sources: Sequence[str | int],
        sizes: Sequence[Size] | None = None,
        given: str | Sequence[str] | None = None,
    ) -> Iterator[Answer]:
        """Route each image to its task's experts; what is large of an answer is made when it is asked for.

        Args:
            images: (B, 3, S, S) uint8.
            sources: B names, which the answers carry.
            sizes: B widths and heights that answers in pixels are for; by default that of `images`.
            given: the task of all images, or several, if that is known: the experts of each answer, and the router only
                says how far an image is from that task's own.

        Yields:
            B answers, in order; where several tasks are given, one of each for every image.

        Raises:
            PathsearchError: the encoder's features are not finite, or one of a plug-in fails.
        """
        maps = encoded(self.encoder, images)
        sizes = sizes or [(images.shape[-1], images.shape[-2])] * len(images)
        seen = self.encoder.seen(maps)
        sent = [self._as(task, seen) for task in self.asked(given)] or [self.router.route(seen)]
        each = [self._answered(maps, sources, sizes, *one) for one in sent]
        for answers in zip(*each, strict=True):
            said = derived(self.rules, answers)
            yield from (replace(one, derived=said) for one in answers)

    def _answered(
        self,
        maps: Tensor,
        sources: Sequence[str | int],
        sizes: Sequence[Size],
        sent: np.ndarray,
        distances: np.ndarray,
    ) -> Iterator[Answer]:
        """The answers of the tasks that images were sent to, or of none."""
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
            yield Answer(
                source, task, one.label, one.probability, distance, distance > 1, one.probabilities,
                one.mask, one.areas, one.box, size, one.image,
            )  # fmt: skip

    def giving(self, task: str, form: str) -> str | None:
        """The name of a task's expert that answers in this form; None if none does."""
        names = by_folder(self.experts).get(task, [])
        return next((name for name in names if self.experts[name].target.gives == form), None)

    def asked(self, given: str | Sequence[str] | None) -> list[str]:
        """Names of the tasks that are given, each once; one that is none of the model's is refused."""
        names, tasks = [given] if isinstance(given, str) else [*dict.fromkeys(given or ())], self.router.tasks
        for name in names:
            if name not in tasks:
                own = folder_of(name)  # the experts of lungs:class answer with those of lungs
                near = [own] if own in tasks else difflib.get_close_matches(name, tasks, n=1)
                hint = f"did you mean {near[0]}?" if near else "leave it out to let the router decide"
                raise PathsearchError(f"task: expected one of {', '.join(tasks)}, got {name!r}; {hint}")
        return names

    def _as(self, task: str, seen: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """(B,) the number of this task, and distances over its threshold."""
        own = self.router.territories[task]
        distances = (own.distance(seen) / own.threshold).numpy()
        return np.full(len(seen), list(self.router.tasks).index(task)), distances

    def _decoded(self, task: str, maps: Tensor, sizes: Sequence[Size]) -> Iterator[Decoded]:
        """The answers of all experts of a task, as one."""
        return map(together, zip(*(self._said(one, maps, sizes) for one in by_folder(self.experts)[task]), strict=True))

    def _said(self, name: str, maps: Tensor, sizes: Sequence[Size]) -> Iterator[Decoded]:
        """The answers of one expert, masks in the grey levels that its task has for their labels."""
        expert, levels = self.experts[name], self.levels.get(name)
        outputs = torch.cat([expert.outputs(part) for part in maps.split(expert.at_once)])
        for one in expert.target.decoded(outputs, expert.facts.threshold, sizes):
            in_levels = levels is not None and one.mask is not None
            yield replace(one, mask=np.array(levels, np.uint8)[one.mask]) if in_levels else one


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


def _on_same_images(task: str, runs: Sequence[Run]) -> Run:
    """The first of a folder's runs, whose router file serves all of them."""
    first, *others = runs
    for run in others:
        if run.settings().data != first.settings().data:
            raise PathsearchError(
                f"run {run.name}: expected the images and splits of {first.name}, which is of task {task} too, got "
                "others: it was prepared again between them; make the older run again, or leave one out"
            )
    return first


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
