"""From a prepared task to a fixed expert and its report: the steps of `pathsearch evolve`, in order."""

from __future__ import annotations

import time
from typing import Any

import torch

from data_prep.manifest import Task
from data_prep.whole_files import write_json
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode
from pathsearch.experts.expert import Expert, ExpertFacts
from pathsearch.experts.heritage import Heritage
from pathsearch.experts.reporting import Outcome, report
from pathsearch.experts.router import Territory
from pathsearch.experts.trainings import Training, Trainings
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import PROBE, Path
from pathsearch.grid.plugins import plugins_of
from pathsearch.grid.presets import PRESETS, path_of
from pathsearch.run.log_table import write_table
from pathsearch.run.place import Place
from pathsearch.run.runs import Run, forget_trainings
from pathsearch.run.sealed import owner_of
from pathsearch.run.settings import RunSettings
from pathsearch.run.threads import choose_threads, keeps_threads
from pathsearch.search.choice import Choice
from pathsearch.search.finalists import finalists
from pathsearch.search.search import Ground, SearchState, search
from pathsearch.training import baselines
from pathsearch.training.bench import Bench
from pathsearch.training.cost import training_work
from pathsearch.training.fitness import Evaluator
from pathsearch.training.fresh import evaluator
from pathsearch.training.kept import Kept


@keeps_threads()
def evolve(
    task: Task, encoder: Encoder, settings: RunSettings, run: Run, heritage: Heritage, place: Place
) -> dict[str, Any]:
    """Search, choose, train, fix and at the very end test one task's path, or all but search and choose a given one.

    Args:
        task: prepared data.
        encoder: as the settings say.
        settings: everything that decides the outcome.
        run: opened; what it holds of an interrupted search is gone on with.
        heritage: earlier experts of the grid that this run starts on; may be empty.
        place: cache, device and progress.

    Returns:
        The report, as written to `report.json`.
    """
    seconds: dict[str, float] = {}
    clock, tell = _Clock(seconds), place.tell
    # 1. every image through the encoder, once; only training and validation labels from here on
    tell.stage("encode", 0)
    features = encode(
        task, encoder, place.cache_dir, settings.training.views, tell.count, settings.training.augmentation
    )
    features = features.asked(settings.training, settings.seed)
    bench = Bench.of(settings, encoder, features, place)
    clock.lap("encode")

    # 2. a grid with the task's head, and the modules of earlier experts fixed in their places
    grid = bench.grid()
    heritage.settle(grid)
    start = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    cores = torch.get_num_threads()
    work = training_work(grid, task.name, settings.training.batch_size)
    threads = choose_threads(work, tell, run.threads())

    # 3. the search, unless a path is given; kept every generation
    given = _given(settings, grid, heritage)
    ancestors = [ancestor.sha256 for ancestor in heritage.ancestors]
    kept = Kept(run.checkpoint_dir, owner_of(settings.to_dict(), task.fingerprint, encoder.key, ancestors))
    scorer = evaluator(bench, grid)
    ground = Ground.of(grid, task.name, settings.search.rungs)
    with Trainings(bench, heritage.files(), kept, cores if threads == 1 else 1) as trainings:
        # the baselines wait for nothing that the search finds
        beside = {} if given else _baselines(bench, grid, trainings)
        is_finalist = settings.training.probe and not given  # the probe, which is a path of every space
        probe = trainings.candidate(PROBE, "linear probe", judged=is_finalist)
        trainings.begin()
        state = SearchState([]) if given else _search(bench, ground, scorer, run, kept, trainings)
        clock.lap("search")

        # 4. finalists of different sizes, each trained alone from the same initial weights as the baselines, and in
        # parts where validation is small; the smallest good one wins
        several = [given] if given else finalists(bench, ground, scorer, state)
        grid.load_state_dict(start)
        evolved = [trainings.candidate(path, settings.path or f"finalist {path}") for path in several]
        tell.stage("train", len(trainings.asked) + 2 * settings.training.refit)
        trainings.carry_out()
        candidates = [probe, *evolved] if is_finalist else evolved
        choice = trainings.choose(candidates)
        last = {one.path: one.alone for one in (probe, candidates[choice.chosen])}  # often the same
        fixed = {path: trainings.refit(alone) for path, alone in last.items()}
        tell.count(trainings.finished, len(trainings.asked))
        trainings.carry_out()
        best = fixed[choice.path].trained()
        beside["linear_probe"] = [("linear probe", fixed[PROBE])]
    rivals = {name: [(label, one.trained()) for label, one in several] for name, several in beside.items()}
    clock.lap("train")

    # 5. fix the expert: path, weights, threshold, router statistics; nothing may change after this line
    if not choice.path.is_probe:
        grid.adopt(best.network, choice.path, task.name)
    facts = _facts(bench, grid, choice, task, encoder)
    Expert(facts, best.network.cpu(), bench.training.standardise).save(run.expert_file)
    expert = Expert.load(run.expert_file)  # what is tested is what is on disk
    write_table(run.training_file, best.history)
    _write_path(run, grid, choice, task, heritage)
    strata = torch.from_numpy(bench.target.strata(bench.training.truth))
    Territory.fit(bench.training.pooled(), strata, bench.validation.pooled()).save(run.router_file)
    clock.lap("fix")

    # 6. the test images, read once, for the expert and its baselines
    tell.stage("test", 0)
    outcome = Outcome(task, encoder, settings, features, grid, state, choice, rivals, expert, heritage)
    result = report(outcome, run.answers_file)
    result["threads"] = threads
    result["earlier_experts"] = heritage.verify(grid, bench.validation)
    clock.lap("test")
    result["seconds"] = {**seconds, "search_generations": sum(row["seconds"] for row in state.log)}
    result["seconds"]["total"] = sum(seconds.values())
    write_json(run.report_file, result)
    # 7. digests of all files, which finish the run; what it would have gone on from is needed no longer
    run.seal()
    forget_trainings(run.checkpoint_dir)
    return result


