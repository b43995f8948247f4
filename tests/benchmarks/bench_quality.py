"""Seconds until the best path, and until half of the population, reach a validation accuracy: one pass against rivals.

    python -m tests.benchmarks.bench_quality [--quick] [--data-dir data --task ecg] [--target 0.95 …]

The best path says how soon something good is there; a single path on cached features is trained in a second. Half of
the population says how soon paths can be told apart, which is what a search needs.

All ways search the same grid with the same initial weights on the same features of the task (VGG-16 with random weights
at 64 px); without `--task`, on generated ECG records. The rivals are given what they can be given:

- one pass: our search as it is; selection, scoring and planning count.
- sequential: PathNet's tournament of random pairs, each path trained on its own. Its learning rate is the one of four,
  for SGD with momentum and for Adam, that reached the last target first. Only its training counts: the fitness that
  public PathNet code uses is the training accuracy, and our looks at its validation accuracy cost it nothing.
- sequential, no cache: the same, if each minibatch of images had to pass the encoder again. Computed: path-steps until
  the target times the time that the encoder needs for one minibatch, measured in this run.
- TPE, fresh: Optuna's sampler over the same paths, each trained from the initial weights for as many steps as a path
  gets in one of our generations. Only training and scoring count.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import torch
from benches import bench

from data_prep.ecg import prepare_ecg
from data_prep.manifest import Task, load_task
from data_prep.synthetic import write_synthetic_ecg
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import encode
from pathsearch.encoders.split import Split
from pathsearch.encoders.views import load_images
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path, mutate
from pathsearch.run.settings import EncoderSettings, GridSettings, SearchSettings
from pathsearch.run.streams import python_stream
from pathsearch.search.search import Ground, SearchState, search
from pathsearch.training.fitness import SharedWeights
from pathsearch.training.fresh import FreshWeights
from pathsearch.training.sequential import SequentialWeights
from tests.benchmarks.table import device, publish

Curve = list[tuple[float, int, float, float]]  # (seconds, path-steps, validation accuracy: best so far, the median's)
BEST, MEDIAN = 2, 3
RATES = {"SGD": (0.3, 0.1, 0.03, 0.01), "Adam": (1e-2, 3e-3, 1e-3, 3e-4)}


class Bench:
    """One task's features, and a fresh grid for every contestant."""

    def __init__(self, task: Task, encoder: Encoder, cache_dir: FilePath, limit: float) -> None:
        features = encode(task, encoder, cache_dir)
        self.task, self.encoder, self.limit = task, encoder, limit
        self.train: Split = features.train()
        self.validation: Split = features.validation()
        self.settings = SearchSettings()

    def grid(self, seed: int) -> Grid:
        grid = Grid(self.encoder.feature_shape, GridSettings(), seed)
        grid.add_head(self.task.name, len(self.task.classes))
        return grid.to(device())

    def one_pass(self, seed: int, target: float) -> Curve:
        settings = replace(self.settings, target=target, generations=30)
        evaluator = SharedWeights(
            bench((self.train, self.validation), settings, seed=seed, task=self.task.name), self.grid(seed)
        )
        curve: Curve = []
        started = time.perf_counter()

        def note(state: SearchState) -> None:
            steps = settings.population * (settings.warmup + settings.steps * len(state.log))
            best, median = max(row["best"] for row in state.log), state.log[-1]["median"]
            curve.append((time.perf_counter() - started, steps, best, median))

        search(evaluator, Ground(evaluator.grid.space, lambda path: 0), settings, seed, on_generation=note)
        return curve

    def sequential(self, seed: int, target: float, optimiser: str, rate: float) -> Curve:
        evaluator = SequentialWeights(
            bench((self.train, self.validation), self.settings, seed=seed, task=self.task.name), self.grid(seed)
        )
        parameters = evaluator.trainable.values()
        evaluator.optimiser = (  # type: ignore[assignment]
            torch.optim.SGD(parameters, lr=rate, momentum=0.9)
            if optimiser == "SGD"
            else torch.optim.Adam(parameters, lr=rate, fused=True)
        )
        rng = python_stream(seed, "sequential")
        space = evaluator.grid.space
        population = [space.random_path(rng) for _ in range(self.settings.population)]
        curve: Curve = []
        seconds, steps, best, median, pair = 0.0, 0, 0.0, 0.0, 0
        while min(best, median) < target and seconds < self.limit:
            contest = rng.sample(range(len(population)), 2)
            accuracies = []
            for number in contest:
                started = time.perf_counter()
                accuracies.append(evaluator.train([population[number]], pair).accuracy)
                seconds += time.perf_counter() - started
                pair, steps = pair + 1, steps + self.settings.steps
                best = max(best, *(f.score for f in evaluator.score([population[i] for i in contest])))
                curve.append((seconds, steps, best, median))
            win, lose = contest if accuracies[0] >= accuracies[1] else contest[::-1]
            population[lose] = mutate(population[win], space, rng)
            if pair % 16 == 0:
                median = statistics.median(f.score for f in evaluator.score(population))
        return curve

    def tpe(self, seed: int, target: float) -> Curve:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        evaluator = FreshWeights(
            bench((self.train, self.validation), self.settings, seed=seed, task=self.task.name), self.grid(seed)
        )
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        modules = evaluator.grid.settings.n_modules
        curve: Curve = []
        seconds, best = 0.0, 0.0
        while best < target and seconds < self.limit:
            trial = study.ask()
            layers = []
            for n in range(evaluator.grid.settings.n_layers):  # the first of a layer is always there, others may not
                picked = [trial.suggest_categorical(f"{n}.0", list(range(modules)))]
                picked += [trial.suggest_categorical(f"{n}.{k}", [None, *range(modules)]) for k in (1, 2)]
                layers.append(tuple(sorted({one for one in picked if one is not None})))
            started = time.perf_counter()
            fitness = evaluator.score([Path(tuple(layers))])[0]
            seconds += time.perf_counter() - started
            study.tell(trial, fitness.score)
            best = max(best, fitness.score)
            curve.append((seconds, self.settings.steps * len(curve) + self.settings.steps, best, 0.0))
        return curve

    def encoder_seconds(self) -> float:
        """Seconds of the encoder for one minibatch of decoded images."""
        images = load_images(self.task.files()[: self.settings.batch_size], self.encoder.settings.image_size)
        self.encoder(images)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            self.encoder(images)
            times.append(time.perf_counter() - started)
        return statistics.median(times)


