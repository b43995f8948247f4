"""A world small enough for tests: two tasks of generated images, a random trunk, finished runs.

Helpers, no fixtures: what is costly is made once a test session and shared, read-only by convention.
"""

from __future__ import annotations

import atexit
import csv
import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from threadpoolctl import threadpool_limits
from torchvision import models

from data_prep.errors import PathsearchError
from data_prep.folder import prepare_folder
from data_prep.manifest import Task, load_task, save_task
from pathsearch.encoders.encoder import Encoder
from pathsearch.experts import evolve as evolving
from pathsearch.experts.heritage import Heritage
from pathsearch.run.place import Place
from pathsearch.run.runs import GENERATION, Run
from pathsearch.run.settings import EncoderSettings, GridSettings, RunSettings, SearchSettings, TrainingSettings
from pathsearch.run.sums import DUE

SIZE = 48  # pixels: SqueezeNet's maps are 2 × 2
N_IMAGES = 120  # a task
CPU = torch.device("cpu")
ENCODER = EncoderSettings("squeezenet1_1", "random", SIZE, map_size=4)
GRID = GridSettings(n_modules=4, max_active=2, width=16)
SEARCH = SearchSettings(population=8, generations=3, steps=4, warmup=4, batch_size=32)
TRAINING = TrainingSettings(
    epochs=4,
    patience=3,
    batch_size=32,
    finalists=2,
    probe=False,  # here it is better than all paths
    choice_folds=1,
    random_paths=2,
    average=0.7,
    dropout=0.1,
    weight_decay=0.05,
)


@functools.cache
def scratch() -> Path:
    """A folder of this test session, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="pathsearch-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def refused(match: str) -> Iterator[pytest.ExceptionInfo[PathsearchError]]:
    """The block must end in a `PathsearchError` of one line that matches."""
    with pytest.raises(PathsearchError, match=match) as caught:
        yield caught
    assert "\n" not in str(caught.value)


# --- images and tasks ------------------------------------------------------------------------------------------


def draw_stripes(kind: int, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """Stripes of a random phase at 0, 60 or 120 degrees (give or take 15), in noise: uint8 (size, size)."""
    angle = np.radians(60 * kind + rng.uniform(-15, 15))
    y, x = np.mgrid[:size, :size]
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(0.5, 0.8) + rng.uniform(0, 6.28))
    return np.clip(128 + 60 * wave + 25 * rng.normal(size=(size, size)), 0, 255).astype(np.uint8)


def draw_blob(kind: int, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """A small (0) or a large (1) bright blob somewhere on dark noise; their sizes overlap a little."""
    radius = rng.uniform(3, 7) if kind == 0 else rng.uniform(6, 11)
    y, x = np.mgrid[:size, :size]
    cy, cx = rng.uniform(12, size - 12, 2)
    blob = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))
    return np.clip(40 + 170 * blob + 20 * rng.normal(size=(size, size)), 0, 255).astype(np.uint8)


TASKS: dict[str, tuple[list[str], Callable[..., np.ndarray]]] = {
    "stripes": (["flat", "rising", "falling"], draw_stripes),
    "blobs": (["small", "large"], draw_blob),
}


def draw_folder(folder: Path, task: str, n: int = N_IMAGES) -> Path:
    """Raw data of a task: n images in one folder a class."""
    rng = np.random.default_rng(len(task))
    classes, draw = TASKS[task]
    for number in range(n):
        kind = number % len(classes)
        file = folder / classes[kind] / f"{number:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(kind, rng)).save(file)
    return folder


def prepare(data_dir: Path, task: str, n: int = N_IMAGES, name: str | None = None, **options: Any) -> Task:
    """Draw and prepare a task of n images."""
    source = draw_folder(scratch() / "raw" / f"{task}{n}", task, n)
    return prepare_folder(source, data_dir, name=name or task, image_size=SIZE, **options)


def registered(task: Task, change: Any) -> Task:
    """The same images under a changed manifest, registered anew."""
    split = {"name": "random", "words": "random split of images", "groups_apart": False}
    table = task.table.copy()
    change(table)
    kept = {key: task.info[key] for key in ("source", "licence", "options", "notes")}
    return save_task(task.task_dir, name=task.name, classes=task.classes, table=table, split=split, **kept)


@functools.cache
def data_dir() -> Path:
    """Both tasks, prepared."""
    folder = scratch() / "data"
    for name in TASKS:
        prepare(folder, name)
    return folder


@functools.cache
def task(name: str) -> Task:
    return load_task(data_dir(), name)


@functools.cache
def encoder() -> Encoder:
    return Encoder(ENCODER)


# --- trunks --------------------------------------------------------------------------------------------------------


def noise(n: int = 2, size: int = 64) -> torch.Tensor:
    """Images of noise, always the same: (n, 3, size, size) uint8."""
    return torch.randint(256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def full_model(name: str = "squeezenet1_1") -> torch.nn.Module:
    """A torchvision model with its classifier, of weights that are always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return models.get_model(name, weights=None)


