"""The task in words and small pictures, in one file of a run, so that its page can be made without the data."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
from PIL import Image

from data_prep.errors import PathsearchError
from data_prep.manifest import SplitInfo, Task, load_task
from data_prep.whole_files import write_text
from pathsearch.experts.pictures import shown

FILE = "pictures.json"
SIDE = 128  # pixels of the longer side: enough to recognise an image, too few to work with it
EXAMPLES = 24  # of a task, shared by its classes
A_CLASS = 4  # examples at most
NO_CLASS = "Images"  # heads the examples of a task without classes


class Example(TypedDict):
    """A small picture of an image."""

    file: str
    picture: str  # data URI


class About(TypedDict):
    """A task in words, from its `task.json`."""

    classes: list[str]
    counts: dict[str, dict[str, int]]  # images, by split and class
    imbalance: float | None
    source: str
    licence: str
    split: SplitInfo
    image_size: int | None
    notes: list[str]
    leakage: dict[str, object] | None
    grouped: bool  # whether groups of images are known


class Described(TypedDict):
    """A task with training images of each class."""

    about: About
    examples: dict[str, list[Example]]


class Album(TypedDict):
    """What `pictures.json` holds."""

    tasks: dict[str, Described]
    mistakes: dict[str, dict[str, str]]  # data URIs by task and file


def keep_album(folder: Path, report: Mapping[str, Any], data_dir: Path | None) -> Album | None:
    """Write `pictures.json` beside a report where the data is at hand; what is there otherwise.

    Args:
        folder: of the report.
        report: of a run or of a joint evaluation; says which prepared data it stands on.
        data_dir: where prepared tasks lie; None if not to be looked at.

    Returns:
        What the file holds: `tasks` (each `about`, from task.json, and `examples` of each class) and `mistakes`
        (by task and file); pictures are data URIs. None where there is neither file nor data.
    """
    file = folder / FILE
    tasks = _at_hand(report, data_dir)
    if tasks:
        album: Album = {"tasks": {t.name: _describe(t) for t in tasks.values()}, "mistakes": _mistakes(report, tasks)}
        write_text(file, json.dumps(album, allow_nan=False) + "\n")
        return album
    if not file.is_file():
        return None
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return cast("Album", {"tasks": dict(kept["tasks"]), "mistakes": dict(kept["mistakes"])})
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise PathsearchError(
            f"{file}: expected small pictures of a task, got {type(error).__name__}: {error}; delete it to go without"
        ) from None


def _at_hand(report: Mapping[str, Any], data_dir: Path | None) -> dict[str, Task]:
    """The prepared tasks of the report, if all of them are there as they were."""
    data = report.get("data")
    prints = {report["task"]: data} if isinstance(data, str) else data or {}
    if data_dir is None:
        return {}
    try:
        tasks = {name: load_task(data_dir, name) for name in prints}
    except PathsearchError:  # not prepared here, or edited since
        return {}
    return tasks if all(tasks[name].fingerprint == prints[name] for name in prints) else {}


def _describe(task: Task) -> Described:
    info = task.info
    about: About = {
        "classes": info["classes"],
        "counts": info["counts"],
        "imbalance": info.get("imbalance"),
        "source": info["source"],
        "licence": info["licence"],
        "split": info["split"],
        "image_size": info.get("image_size"),
        "notes": info["notes"],
        "leakage": info.get("leakage"),
        "grouped": bool((task.table["group"] != "").any()),
    }
    return {"about": about, "examples": _examples(task)}


def _examples(task: Task) -> dict[str, list[Example]]:
    """Training images of each class, or of all where there are none, evenly spread over the manifest."""
    labels, classes = task.labels("train"), task.classes or (NO_CLASS,)
    labels = labels if task.classes else np.zeros_like(labels)
    files = np.array(task.files(), dtype=object)[task.rows("train")]
    names = task.table["file"].to_numpy()[task.rows("train")]
    n = max(1, min(A_CLASS, EXAMPLES // len(classes)))
    found: dict[str, list[Example]] = {}
    for k, name in enumerate(classes):
        own = np.flatnonzero(labels == k)
        chosen = own[np.unique(np.linspace(0, len(own) - 1, n + 2).round().astype(int)[1:-1])] if len(own) else []
        found[name] = [{"file": str(names[i]), "picture": picture(files[i])} for i in chosen]
    return found


def _mistakes(report: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {name: {} for name in tasks}
    for row in (report.get("mistakes") or {}).get("shown", []):
        found[row["task"]][row["file"]] = picture(tasks[row["task"]].task_dir / row["file"])
    return found


def picture(file: Path) -> str:
    """A small copy of an image as a data URI, PNG or JPEG, whichever is smaller."""
    image = Image.fromarray(shown(file, SIDE))
    pixels = np.asarray(image)
    if (pixels == pixels[..., :1]).all():
        image = image.convert("L")
    kinds = {}
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": 85})):
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        kinds[kind] = stream.getvalue()
    kind = min(kinds, key=lambda name: len(kinds[name]))
    return f"data:image/{kind};base64,{base64.b64encode(kinds[kind]).decode()}"
