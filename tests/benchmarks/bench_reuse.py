"""Does a grown grid help? Generations and seconds to a validation accuracy, from scratch and beside an earlier expert.

    python -m tests.benchmarks.bench_reuse --data-dir data --tasks ecg pneumonia shenzhen [--seeds 5]
        [--encoder squeezenet1_1 --encoder-weights FILE --image-size 128 --map-size 1]

For every ordered pair A, B of the tasks and every seed, B is searched three times on the same features, with the same
seed of paths and minibatches:

- scratch: on a fresh grid;
- grown: on a grid where the modules on A's path are trained on A and fixed, as `pathsearch evolve --grid` leaves them;
- untrained: on a grid where the same modules are fixed at their initial weights. What `grown` gains over this one is
  due to A's training, and not to there being fewer weights to train.

A generation has few minibatches and there is no warm-up, since small paths on cached features learn in seconds. The
target for B is what `scratch` has reached at a third of its generations, the median over seeds. Only training and
validation images are read. The PathNet paper (Fernando et al. 2017) reports speed-ups of 1.18 to 1.33.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from benches import bench
from scipy.stats import ttest_1samp

from data_prep.manifest import load_task
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode
from pathsearch.encoders.split import Split
from pathsearch.grid.grid import Grid, PathNetwork
from pathsearch.grid.path import Path
from pathsearch.run.settings import EncoderSettings, GridSettings, SearchSettings, TrainingSettings
from pathsearch.search.search import Ground, search
from pathsearch.training import baselines
from pathsearch.training.fitness import SharedWeights
from tests.benchmarks.table import OUT, device, publish

STEPS = 10  # minibatches a generation
WAYS = ("scratch", "grown", "untrained")


@dataclass(frozen=True)
class Subject:
    """A task's training and validation features."""

    name: str
    n_classes: int
    training: Split
    validation: Split


@dataclass(frozen=True)
class Earlier:
    """An expert that a grid carries: of which task, on which path, with which weights."""

    subject: Subject
    path: Path
    trained: PathNetwork
    untrained: PathNetwork


def fresh_grid(encoder: Encoder, seed: int) -> Grid:
    return Grid(encoder.feature_shape, GridSettings(), seed)


def curve(grid: Grid, subject: Subject, settings: SearchSettings, seed: int) -> tuple[list[dict[str, Any]], Path]:
    """Search a task's paths on a grid: the log, a row a generation, and the best path of the last one."""
    grid.add_head(subject.name, subject.n_classes)
    grid.to(device())
    evaluator = SharedWeights(
        bench((subject.training, subject.validation), settings, seed=seed, task=subject.name), grid
    )
    state = search(
        evaluator, Ground(grid.space, lambda path: grid.count_parameters(path, subject.name)), settings, seed
    )
    return state.log, Path.parse(state.hall_of_fame[0])


def expert_of(encoder: Encoder, subject: Subject, path: Path, seed: int, last: TrainingSettings) -> Earlier:
    """Train a found path alone from the grid's initial weights, as `evolve` does."""
    grid = fresh_grid(encoder, seed)
    grid.add_head(subject.name, subject.n_classes)
    grid.to(device())
    untrained = grid.network(path, subject.name)
    best = baselines.train_path(
        bench((subject.training, subject.validation), last=last, seed=seed, task=subject.name), grid, path
    )
    return Earlier(subject, path, best.network.cpu(), untrained.cpu())


def carrying(encoder: Encoder, seed: int, earlier: Earlier, way: str) -> Grid:
    """A grid with an earlier expert's modules fixed in their places, trained or not."""
    grid = fresh_grid(encoder, seed)
    grid.add_head(earlier.subject.name, earlier.subject.n_classes)
    network = earlier.trained if way == "grown" else earlier.untrained
    grid.adopt(network, earlier.path, earlier.subject.name)
    grid.freeze(earlier.path)
    return grid


