"""Several tasks or targets on layers that they share, trained together; each becomes a run and an expert of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from data_prep.table_words import as_file_name
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode
from pathsearch.experts.expert import Expert
from pathsearch.experts.finishing import Clock, finish
from pathsearch.experts.group import Group, Member, Seat
from pathsearch.experts.heritage import Heritage, layers_between, same_weights
from pathsearch.experts.reporting import Ready
from pathsearch.experts.reuse import Together
from pathsearch.experts.seen import keep_seen
from pathsearch.experts.together_search import Outcome, given, searched
from pathsearch.experts.trainings import Trainings
from pathsearch.grid.branches import Branches, common_names, tie
from pathsearch.grid.grid import PathNetwork, common_layers, count
from pathsearch.grid.path import PROBE, Layers, Path
from pathsearch.grid.presets import path_of
from pathsearch.grid.vocabulary import blueprint_of
from pathsearch.run.place import Place
from pathsearch.run.runs import Run, forget_trainings
from pathsearch.run.sealed import owner_of
from pathsearch.run.settings import RunSettings
from pathsearch.run.teller import Silent
from pathsearch.run.threads import choose_threads, keeps_threads
from pathsearch.targets.target import target_of
from pathsearch.training.bench import Bench
from pathsearch.training.cost import training_work
from pathsearch.training.kept import Kept
from pathsearch.training.last_training import Trained
from pathsearch.training.strategies import check_numbers


@keeps_threads()
def evolve_together(
    members: Sequence[Member], encoder: Encoder, beginning: Heritage, place: Place
) -> list[dict[str, Any]]:
    """Search and choose all tasks' paths, or take the given ones, train them by one strategy, then fix and test each.

    Args:
        members: two or more; what their settings say of encoder, grid, search, training and strategy is the same.
        encoder: as the settings say.
        beginning: experts whose layers the shared ones begin from, and change; may be empty.
        place: cache, device and progress.

    Returns:
        The report of each, as written to its `report.json`.
    """
    clock, settings = Clock(), members[0].settings
    # 1. every image through the encoder, once; a place on the grid for each task
    seats: list[Seat] = []
    for member in members:
        seats.append(_seated(member, encoder, beginning, place))
    grids = [one.grid for one in seats]
    tie(grids)
    branches = Branches(grids, [one.bench.task for one in seats], settings.together.shared_layers)
    group = Group(seats, branches, beginning, Kept(members[0].run.checkpoint_dir, _owner(members, encoder, beginning)))
    clock.lap("encode")
    work = max(training_work(one.grid, one.bench.task, settings.training.batch_size) for one in seats)
    threads = choose_threads(work, place.tell, members[0].run.threads())

    # 2. all together, kept with the first run; the probes, each alone
    found = given(group, _given(group)) if settings.path else searched(group, clock)
    unfinished = [one for one in seats if not one.member.run.finished]  # others were, before an interruption
    probes = {}
    place.tell.stage("probes", len(unfinished))
    for done, one in enumerate(unfinished, 1):
        probes[one.member.run] = _probe(one, encoder)
        place.tell.advance(done, one.bench.task)
    clock.lap("train")

    # 3. fix and test each; the first, which has what an interrupted run goes on from, at the end
    about = _about(group, found, beginning)
    begun_from = [(ancestor.expert.facts.task, ancestor.run) for ancestor in beginning.ancestors]
    for one, best in zip(seats, found.best, strict=True):
        if one.member.run.finished:
            _check_expert(one.member.run, best.network)
    for one in unfinished:
        keep_seen(one.features, one.member.run, [earlier for _, earlier in begun_from])
    reports: list[dict[str, Any]] = []
    for number, one in reversed(list(enumerate(seats))):
        task, own, run = one.member
        if run.finished:
            reports.append(run.report())
            forget_trainings(run.checkpoint_dir)  # of the first, which was begun again for the others
            continue
        rivals = {**found.rivals[number], "linear_probe": [("linear probe", probes[run])]}
        ready = Ready(
            task,
            encoder,
            own,
            one.features,
            one.bench,
            one.grid,
            found.states[number],
            found.choices[number],
            found.best[number],
            rivals,
            Heritage(),
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
    search = members[0][1].search
    if not members[0][1].path and members[0][1].together.strategy != "independent" and search.folds > 1:
        raise PathsearchError(
            f"search.folds: expected 1 in a search for several tasks, got {search.folds}; leave it out"
        )
    check_numbers(members[0][1].together, len(members))


def check_shared(members: Sequence[tuple[Task, RunSettings]], encoder: Encoder) -> None:
    """Refuse more layers to share than lead to every head, before anything is encoded."""
    settings = members[0][1]
    blueprint = blueprint_of(encoder.places, settings.grid, encoder.taps)
    common = common_names([blueprint.ending(target_of(task).kind) for task, _ in members])
    if settings.together.shared_layers > len(common):
        raise PathsearchError(
            f"together.shared_layers: expected at most {len(common)}, the layers that lead to every head "
            f"({', '.join(common)}), got {settings.together.shared_layers}; give fewer, or leave it out"
        )


def _seated(member: Member, encoder: Encoder, beginning: Heritage, place: Place) -> Seat:
    """A task's images, and its grid with what earlier experts have learned, free to learn on."""
    task, settings, _ = member
    place.tell.stage("encode", 0)
    training = settings.training
    features = encode(task, encoder, place.cache_dir, training.views, place.tell.count, training.augmentation)
    features = features.asked(training, settings.seed)
    bench = Bench.of(settings, encoder, features, place)
    grid = bench.grid()
    beginning.settle(grid)
    grid.requires_grad_(True)
    return Seat(member, features, bench, grid)


