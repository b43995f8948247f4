"""The test images that a person is shown: which they are, and what was asked and answered, in a file of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from pathsearch.encoders.split import Split
from pathsearch.experts.expert import Expert
from pathsearch.experts.pictures import shown as picture
from pathsearch.experts.run_report import Shown, ShownImage
from pathsearch.run.runs import RESTORE
from pathsearch.run.tensor_file import load_tensors, save_tensors
from pathsearch.targets.extremes import extremes
from pathsearch.targets.target import Said

LONGEST = 192  # pixels of a side: what a figure of five beside each other can show


class Example(NamedTuple):
    """One of them."""

    file: str
    image: np.ndarray  # (H, W) or (H, W, 3) uint8, made small
    parts: dict[str, np.ndarray]  # what the target shows of it, see `Target.shown`


def choose(expert: Expert, task: Task, test: Split, said: Said) -> Shown | None:
    """Which images are shown, by how good their answers are; None where the target shows none.

    Args:
        expert: that answered.
        task: of the images.
        test: its test images.
        said: to all of them.
    """
    target = expert.target
    known = target.known(test.truth).numpy()
    if target.shows is None or not known.any():
        return None
    measure = target.measures[0]
    each = target.score(measure, said, test.truth, expert.facts.threshold)[known]
    found = extremes(_files(task)[known], each)
    return cast("Shown", {"form": target.shows, "measure": measure, **found})


def keep(file: Path, shown: Shown, expert: Expert, task: Task, test: Split) -> None:
    """Write small copies of these images with what was asked and answered, so that figures need nothing else."""
    place = {name: number for number, name in enumerate(_files(task))}
    files = [row["file"] for row in in_order(shown)]
    positions = torch.tensor([place[name] for name in files])
    parts = positions.split(expert.at_once)
    outputs = torch.cat([expert.outputs(test.raw(some)) for some in parts])
    drawn = expert.target.shown(outputs, test.truth[positions])
    read = test.raw(positions)
    if shown["form"] == "pictures" and reads_pictures(expert, read) and _differs(read, drawn["truth"]):
        drawn["input"] = read.clamp(0, 255).round().byte()
    tensors: dict[str, Tensor] = {}
    for number, name in enumerate(files):
        image = picture(task.task_dir / name, LONGEST)
        grey = (image == image[..., :1]).all()
        tensors[f"{number:02d}.image"] = torch.from_numpy(np.array(image[..., 0] if grey else image))
        for part, rows in drawn.items():
            tensors[f"{number:02d}.{part}"] = _small(rows[number])
    save_tensors(file, tensors, {"pathsearch": json.dumps({"files": files})})


def kept(file: Path) -> dict[str, Example]:
    """What `keep` wrote, by the image's name.

    Raises:
        PathsearchError: it is missing, damaged, or something else.
    """
    tensors, texts = load_tensors(file, "answers", RESTORE)
    try:
        names = json.loads(texts["pathsearch"])["files"]
        found = {name: Example(name, tensors[f"{i:02d}.image"].numpy(), {}) for i, name in enumerate(names)}
        for key, tensor in tensors.items():
            number, _, part = key.partition(".")
            if part != "image":
                found[names[int(number)]].parts[part] = tensor.numpy()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise PathsearchError(
            f"answers {file}: expected images with what was answered, got {type(error).__name__} {error}; {RESTORE}"
        ) from None
    return found


def in_order(shown: Shown) -> list[ShownImage]:
    """All images of a report, from the worst end to the best."""
    return [*shown["worst"], *shown["between"], *shown["best"]]


def _files(task: Task) -> np.ndarray:
    """(n,) names of the test images."""
    return task.table["file"].to_numpy()[task.rows("test")]


def reads_pictures(expert: Expert, read: Tensor) -> bool:
    """Whether a network reads pictures (B, C, H, W), and not what a trunk makes of them."""
    return not expert.facts.encoder.get("weights_sha256") and read.ndim == 4 and read.shape[1] in (1, 3)


def _differs(read: Tensor, truth: Tensor) -> bool:
    """Whether these pictures are others than the true ones, such as noisy ones, or of another size."""
    return read.shape[2:] != truth.shape[2:] or bool((read != truth).any())


def _small(part: Tensor) -> Tensor:
    """A map (…, H, W) of which every n-th row and column is left; anything else as it is."""
    if part.ndim < 2:
        return part
    step = -(-max(part.shape[-2:]) // LONGEST)
    return part[..., ::step, ::step].contiguous()
