"""From a prepared task to a fixed expert and its report: the steps of `pathsearch evolve`, in order."""

from __future__ import annotations

from typing import Any

import torch

from data_prep.manifest import Task
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode
from pathsearch.experts.finishing import Clock, finish
from pathsearch.experts.heritage import Heritage
from pathsearch.experts.reporting import Ready
from pathsearch.experts.seen import keep_seen
from pathsearch.experts.trainings import Training, Trainings
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import PROBE, Path
from pathsearch.grid.presets import PRESETS, path_of
from pathsearch.run.log_table import write_table
from pathsearch.run.place import Place
from pathsearch.run.runs import Run
from pathsearch.run.sealed import owner_of
from pathsearch.run.settings import RunSettings
from pathsearch.run.threads import choose_threads, keeps_threads
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
    clock, tell = Clock(), place.tell
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

    # 5. fix the expert, test it and its baselines once, and seal the run
    ready = Ready(task, encoder, settings, features, bench, grid, state, choice, best, rivals, heritage)
    keep_seen(features, run)
    return finish(ready, run, clock, threads)


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
