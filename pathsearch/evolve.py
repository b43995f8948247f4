"""From a prepared task to a fixed expert and its report: the steps of `pathsearch evolve`, in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import torch

from data_prep.manifest import Task
from data_prep.whole_files import write_json
from pathsearch import baselines
from pathsearch.choice import choose_path
from pathsearch.config import RunSettings, TrainingSettings
from pathsearch.decision import fix_threshold
from pathsearch.encoder import Encoder
from pathsearch.expert import Expert, ExpertFacts
from pathsearch.features import Split, encode
from pathsearch.finalists import finalists
from pathsearch.fitness import Evaluator, SharedWeights
from pathsearch.folds import labels_scored
from pathsearch.fresh import FreshWeights
from pathsearch.grid import Grid, PathNetwork
from pathsearch.heritage import Heritage
from pathsearch.kept import Kept, forget_trainings
from pathsearch.path import Path
from pathsearch.plugins import plugins_of
from pathsearch.reporting import Outcome, report
from pathsearch.router import Territory
from pathsearch.runs import Run, write_table
from pathsearch.sealed import owner_of
from pathsearch.search import SearchState, search
from pathsearch.teller import Teller
from pathsearch.training import Trained


def evolve(
    task: Task,
    encoder: Encoder,
    settings: RunSettings,
    run: Run,
    cache_dir: FilePath,
    heritage: Heritage,
    device: torch.device,
    tell: Teller,
) -> dict[str, Any]:
    """Search, choose, train, fix and at the very end test one task's path.

    Args:
        task: prepared data.
        encoder: as the settings say.
        settings: everything that decides the outcome.
        run: opened; what it holds of an interrupted search is gone on with.
        cache_dir: of the encoded features.
        heritage: earlier experts of the grid that this run starts on; may be empty.
        device: of the grid; features are kept on the CPU.
        tell: progress.

    Returns:
        The report, as written to `report.json`.
    """
    seconds: dict[str, float] = {}
    clock = _Clock(seconds)
    # 1. every image through the encoder, once; only training and validation labels from here on
    tell.stage("encode", 0)
    features = encode(task, encoder, cache_dir, settings.training.views, tell.count)
    features = features.limited(settings.training.images_per_class, settings.seed)
    training, validation = features.train(), features.validation()
    clock.lap("encode")

    # 2. a grid with the task's head, and the modules of earlier experts fixed in their places
    grid = Grid(encoder.feature_shape, settings.grid, settings.seed, encoder.taps)
    heritage.settle(grid)
    grid.add_head(task.name, len(task.classes))
    start = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    grid.to(device)

    # 3. the search; kept every generation
    way = SharedWeights if settings.search.weights == "shared" else FreshWeights
    evaluator: Evaluator = way(grid, task.name, training, validation, settings.search, settings.seed)

    def size_of(path: Path) -> int:
        return grid.count_parameters(path, task.name)

    ancestors = [ancestor.sha256 for ancestor in heritage.ancestors]
    kept = Kept(run.checkpoint_dir, owner_of(settings.to_dict(), task.fingerprint, encoder.key, ancestors))
    state = _search(evaluator, grid, settings, run, kept, size_of, tell)
    clock.lap("search")

    # 4. finalists of different sizes, each trained alone from the same initial weights; the smallest good one wins.
    # Every training is kept as soon as it is finished, and only read back if the run was interrupted after it
    scored = labels_scored(settings.search, training, validation)
    candidates = finalists(evaluator, state, size_of, settings, scored)
    grid.load_state_dict(start)
    number, recipes = settings.training.random_paths, settings.search.recipes
    others = baselines.random_paths(grid, number, settings.seed, recipes)
    tell.stage("train", len(candidates) + 1 + len(others) + 2)
    done = 0

    def once(label: str, of: str, untrained: Callable[[], PathNetwork], make: Callable[[], Trained]) -> Trained:
        nonlocal done
        tell.advance(done, label)
        done += 1
        return kept.training(done, f"{label}, {of}", untrained, make)

    def train_alone(path: Path, label: str, last: TrainingSettings = settings.training) -> Trained:
        return once(
            label,
            str(path),
            lambda: grid.network(path, task.name),
            lambda: baselines.train_path(grid, task.name, path, training, validation, last, settings.seed),
        )

    without_refit = replace(settings, training=replace(settings.training, refit=False))
    choice = choose_path(grid, task.name, candidates, training, validation, without_refit, train_alone)
    path = choice.path
    best = once(
        "refit",
        str(path),
        lambda: grid.network(path, task.name),
        lambda: baselines.refit_path(
            choice.best, grid, task.name, path, training, validation, settings.training, settings.seed
        ),
    )
    choice = replace(choice, best=best)
    clock.lap("finalists")

    # 5. the baselines, trained the same way
    rivals: dict[str, list[tuple[str, Trained]]] = {
        "random_path": [(str(other), train_alone(other, "random paths")) for other in others],
        "full_grid": [("full grid", train_alone(grid.space.full_path(), "full grid"))],
    }
    n_classes = len(task.classes)
    probe = once(
        "linear probe",
        "all features",
        lambda: baselines.probe_network(grid, n_classes, settings.seed),
        lambda: baselines.linear_probe(grid, n_classes, training, validation, settings.training, settings.seed),
    )
    rivals["linear_probe"] = [("linear probe", probe)]
    clock.lap("baselines")

    # 6. fix the expert: path, weights, threshold, router statistics; nothing may change after this line
    expert = _fix(task, encoder, settings, run, grid, path, best, training.standardise, validation)
    write_table(run.training_file, best.history)
    _write_path(run, grid, path, task, heritage)
    Territory.fit(training.pooled(), training.labels, validation.pooled()).save(run.router_file)
    clock.lap("fix")

    # 7. the test images, read once, for the expert and its baselines
    tell.stage("test", 0)
    outcome = Outcome(task, encoder, settings, features, grid, state, choice, rivals, expert, heritage)
    result = report(outcome)
    result["earlier_experts"] = heritage.verify(grid, validation)
    clock.lap("test")
    result["seconds"] = {**seconds, "search_generations": sum(row["seconds"] for row in state.log)}
    result["seconds"]["total"] = sum(seconds.values())
    write_json(run.report_file, result)
    # 8. digests of all files, which finish the run; what it would have gone on from is needed no longer
    run.seal()
    forget_trainings(run.checkpoint_dir)
    return result


class _Clock:
    """Wall time of each stage, in seconds."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.last = seconds, time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self.last = now - self.last, now


