"""Small tasks with masks, and networks from pixels on them: what tests of dense answers share."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command_world import Finished, pathsearch
from PIL import Image
from small_world import scratch

from data_prep.manifest import Task, load_task, save_task
from pathsearch.run.runs import Run

SIDE = 32  # pixels: the least that blueprints from pixels halve four times
NAMES = ["background", "disc"]
QUICK = ("grid.n_modules=2", "training.epochs=3", "training.batch_size=8")


def draw_disc(kind: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc, small (0) or large (1), on noise, and its mask of 0 and 255."""
    radius = rng.uniform(3, 5) if kind == 0 else rng.uniform(7, 9)
    y, x = np.mgrid[:SIDE, :SIDE]
    cy, cx = rng.uniform(10, SIDE - 10, 2)
    inside = (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
    image = 60 + 120 * inside + 20 * rng.normal(size=(SIDE, SIDE))
    return np.clip(image, 0, 255).astype(np.uint8), np.where(inside, 255, 0).astype(np.uint8)


def prepare_discs(data_dir: Path, name: str = "discs", n: int = 40, target: str = "mask", blank: int = 0) -> Task:
    """A task of n discs with classes and masks; the first `blank` training images have no mask."""
    rng, folder, rows = np.random.default_rng(n), data_dir / name, []
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(n):
        image, mask = draw_disc(number % 2, rng)
        file = f"{number:03d}.png"
        Image.fromarray(image).save(folder / "images" / file)
        Image.fromarray(mask).save(folder / "masks" / file)
        split = ("train", "train", "train", "val", "test")[number % 5]
        there = "" if number < blank and split == "train" else f"masks/{file}"
        rows.append([f"images/{file}", ("small", "large")[number % 2], split, "", there])
    for row in rows:
        if not row[4]:
            (folder / "masks" / Path(row[0]).name).unlink()
    return save_task(
        folder,
        name=name,
        classes=["small", "large"],
        table=pd.DataFrame(rows, columns=["file", "label", "split", "group", "mask"]),
        split={"name": "random", "words": "every fifth image tests"},
        source="drawn",
        licence="none",
        options={"image_size": SIDE},
        notes=[],
        target=target,
        masks={"names": NAMES, "levels": [0, 255]},
    )


@functools.cache
def dense_data() -> Path:
    """`discs`, which asks for masks, and `sizes`, other discs, which asks for their class."""
    folder = scratch() / "dense-data"
    prepare_discs(folder)
    prepare_discs(folder, "sizes", 50, target="class")
    return folder


def dense_task(name: str = "discs") -> Task:
    return load_task(dense_data(), name)


def train(runs_dir: Path, *arguments: Any, task: str = "discs", blueprint: str = "ums-rep", **more: Any) -> Finished:
    """`pathsearch train` with quick settings."""
    given = [word for one in QUICK for word in ("--set", one)]
    if "--blueprint" not in arguments:
        given += ["--blueprint", blueprint]
    places = ("--data-dir", dense_data(), "--runs-dir", runs_dir, "--device", "cpu")
    return pathsearch("train", "--task", task, *given, *places, *arguments, **more)


def trained(blueprint: str = "ums-rep") -> Run:
    """A finished run without a search, made once."""
    return _trained(blueprint)


@functools.cache
def _trained(blueprint: str) -> Run:
    folder = scratch() / "dense-runs" / blueprint
    done = train(folder, blueprint=blueprint)
    assert done.code == 0, done
    return Run(folder / "discs-random-s0")