def _given(settings: RunSettings, grid: Grid, heritage: Heritage) -> Path | None:
    """The path that is trained without a search, if one is."""
    if not settings.path:
        return None
    if settings.path in PRESETS:
        return path_of(settings.path, grid.blueprint, list(heritage.paths(grid).values()))
    return grid.space.check(Path.parse(settings.path))


def _baselines(bench: Bench, grid: Grid, trainings: Trainings) -> dict[str, list[tuple[str, Training]]]:
    """What a search is measured against, but for the probe, as trainings by name."""
    drawn = baselines.random_paths(grid, bench.last.random_paths, bench.seed, bench.search.recipes)
    return {
        "random_path": [(str(path), trainings.whole(path, "random paths")) for path in drawn],
        "full_grid": [("full grid", trainings.whole(grid.space.full_path(), "full grid"))],
    }


class _Clock:
    """Wall time of each stage, in seconds."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.last = seconds, time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self.last = now - self.last, now


def _search(bench: Bench, ground: Ground, scorer: Evaluator, run: Run, kept: Kept, trainings: Trainings) -> SearchState:
    saved, tell = kept.generation(), bench.tell
    state = None
    if saved:
        state = SearchState(**saved[0])
        scorer.load_state(saved[1])
    tell.stage("search", bench.search.generations)

    def on_generation(state: SearchState) -> None:
        kept.save_generation(state.to_dict(), scorer.state())
        write_table(run.log_file, state.log)
        row = state.log[-1]
        tell.advance(len(state.log), f"best {row['best']:.4f}  mean {row['mean']:.4f}  {row['best_path']}")
        trainings.check()  # of the baselines beside it; this generation is kept

    if state:  # a kill may have come between the generation and its log
        write_table(run.log_file, state.log)
        tell.advance(len(state.log), "resumed")
    return search(scorer, ground, bench.search, bench.seed, state, on_generation)


def _facts(bench: Bench, grid: Grid, choice: Choice, task: Task, encoder: Encoder) -> ExpertFacts:
    path = choice.path
    specifications = [[grid.specifications[n][i] for i in layer] for n, layer in enumerate(path.layers)]
    return ExpertFacts(
        task=task.name,
        classes=list(bench.target.names),
        path=str(path),
        specifications=specifications,
        shapes=[list(shape) for shape in (grid.shapes[:1] if path.is_probe else grid.shapes)],
        wiring=None if path.is_probe else grid.blueprint.wiring,
        encoder=encoder.identity,
        threshold=bench.target.fix(bench.last.threshold, choice.best.said, bench.validation.truth),
        split=task.split_name,
        seed=bench.seed,
        plugins=plugins_of(
            (one for layer in specifications for one in layer), bench.target.kind, encoder.settings.name
        ),
        target=bench.target.kind,
    )


def _write_path(run: Run, grid: Grid, choice: Choice, task: Task, heritage: Heritage) -> None:
    layers, blueprint = choice.path.over(len(grid.layers)), grid.blueprint
    write_json(
        run.path_file,
        {
            "task": task.name,
            "classes": list(task.classes),
            "path": str(choice.path),
            "layers": layers,
            "modules": grid.specifications,
            **({"reads": [(layer.name, layer.reads) for layer in blueprint.layers]} if blueprint.wiring else {}),
            "module_parameters": grid.module_parameters(),
            "frozen": heritage.occupied(grid),
            "paths": {**heritage.paths(grid), task.name: layers},
            "parameters": choice.sizes[choice.chosen],
            "full_grid_parameters": grid.count_parameters(grid.space.full_path(), task.name),
        },
    )