def reached(curve: Curve, target: float, what: int) -> tuple[float, int] | None:
    """Seconds and path-steps until `what` came to the target; None if it never did."""
    return next(((row[0], row[1]) for row in curve if row[what] >= target), None)


def best_of(curves: Sequence[tuple[str, Curve]], target: float) -> tuple[str, Curve]:
    def key(item: tuple[str, Curve]) -> tuple[float, float]:
        found = reached(item[1], target, BEST)
        return (found[0] if found else float("inf"), -item[1][-1][BEST])

    return min(curves, key=key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, two rates")
    parser.add_argument("--data-dir", type=FilePath, default=FilePath("data"))
    parser.add_argument("--task", help="a prepared task; generated ECG by default")
    parser.add_argument("--target", type=float, nargs="+", default=[0.95, 0.98, 0.99])
    parser.add_argument("--limit", type=float, default=120, help="seconds that a rival gets")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if asked.task:
            task, cache = load_task(asked.data_dir, asked.task), asked.data_dir / "features"
        else:
            write_synthetic_ecg(FilePath(scratch) / "raw")
            task = prepare_ecg(FilePath(scratch) / "raw", FilePath(scratch) / "data", image_size=64)
            cache = FilePath(scratch) / "data" / "features"
        bench = Bench(task, Encoder(EncoderSettings("vgg16", "random", 64), device()), cache, asked.limit)
        run(bench, sorted(asked.target), (0,) if asked.quick else (0, 1, 2), 2 if asked.quick else 4)


def run(bench: Bench, targets: list[float], seeds: Sequence[int], n_rates: int) -> None:
    last = targets[-1]
    ways: dict[str, Callable[[int], Curve]] = {
        "one pass": lambda seed: bench.one_pass(seed, last),
        "TPE, fresh": lambda seed: bench.tpe(seed, last),
    }
    for optimiser, rates in RATES.items():
        tried = [
            (f"sequential, {optimiser} {rate}", bench.sequential(0, last, optimiser, rate))
            for rate in rates[:: 4 // n_rates]
        ]
        name, _ = best_of(tried, last)
        rate = float(name.rsplit(" ", 1)[1])
        ways[name] = lambda seed, o=optimiser, r=rate: bench.sequential(seed, last, o, r)  # type: ignore[misc]
    curves = {name: [way(seed) for seed in seeds] for name, way in ways.items()}
    encoding = bench.encoder_seconds()
    rows: list[dict[str, Any]] = []
    for what, called in ((BEST, "best path"), (MEDIAN, "half of them")):
        own: dict[float, float | None] = {}
        for name, each in curves.items():
            if what == MEDIAN and name.startswith("TPE"):
                continue  # it has no population
            for cached in (True, False) if name.startswith("sequential") else (True,):
                row: dict[str, Any] = {"who": called, "way": name if cached else f"{name}, no cache"}
                for target in targets:
                    found = [reached(curve, target, what) for curve in each]
                    seconds = [f[0] + (0 if cached else f[1] * encoding) for f in found if f]
                    median = statistics.median(seconds) if len(seconds) == len(each) else None
                    base = own.setdefault(target, median)  # the one pass comes first
                    row[f"s to {target}"] = median if median is not None else f"{len(seconds)} of {len(each)} seeds"
                    row[f"× {target}"] = median / base if median and base else "–"
                row["at the end"] = statistics.mean(curve[-1][what] for curve in each)
                rows.append(row)
    publish(
        "quality",
        rows,
        notes={
            "task": f"{bench.task.name}, {bench.task.split_name} split, {len(bench.train)} training and "
            f"{len(bench.validation)} validation images",
            "seeds": ", ".join(map(str, seeds)),
            "encoder, s a minibatch": encoding,
            "rivals stopped after, s": bench.limit,
        },
    )


if __name__ == "__main__":
    main()
