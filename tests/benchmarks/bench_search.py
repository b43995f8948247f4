"""Cost of a search: growth with images, modules, layers and paths; peak memory, and that it is flat in generations.

    python -m tests.benchmarks.bench_search [--quick]

Features are random numbers of the shape that ECG has through VGG-16 at 64 px (10,725 training and 3,574 validation
images of 512 × 2 × 2, float16, memory-mapped): cost does not depend on what they mean. Every case is a process of its
own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benches import bench

from pathsearch.encoders.split import Split, Standardiser
from pathsearch.grid.grid import Grid
from pathsearch.run.settings import GridSettings, SearchSettings
from pathsearch.search.search import Ground, search
from pathsearch.training.fitness import SharedWeights
from tests.benchmarks.table import device, publish

SHAPE, TRAINING, VALIDATION, CLASSES = (512, 2, 2), 10_725, 3_574, 3


def split(name: str, n: int, folder: Path) -> Split:
    """n random feature maps on disk, with labels that a path can learn."""
    rng = np.random.default_rng(0)
    maps = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float16, shape=(n, *SHAPE))
    for start in range(0, n, 1024):
        block = maps[start : start + 1024]
        block[...] = rng.standard_normal(block.shape, dtype=np.float32)
    maps.flush()
    del maps
    maps = np.load(folder / f"{name}.npy", mmap_mode="r")
    labels = torch.from_numpy((maps[:, :CLASSES, 0, 0].argmax(1)).astype(np.int64))
    return Split(name, labels, (maps,), (np.arange(n),), Standardiser(torch.zeros(SHAPE), torch.ones(SHAPE)))


def one_case(images: int, modules: int, layers: int, paths: int, generations: int) -> dict[str, float]:
    """Median seconds a generation, scoring included, and the peak memory of the process."""
    with tempfile.TemporaryDirectory() as scratch:
        training = split("train", TRAINING * images, Path(scratch))
        validation = split("val", VALIDATION * images, Path(scratch))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        grid = Grid(SHAPE, GridSettings(n_layers=layers, n_modules=modules), 0)
        grid.add_head("bench", "linear", (CLASSES,))
        grid.to(device())
        settings = replace(SearchSettings(), population=paths, generations=generations, warmup=0)
        evaluator = SharedWeights(bench((training, validation), settings, task="bench"), grid)
        started = time.perf_counter()
        state = search(evaluator, Ground(grid.space, lambda path: 0), settings, 0)
        seconds = sorted(row["seconds"] for row in state.log)
    return {
        "s a generation": seconds[len(seconds) // 2],
        "s in all": time.perf_counter() - started,
        "peak memory, GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "before the search, GiB": before / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer cases and generations")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(one_case(**json.loads(asked.case))))
        return
    generations = 3 if asked.quick else 6
    base = {"images": 1, "modules": 10, "layers": 3, "paths": 64, "generations": generations}
    cases = [base, {**base, "generations": 2 * generations}, {**base, "images": 4}, {**base, "modules": 40}]
    if not asked.quick:
        cases += [{**base, "generations": 30}, {**base, "images": 2}, {**base, "modules": 20}]
        cases += [{**base, "layers": 4}, {**base, "layers": 6}, {**base, "paths": 16}, {**base, "paths": 256}]
    rows: list[dict[str, Any]] = []
    for case in cases:
        command = [sys.executable, "-m", "tests.benchmarks.bench_search", "--case", json.dumps(case)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        first = rows[0]["s a generation"] if rows else found["s a generation"]
        rows.append({**case, **found, "times the first": found["s a generation"] / first})
    publish("search", rows)


if __name__ == "__main__":
    main()
