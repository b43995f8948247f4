"""Several tasks or targets trained together on layers that they share; each becomes a run and an expert of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import nn

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from data_prep.table_words import as_file_name, folder_of
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import Features, encode
from pathsearch.experts.expert import Expert
from pathsearch.experts.finishing import Clock, finish
from pathsearch.experts.heritage import Heritage, inherit, layers_between, same_weights
from pathsearch.experts.reporting import Ready
from pathsearch.experts.reuse import Together
from pathsearch.experts.seen import keep_seen
from pathsearch.experts.trainings import Trainings
from pathsearch.grid.grid import Grid, PathNetwork, common_layers, count
from pathsearch.grid.path import PROBE, Layers, Path
from pathsearch.grid.presets import path_of
from pathsearch.run.place import Place
from pathsearch.run.runs import Run, forget_trainings
from pathsearch.run.sealed import owner_of
from pathsearch.run.settings import RunSettings
from pathsearch.run.streams import derive
from pathsearch.run.threads import choose_threads, keeps_threads
from pathsearch.search.choice import Ballot
from pathsearch.search.search import SearchState
from pathsearch.training.bench import Bench
from pathsearch.training.cost import training_work
from pathsearch.training.course import Pupil
from pathsearch.training.kept import Kept
from pathsearch.training.last_training import Trained, refit_together, train_together
from pathsearch.training.strategies import check_numbers

TOGETHER, REFIT = 98, 99  # numbers of trainings in a run's checkpoint; the probe's begin at 1


class Member(NamedTuple):
    """One of the tasks, with the settings of its run."""

    task: Task
    settings: RunSettings
    run: Run  # opened


@dataclass(frozen=True)
class _Place:
    """Where a member's network stands: its own grid, which is as much of the common one as leads to its head."""

    member: Member
    features: Features
    bench: Bench
    grid: Grid
    path: Path


@keeps_threads()
def evolve_together(
    members: Sequence[Member], encoder: Encoder, beginning: Heritage, place: Place
) -> list[dict[str, Any]]:
    """Train all tasks' given networks by one strategy, then fix and test each as the expert of its run.

    Args:
        members: two or more; what their settings say of encoder, grid, training and strategy is the same.
        encoder: as the settings say.
        beginning: experts whose layers the shared ones begin from, and change; may be empty.
        place: cache, device and progress.

    Returns:
        The report of each, as written to its `report.json`.
    """
    clock, settings = Clock(), members[0].settings
    # 1. every image through the encoder, once; a network's place on the grid for each task
    places: list[_Place] = []
    for member in members:
        places.append(_placed(member, encoder, beginning, place, places))
    clock.lap("encode")
    work = max(training_work(one.grid, one.bench.task, settings.training.batch_size) for one in places)
    threads = choose_threads(work, place.tell, members[0].run.threads())

    # 2. all together, kept with the first run; the probes, each alone
    place.tell.stage("train", 1 + settings.training.refit + len(members))
    trained, fixed = _trained(places, Kept(members[0].run.checkpoint_dir, _owner(members, encoder, beginning)))
    unfinished = [one for one in places if not one.member.run.finished]  # others were, before an interruption
    probes = {one.member.run: _probe(one, encoder) for one in unfinished}
    clock.lap("train")

    # 3. fix and test each; the first, which has what an interrupted run goes on from, at the end
    about = _about(places, [one.network for one in fixed], beginning)
    begun_from = [(ancestor.expert.facts.task, ancestor.run) for ancestor in beginning.ancestors]
    for one, best in zip(places, fixed, strict=True):
        if one.member.run.finished:
            _check_expert(one.member.run, best.network)
    for one in unfinished:
        keep_seen(one.features, one.member.run, [earlier for _, earlier in begun_from])
    reports: list[dict[str, Any]] = []
    for one, alone, best in reversed(list(zip(places, trained, fixed, strict=True))):
        task, own, run = one.member
        if run.finished:
            reports.append(run.report())
            forget_trainings(run.checkpoint_dir)  # of the first, which was begun again for the others
            continue
        choice = Ballot.of(one.bench).choose([one.path], [alone], [count(alone.network)], [alone.said])
        rivals = {"linear_probe": [("linear probe", probes[run])]}
        ready = Ready(
            task, encoder, own, one.features, one.bench, one.grid, SearchState([]), choice, best, rivals, Heritage()
        )
        partners = [(other.task.name, other.run) for other in members if other is not one.member]
        reports.append(finish(ready, run, clock, threads, {"together": about}, [*begun_from, *partners]))
    return reports[::-1]


def check_together(members: Sequence[tuple[Task, RunSettings]]) -> None:
    """Refuse tasks that cannot be trained together, before anything is encoded."""
    names = [as_file_name(task.name) for task, _ in members]  # of runs, which must not be one
    if twice := [task.name for number, (task, _) in enumerate(members) if names[number] in names[:number]]:
        raise PathsearchError(f"--task {twice[0]}: is named twice; name each task once, or another of its targets")
    sizes = {task.name: settings.encoder.image_size for task, settings in members}
    if len(set(sizes.values())) > 1:
        raise PathsearchError(
            f"--task: expected tasks of one image size, got {sizes}; give --image-size, to which all are brought"
        )
    check_numbers(members[0][1].together, len(members))