def from_file(file: Path, name: str = "squeezenet1_1") -> Encoder:
    """An encoder with weights from a file."""
    return Encoder(EncoderSettings(name, str(file), image_size=64))


# --- runs --------------------------------------------------------------------------------------------------------


def settings(name: str, **changes: Any) -> RunSettings:
    """Small settings of a run; `changes` go into the part that knows them."""
    whole = RunSettings(
        name, "random", encoder=ENCODER, grid=GRID, search=SEARCH, training=TRAINING, data=task(name).fingerprint
    )
    if changes.get("weights") == "fresh":  # which have no warm-up
        changes = {"warmup": 0, **changes}
    for key, value in changes.items():
        part = next((p for p in ("search", "training", "grid", "encoder") if hasattr(getattr(whole, p), key)), None)
        whole = replace(whole, **({part: replace(getattr(whole, part), **{key: value})} if part else {key: value}))
    return whole


def evolve(
    run_dir: Path,
    chosen: RunSettings,
    *,
    of: Task | None = None,
    resume: bool = False,
    trunk: Encoder | None = None,
    device: torch.device = CPU,
) -> tuple[Run, dict[str, Any]]:
    """A run under `run_dir`, as the command line does it, figures apart; the run and its report."""
    prepared = of or task(chosen.task)
    chosen = replace(chosen, data=prepared.fingerprint)
    run, trunk = Run(run_dir), trunk or encoder()
    heritage = Heritage.of(run_dir.parent, chosen.grown_from)
    heritage.check(chosen.task, trunk, chosen.grid)
    run.open(chosen, resume=resume, overwrite=False)
    with threadpool_limits(1):  # of BLAS: threads that wait for busy cores cost seconds
        report = evolving.evolve(prepared, trunk, chosen, run, heritage, place(device))
    return run, report


def options(chosen: RunSettings) -> list[str]:
    """The same settings as options of `pathsearch evolve`."""
    given = ["--task", chosen.task, "--seed", str(chosen.seed), "--device", "cpu"]
    for section in ("encoder", "grid", "search", "training"):
        part = getattr(chosen, section)
        for one in fields(part):
            value = getattr(part, one.name)
            if value != one.default:
                text = value if isinstance(value, str) else json.dumps(value)
                given += ["--set", f"{section}.{one.name}={text}"]
    return given


def place(device: torch.device = CPU) -> Place:
    """Where the small world works."""
    return Place(data_dir() / "features", device)


@functools.cache
def runs_dir() -> Path:
    return scratch() / "runs"


@functools.cache
def finished(name: str) -> Run:
    """A finished run of a task, on a grid of its own."""
    return evolve(runs_dir() / name, settings(name))[0]


def copied(run: Run, folder: Path) -> Run:
    """A copy of a run that a test may damage."""
    shutil.copytree(run.folder, folder / run.name)
    return Run(folder / run.name)


def generation_of(run: Run) -> dict[str, Any]:
    """Where the search of a run stood at its last kept generation."""
    with safe_open(run.checkpoint_dir / GENERATION, "pt") as opened:
        state: dict[str, Any] = json.loads(opened.metadata()["pathsearch"])["state"]
    return state


def earlier(run: Run) -> Run:
    """Make of a finished run one of an earlier version, which wrote no digests."""
    run.sums_file.unlink()
    config = json.loads(run.config_file.read_text())
    del config[DUE]
    run.config_file.write_text(json.dumps(config))
    return run


def log_rows(run: Run) -> list[dict[str, str]]:
    """The rows of log.csv, times apart."""
    with run.log_file.open(newline="") as stream:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]


def outcome(run: Run) -> dict[str, Any]:
    """Everything of a run that its settings decide."""
    report = {key: value for key, value in run.report().items() if key not in ("seconds", "images_encoded_now")}
    return {
        "log": log_rows(run),
        "expert": run.expert_file.read_bytes(),
        "router": run.router_file.read_bytes(),
        "training": run.training_file.read_text(),
        "path": run.path_file.read_text(),
        "report": report,
    }