def _given(group: Group) -> list[Path]:
    """The preset's paths: shared layers as the tasks before have them, in all others modules of each one's own."""
    paths: list[Path] = []
    for seat in group.seats:
        blueprint = seat.grid.blueprint
        there: list[Layers] = list(group.beginning.paths(seat.grid).values())
        there += [
            layers_between(other.grid.blueprint, path, blueprint)
            for other, path in zip(group.seats, paths, strict=False)
        ]
        paths.append(path_of(group.settings.path, blueprint, there))
    return paths


def _probe(one: Seat, encoder: Encoder) -> Trained:
    """The linear probe of a task, trained as if it were alone."""
    settings, task, run = one.member.settings, one.member.task, one.member.run
    kept = Kept(run.checkpoint_dir, owner_of(settings.to_dict(), task.fingerprint, encoder.key, []))
    with Trainings(replace(one.bench, tell=Silent()), [], kept, 1) as trainings:
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


def _about(group: Group, found: Outcome, beginning: Heritage) -> Together:
    settings, first = group.settings.together, group.seats[0]
    networks: list[PathNetwork] = [one.network for one in found.best]
    shared = [set(common_layers([one, other])) for one in networks for other in networks if one is not other]
    names = [layer.name for layer in first.grid.blueprint.layers if all(layer.name in one for one in shared)]
    modules = {id(module): module for one in networks for n in range(len(one.layers)) for module in one.modules_of(n)}
    heads = sum(count(one.head) for one in networks)
    common = {id(module): module for name in names for module in networks[0].modules_called(name)}
    own = found.together
    about: Together = {
        "strategy": own.strategy,
        "turns": own.turns if own.strategy == "alternating" else "all in each step",
        "loss_weights": own.loss_weights,
        "runs": {one.bench.task: one.member.run.name for one in group.seats},
        "shared_layers": names,
        "shared_parameters": sum(map(count, common.values())),
        "parameters": heads + sum(map(count, modules.values())),
        "begun_from": [
            {
                "task": ancestor.expert.facts.task,
                "run": ancestor.run.name,
                "layers": list(
                    dict.fromkeys(
                        layer.name
                        for seat, choice in zip(group.seats, found.choices, strict=True)
                        for layer, chosen, there in zip(
                            seat.grid.blueprint.layers,
                            choice.path.layers,
                            beginning.paths(seat.grid)[ancestor.expert.facts.task],
                            strict=True,
                        )
                        if set(chosen) & set(there)
                    )
                ),
            }
            for ancestor in beginning.ancestors
        ],
    }
    if own.loss_weights == "learned":
        about["learned_weights"] = {
            task: one.history[one.best_epoch - 1]["loss_weight"]
            for task, one in zip(group.branches.tasks, found.best, strict=True)
        }
    if found.path is not None:
        about |= {"path": str(found.path), "fitness": settings.fitness}
    return about