def best_so_far(log: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.maximum.accumulate([row["best"] for row in log])


def reached(log: Sequence[dict[str, Any]], target: float) -> tuple[float, float]:
    """Generations and seconds to the target; all of them if it was not reached, a bound in the rivals' favour."""
    hits = np.flatnonzero(best_so_far(log) >= target)
    last = int(hits[0]) if len(hits) else len(log) - 1
    return float(last + 1), float(sum(row["seconds"] for row in log[: last + 1]))


def speed_up(scratch: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Geometric mean over seeds of scratch / other, and p of no difference (t-test of the logarithms, paired)."""
    logs = np.log(np.asarray(scratch) / np.asarray(other))
    p = float(ttest_1samp(logs, 0).pvalue) if len(logs) > 1 and np.ptp(logs) > 0 else float("nan")
    return float(np.exp(logs.mean())), p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=FilePath, default=FilePath("data"))
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--generations", type=int, default=30)
    parser.add_argument("--encoder", default="vgg16")
    parser.add_argument("--encoder-weights", default="random")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--map-size", type=int, default=4)
    asked = parser.parse_args()
    about = EncoderSettings(asked.encoder, asked.encoder_weights, asked.image_size, asked.map_size)
    encoder = Encoder(about, device())
    subjects = []
    for name in asked.tasks:
        task = load_task(asked.data_dir, name)
        features = encode(task, encoder, asked.data_dir / "features")
        subjects.append(Subject(name, len(task.classes), features.train(), features.validation()))
    settings = replace(SearchSettings(), generations=asked.generations, steps=STEPS, warmup=0)
    study(encoder, subjects, settings, replace(TrainingSettings(), epochs=10, refit=False), asked.seeds)


def study(
    encoder: Encoder, subjects: list[Subject], settings: SearchSettings, last: TrainingSettings, seeds: int
) -> None:
    logs: dict[str, list[list[dict[str, Any]]]] = {}
    for seed in range(seeds):
        # 1. every task from scratch; the best path becomes its expert
        experts = {}
        for one in subjects:
            log, path = curve(fresh_grid(encoder, seed), one, settings, seed)
            logs.setdefault(f"{one.name} scratch", []).append(log)
            experts[one.name] = expert_of(encoder, one, path, seed, last)
        # 2. every other task on a grid that carries it
        for first, second in permutations(subjects, 2):
            for way in WAYS[1:]:
                grid = carrying(encoder, seed, experts[first.name], way)
                log, _ = curve(grid, second, settings, seed)
                logs.setdefault(f"{second.name} {way} {first.name}", []).append(log)
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "reuse-curves.json").write_text(json.dumps(logs))
        report(encoder, subjects, settings, logs)


def report(
    encoder: Encoder, subjects: list[Subject], settings: SearchSettings, logs: dict[str, list[list[dict[str, Any]]]]
) -> None:
    rows = []
    for first, second in permutations(subjects, 2):
        scratch = logs[f"{second.name} scratch"]
        target = float(np.median([best_so_far(log)[settings.generations // 3 - 1] for log in scratch]))
        base = [reached(log, target) for log in scratch]
        for way in WAYS:
            own = scratch if way == "scratch" else logs[f"{second.name} {way} {first.name}"]
            took = [reached(log, target) for log in own]
            faster, p = speed_up([g for g, _ in base], [g for g, _ in took])
            row = {"first": first.name, "then": second.name, "grid": way, "target": round(target, 4)}
            row |= {"generations": float(np.mean([g for g, _ in took])), "× faster": faster, "p": p}
            row["× in seconds"] = speed_up([s for _, s in base], [s for _, s in took])[0]
            row["best at the end"] = float(np.mean([best_so_far(log)[-1] for log in own]))
            rows.append(row)
    notes = {"seeds": len(scratch), "encoder": encoder.identity, "steps a generation": settings.steps}
    publish("reuse", rows, notes)


if __name__ == "__main__":
    main()