def _placed(member: Member, encoder: Encoder, beginning: Heritage, place: Place, earlier: Sequence[_Place]) -> _Place:
    """A task's images, and its path: shared layers as those before it have them, in all others modules of its own."""
    task, settings, _ = member
    place.tell.stage("encode", 0)
    training = settings.training
    features = encode(task, encoder, place.cache_dir, training.views, place.tell.count, training.augmentation)
    features = features.asked(training, settings.seed)
    bench = Bench.of(settings, encoder, features, place)
    grid = bench.grid()
    beginning.settle(grid)
    grid.requires_grad_(True)
    there: list[Layers] = list(beginning.paths(grid).values())
    there += [layers_between(one.grid.blueprint, one.path, grid.blueprint) for one in earlier]
    path = path_of(settings.path, grid.blueprint, there)
    if training.begin == "earlier":
        inherit(grid, path, [ancestor.expert for ancestor in beginning.ancestors])
    return _Place(member, features, bench, grid, path)


def _pupils(places: Sequence[_Place], kept: Kept, number: int, what: str) -> list[Pupil]:
    """Each task's network at its initial weights; a module of two of them is one and the same object in both."""
    seen: dict[tuple[str, int], nn.Module] = {}
    pupils = []
    for one in places:
        network = one.grid.network(one.path, one.bench.task)
        for level, layer in enumerate(one.grid.blueprint.layers):
            modules = network.modules_of(level)
            for position, index in enumerate(one.path.layers[level]):
                modules[position] = seen.setdefault((layer.name, index), modules[position])
        # tasks on the same images see them in the same order
        seed = derive(one.bench.seed, "together", folder_of(one.bench.task))
        bench = replace(one.bench.at(seed), halfway=kept.halfway(number, what))
        pupils.append(Pupil(bench, network, one.grid.shapes[1:]))
    return pupils


def _trained(places: Sequence[_Place], kept: Kept) -> tuple[list[Trained], list[Trained]]:
    """All networks at their best on validation, and refitted, if the settings ask for that."""
    what = " + ".join(f"{one.bench.task}, {one.path}" for one in places)

    def pupils(number: int) -> list[Pupil]:
        return _pupils(places, kept, number, what)

    def untrained() -> list[PathNetwork]:
        return [one.network for one in pupils(TOGETHER)]

    tell, last = places[0].bench.tell, places[0].bench.last
    trained = kept.trainings(TOGETHER, what, untrained, lambda: train_together(pupils(TOGETHER)))
    tell.advance(1, "together")
    if not last.refit:
        return trained, trained
    fixed = kept.trainings(REFIT, what, untrained, lambda: refit_together(trained, pupils(REFIT)))
    tell.advance(2, "refit")
    return trained, fixed


def _probe(one: _Place, encoder: Encoder) -> Trained:
    """The linear probe of a task, trained as if it were alone."""
    settings, task, run = one.member.settings, one.member.task, one.member.run
    kept = Kept(run.checkpoint_dir, owner_of(settings.to_dict(), task.fingerprint, encoder.key, []))
    with Trainings(one.bench, [], kept, 1) as trainings:
        probe = trainings.candidate(PROBE, "linear probe", judged=False)
        trainings.carry_out()
        fixed = trainings.refit(probe.alone)
        trainings.carry_out()
        return fixed.trained()


def _check_expert(run: Run, network: PathNetwork) -> None:
    """Refuse a run that was finished with other weights than the training together came to when it was repeated."""
    if not same_weights(Expert.load(run.expert_file).network.network, network):
        raise PathsearchError(
            f"run {run.name}: expected an expert of the same weights as the training together, got others; begun "
            "again, it came out otherwise, as on another machine; start all of its tasks again with --overwrite"
        )


def _owner(members: Sequence[Member], encoder: Encoder, beginning: Heritage) -> str:
    """A digest of everything that decides what becomes of a training together."""
    ancestors = [ancestor.sha256 for ancestor in beginning.ancestors]
    each = [owner_of(one.settings.to_dict(), one.task.fingerprint, encoder.key, ancestors) for one in members]
    return hashlib.sha256(json.dumps(each).encode()).hexdigest()


def _about(places: Sequence[_Place], networks: Sequence[PathNetwork], beginning: Heritage) -> Together:
    settings = places[0].member.settings.together
    shared = [set(common_layers([one, other])) for one in networks for other in networks if one is not other]
    names = [layer.name for layer in places[0].grid.blueprint.layers if all(layer.name in one for one in shared)]
    modules = {id(module): module for one in networks for n in range(len(one.layers)) for module in one.modules_of(n)}
    heads = sum(count(one.head) for one in networks)
    common = {id(module): module for name in names for module in networks[0].modules_called(name)}
    first = places[0]
    return {
        "strategy": settings.strategy,
        "turns": settings.turns if settings.strategy == "alternating" else "all in each step",
        "loss_weights": settings.loss_weights,
        "runs": {one.bench.task: one.member.run.name for one in places},
        "shared_layers": names,
        "shared_parameters": sum(map(count, common.values())),
        "parameters": heads + sum(map(count, modules.values())),
        "begun_from": [
            {
                "task": ancestor.expert.facts.task,
                "run": ancestor.run.name,
                "layers": [
                    layer.name
                    for layer, own, there in zip(
                        first.grid.blueprint.layers,
                        first.path.layers,
                        beginning.paths(first.grid)[ancestor.expert.facts.task],
                        strict=True,
                    )
                    if set(own) & set(there)
                ],
            }
            for ancestor in beginning.ancestors
        ],
    }
