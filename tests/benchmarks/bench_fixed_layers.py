"""A training on layers down that are fixed: what these put out computed once, against in every epoch.

    python -m tests.benchmarks.bench_fixed_layers [--images 400] [--side 64] [--epochs 5]

What is printed is the ratio of their processor seconds, the one pass and validation included, and the largest
difference between their weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from pathsearch.encoders.split import Split, Standardiser
from pathsearch.grid.path import Path
from pathsearch.grid.presets import PRESETS
from pathsearch.run.settings import GridSettings, RunSettings, with_settings
from pathsearch.targets.target import make_target
from pathsearch.training.baselines import train_path
from pathsearch.training.bench import Bench
from pathsearch.training.last_training import Trained
from tests.benchmarks.table import device, publish

TRUTH: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "class": lambda rng, n, side: rng.integers(0, 2, n),
    "mask": lambda rng, n, side: rng.integers(0, 2, (n, side, side), dtype=np.uint8),
}


def bench(kind: str, blueprint: str, n: int, side: int, epochs: int) -> Bench:
    """Of noise, trained as the preset says but for its epochs, of one view."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    parts = np.split(np.arange(n), [4 * n // 5])
    standardise = Standardiser.fit(pixels, parts[0])
    training, validation = (
        Split(name, torch.from_numpy(TRUTH[kind](rng, len(rows), side)), (pixels,), (rows,), standardise)
        for name, rows in zip(("train", "val"), parts, strict=True)
    )
    own = {"training.epochs": epochs, "training.patience": epochs, "training.views": 1, "training.refit": False}
    settings = with_settings(RunSettings("bench", "random"), [], None, {**PRESETS[blueprint].settings, **own})
    settings = replace(settings, grid=GridSettings(modules=blueprint, n_modules=1, max_active=1))
    places = {"pixels": pixels.shape[1:]}
    target = make_target(kind, ["a", "b"])
    return Bench(settings, target, pixels.shape[1:], training, validation, device=device(), places=places)


def trained(of: Bench) -> tuple[float, Trained]:
    """Processor seconds of a training whose layers down are fixed, and what came of it."""
    grid = of.grid()
    for number, layer in enumerate(grid.blueprint.layers):
        if layer.name.startswith("down"):
            grid.module(number, 0).requires_grad_(False)
    began = time.process_time()
    found = train_path(of, grid, Path.of([[0]] * len(grid.layers)))
    return time.process_time() - began, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for blueprint in ("ums-rep", "unet"):
        for kind in TRUTH:
            of = bench(kind, blueprint, asked.images, asked.side, asked.epochs)
            with TemporaryDirectory() as folder:
                every, once = (trained(one) for one in (of, replace(of, scratch=FilePath(folder))))
            weights = [one[1].network.state_dict() for one in (every, once)]
            apart = max((weights[0][name] - weights[1][name]).abs().max().item() for name in weights[0])
            row = {"blueprint": blueprint, "target": kind, "s, every epoch": every[0], "s, once": once[0]}
            rows.append({**row, "ratio": every[0] / once[0], "weights apart": apart})
    publish("fixed_layers", rows, {"images": asked.images, "side": asked.side, "epochs": asked.epochs})


if __name__ == "__main__":
    main()