def _search(
    evaluator: Evaluator,
    grid: Grid,
    settings: RunSettings,
    run: Run,
    kept: Kept,
    size_of: Callable[[Path], int],
    tell: Teller,
) -> SearchState:
    saved = kept.generation()
    state = None
    if saved:
        state = SearchState(**saved[0])
        evaluator.load_state(saved[1])
    tell.stage("search", settings.search.generations)

    def on_generation(state: SearchState) -> None:
        kept.save_generation(state.to_dict(), evaluator.state())
        write_table(run.log_file, state.log)
        row = state.log[-1]
        tell.advance(len(state.log), f"best {row['best']:.4f}  mean {row['mean']:.4f}  {row['best_path']}")

    if state:  # a kill may have come between the generation and its log
        write_table(run.log_file, state.log)
        tell.advance(len(state.log), "resumed")
    first = grid.rungs(settings.search.rungs)
    return search(evaluator, grid.space, settings.search, settings.seed, size_of, state, on_generation, first)


def _fix(
    task: Task,
    encoder: Encoder,
    settings: RunSettings,
    run: Run,
    grid: Grid,
    path: Path,
    best: Trained,
    standardise: Any,
    validation: Split,
) -> Expert:
    probabilities = best.log_p.double().exp().numpy()
    facts = ExpertFacts(
        task=task.name,
        classes=list(task.classes),
        path=str(path),
        specifications=[[grid.specifications[n][i] for i in layer] for n, layer in enumerate(path.layers)],
        shapes=[list(shape) for shape in grid.shapes],
        encoder=encoder.identity,
        threshold=fix_threshold(settings.training.threshold, validation.labels.numpy(), probabilities),
        split=task.split_name,
        seed=settings.seed,
        plugins=plugins_of(grid.specifications[n][i] for n, layer in enumerate(path.layers) for i in layer),
    )
    grid.adopt(best.network, path, task.name)
    expert = Expert(facts, best.network.cpu(), standardise)
    expert.save(run.expert_file)
    return Expert.load(run.expert_file)  # what is tested is what is on disk


def _write_path(run: Run, grid: Grid, path: Path, task: Task, heritage: Heritage) -> None:
    write_json(
        run.path_file,
        {
            "task": task.name,
            "classes": list(task.classes),
            "path": str(path),
            "layers": path.layers,
            "modules": grid.specifications,
            "module_parameters": grid.module_parameters(),
            "frozen": heritage.occupied(grid),
            "paths": {name: one.layers for name, one in {**heritage.paths(), task.name: path}.items()},
            "parameters": grid.count_parameters(path, task.name),
            "full_grid_parameters": grid.count_parameters(grid.space.full_path(), task.name),
        },
    )
