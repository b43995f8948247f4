"""From a prepared task to a fixed expert and its report: the steps of `pathsearch evolve`, in order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_prep.manifest import Task
from data_prep.whole_files import write_json
from pathsearch import baselines, metrics
from pathsearch.config import RunSettings
from pathsearch.decision import decide, fix_threshold
from pathsearch.encoder import Encoder
from pathsearch.expert import Expert, ExpertFacts
from pathsearch.features import AUGMENTATION, Features, Split, encode
from pathsearch.fitness import Evaluator, FreshWeights, SharedWeights, log_probabilities
from pathsearch.grid import Grid, count
from pathsearch.heritage import Heritage
from pathsearch.path import Path
from pathsearch.router import Territory
from pathsearch.runs import Run, write_table
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
    training, validation = features.train(), features.validation()
    clock.lap("encode")

    # 2. a grid with the task's head, and the modules of earlier experts fixed in their places
    grid = Grid(encoder.feature_shape, settings.grid, settings.seed)
    heritage.settle(grid)
    grid.add_head(task.name, len(task.classes))
    start = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    grid.to(device)

    # 3. the search; saved every generation
    way = SharedWeights if settings.search.weights == "shared" else FreshWeights
    evaluator: Evaluator = way(grid, task.name, training, validation, settings.search, settings.seed)

    def size_of(path: Path) -> int:
        return grid.count_parameters(path, task.name)

    state = _search(evaluator, grid, settings, run, size_of, tell)
    clock.lap("search")

    # 4. finalists of different sizes, each trained alone from the same initial weights; the smallest good one wins
    candidates = finalists(evaluator, state, size_of, settings, len(validation))
    grid.load_state_dict(start)
    others = baselines.random_paths(grid, settings.training.random_paths, settings.seed)
    tell.stage("train", len(candidates) + len(others) + 2)
    trained: dict[str, Trained] = {}

    def train_alone(path: Path, label: str) -> Trained:
        tell.advance(len(trained), label)
        if str(path) not in trained:
            trained[str(path)] = baselines.train_path(
                grid, task.name, path, training, validation, settings.training, settings.seed
            )
        return trained[str(path)]

    results = [train_alone(path, f"finalist {path}") for path in candidates]
    chosen = choose_smallest([r.accuracy for r in results], [size_of(p) for p in candidates], len(validation))
    clock.lap("finalists")

    # 5. the baselines, trained the same way
    rivals: dict[str, list[tuple[str, Trained]]] = {
        "random_path": [(str(path), train_alone(path, "random paths")) for path in others],
        "full_grid": [("full grid", train_alone(grid.space.full_path(), "full grid"))],
    }
    tell.advance(len(trained), "linear probe")
    probe = baselines.linear_probe(grid, len(task.classes), training, validation, settings.training, settings.seed)
    rivals["linear_probe"] = [("linear probe", probe)]
    clock.lap("baselines")

    # 6. fix the expert: path, weights, threshold, router statistics; nothing may change after this line
    path, best = candidates[chosen], results[chosen]
    expert = _fix(task, encoder, settings, run, grid, path, best, training.standardise, validation)
    write_table(run.training_file, best.history)
    _write_path(run, grid, path, task, heritage)
    Territory.fit(training.pooled(), training.labels, validation.pooled()).save(run.router_file)
    clock.lap("fix")

    # 7. the test images, read once
    tell.stage("test", 0)
    test = features.test()
    report = _report(task, encoder, settings, features, grid, path, expert)
    report["validation"] = _assess(best.log_p.double().exp().numpy(), validation, expert.facts.threshold, task)
    report["test"] = _assess(_expert_probabilities(expert, test), test, expert.facts.threshold, task)
    report["baselines"] = {
        name: _baseline(several, settings, validation, test, task) for name, several in sorted(rivals.items())
    }
    report["finalists"] = [
        {
            "path": str(candidate),
            "parameters": size_of(candidate),
            "validation_accuracy": result.accuracy,
            "validation_log_likelihood": result.log_likelihood,
            "standard_error": standard_error(result.accuracy, len(validation)),
            "chosen": i == chosen,
        }
        for i, (candidate, result) in enumerate(zip(candidates, results, strict=True))
    ]
    report["verdict"] = verdict(report)
    report["search"] = {
        "stopped": state.stopped,
        "generations": len(state.log),
        "paths_visited": len(state.visited),
    }
    report["earlier_experts"] = heritage.verify(grid, validation)
    clock.lap("test")
    report["seconds"] = {**seconds, "search_generations": sum(row["seconds"] for row in state.log)}
    report["seconds"]["total"] = sum(seconds.values())
    write_json(run.report_file, report)
    return report


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
    size_of: Callable[[Path], int],
    tell: Teller,
) -> SearchState:
    saved = run.load_checkpoint()
    state = None
    if saved:
        state = SearchState(**saved[0])
        evaluator.load_state(saved[1])
    tell.stage("search", settings.search.generations)

    def on_generation(state: SearchState) -> None:
        run.save_checkpoint(state.to_dict(), evaluator.state())
        write_table(run.log_file, state.log)
        row = state.log[-1]
        tell.advance(len(state.log), f"best {row['best']:.4f}  mean {row['mean']:.4f}  {row['best_path']}")

    if state:  # a kill may have come between the checkpoint and the log
        write_table(run.log_file, state.log)
        tell.advance(len(state.log), "resumed")
    return search(evaluator, grid.space, settings.search, settings.seed, size_of, state, on_generation)


def standard_error(rate: float, n: int) -> float:
    """Standard error of a rate over n images."""
    return math.sqrt(rate * (1 - rate) / n)


def finalists(
    evaluator: Evaluator, state: SearchState, size_of: Callable[[Path], int], settings: RunSettings, n: int
) -> list[Path]:
    """A few paths worth training to the end: of rising size, each the best of its size or smaller.

    Every path that the search visited is scored once more with its last weights, in one pass, and so is
    every sub-path of the best ones (under `fresh` weights only what was visited). From the front of fitness
    against size those within two standard errors of the best score are taken, spread evenly over the
    logarithm of the size; where they are too few, the next best of the front.
    """
    pool = [Path.parse(text) for text in state.visited]
    hall = [Path.parse(text) for text in state.hall_of_fame]
    if settings.search.weights == "shared":
        pool += [sub for path in hall[:3] for sub in path.subpaths()]
    pool = list(dict.fromkeys([*hall, *pool]))
    scores = dict(zip(pool, evaluator.score(pool), strict=True))
    front: list[Path] = []
    for path in sorted(pool, key=lambda p: (size_of(p), [-v for v in scores[p]], p)):
        if not front or scores[path] > scores[front[-1]]:
            front.append(path)
    best = scores[front[-1]].score
    near = [path for path in front if scores[path].score >= best - 2 * standard_error(min(best, 1 - 1 / n), n)]
    wanted = settings.training.finalists
    if len(near) > wanted:
        sizes = np.log([size_of(path) for path in near])
        places = np.linspace(sizes[0], sizes[-1], wanted)
        picked = {int(np.abs(sizes - place).argmin()) for place in places} | {len(near) - 1}
        return [near[i] for i in sorted(picked)][-wanted:]
    return front[-wanted:]


def choose_smallest(accuracies: Sequence[float], sizes: Sequence[int], n: int) -> int:
    """Index of the smallest path within one standard error of the best validation accuracy.

    Source: the one-standard-error rule of Breiman et al. 1984, section 3.4.3.
    """
    best = max(accuracies)
    bar = best - standard_error(best, n)
    return min((i for i, a in enumerate(accuracies) if a >= bar), key=lambda i: (sizes[i], -accuracies[i], i))


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
            "parameters": grid.count_parameters(path, task.name),
            "full_grid_parameters": grid.count_parameters(grid.space.full_path(), task.name),
        },
    )


def _report(
    task: Task,
    encoder: Encoder,
    settings: RunSettings,
    features: Features,
    grid: Grid,
    path: Path,
    expert: Expert,
) -> dict[str, Any]:
    full = grid.count_parameters(grid.space.full_path(), task.name)
    views = settings.training.views
    return {
        "task": task.name,
        "split": task.split_name,
        "split_in_words": task.split_in_words,
        "encoder": {**encoder.identity, "key": encoder.key},
        "seed": settings.seed,
        "views": f"{views} a training image" + (f": {AUGMENTATION}" if views > 1 else ""),
        "path": str(path),
        "threshold": {"rule": settings.training.threshold, "value": expert.facts.threshold},
        "images_encoded_now": features.encoded,
        "parameters": {
            "expert": expert.n_parameters(),
            "full_grid": full,
            "share": expert.n_parameters() / full,
        },
    }


def _expert_probabilities(expert: Expert, split: Split) -> np.ndarray:
    """(n, K) from the raw maps, as the joint evaluation asks an expert."""
    parts = torch.arange(len(split)).split(512)
    return np.concatenate([expert.probabilities(split.raw(positions)) for positions in parts])


def _assess(probabilities: np.ndarray, split: Split, threshold: float | None, task: Task) -> dict[str, Any]:
    return metrics.evaluate(split.labels.numpy(), probabilities, task.classes, decide(probabilities, threshold))


def _baseline(
    several: list[tuple[str, Trained]], settings: RunSettings, validation: Split, test: Split, task: Task
) -> dict[str, Any]:
    """One baseline's numbers; for several networks their mean, the spread between them and each one's own."""
    each: list[dict[str, Any]] = []
    for name, trained in several:
        on_validation = trained.log_p.double().exp().numpy()
        threshold = fix_threshold(settings.training.threshold, validation.labels.numpy(), on_validation)
        on_test = _probabilities(trained, test)
        each.append(
            {
                "path": name,
                "parameters": count(trained.network),
                "validation": _assess(on_validation, validation, threshold, task),
                "test": _assess(on_test, test, threshold, task),
            }
        )
    if len(each) == 1:
        return each[0]
    rates = ("accuracy", "balanced_accuracy", "recall", "auc", "log_likelihood")
    summary: dict[str, Any] = {"paths": [one["path"] for one in each], "parameters": None, "each": each}
    if each:
        summary["parameters"] = float(np.mean([one["parameters"] for one in each]))
    for split in ("validation", "test"):
        summary[split] = {"n": each[0][split]["n"] if each else 0}
        for rate in rates:
            values = [one[split][rate] for one in each if one[split][rate] is not None]
            summary[split][rate] = float(np.mean(values)) if values else None
            summary[split][f"{rate}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return summary


def _probabilities(trained: Trained, split: Split) -> np.ndarray:
    log_p: Tensor = log_probabilities(trained.network, split)
    return log_p.double().exp().numpy()


def verdict(report: dict[str, Any]) -> list[str]:
    """Plain sentences on the expert's test accuracy beside each baseline's."""
    own = report["test"]["accuracy"]
    low, high = report["test"]["ci95"]["accuracy"]
    lines = []
    for name, baseline in report["baselines"].items():
        other = baseline["test"]["accuracy"]
        if other is None:
            continue
        words = {
            "linear_probe": "the linear probe",
            "random_path": "the mean random path",
            "full_grid": "the full grid",
        }
        if own > other:
            relation = "beats" if other < low else "is above, but within its interval of,"
        else:
            relation = "does not beat"
        lines.append(
            f"The evolved path {relation} {words[name]} on test: {own:.4f} (95 % {low:.4f} to {high:.4f}) "
            f"against {other:.4f}."
        )
    return lines
