"""The images of several prepared tasks without their labels, as one task that asks for the images themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.construction import Progress
from data_prep.errors import BadData, PathsearchError
from data_prep.image_task import RawImage, prepare_images
from data_prep.image_truth import TruthOptions
from data_prep.manifest import Task, load_task


def prepare_images_of(
    tasks: Sequence[str],
    data_dir: str | Path,
    *,
    name: str,
    look_alikes: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Task:
    """Unite prepared tasks whose images have one size: what an encoder learns from without labels.

    Every image stays in its split, so no test image of any of them is trained on: neither itself nor, pixel for pixel,
    a copy that another task trains on, which is left out.

    Args:
        tasks: names of prepared tasks, each once.
        data_dir: where prepared tasks lie.
        name: of the new task.
        look_alikes: count near copies across splits.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: images of different sizes, or one that was changed since it was prepared.
    """
    if len(set(tasks)) < len(tasks) or not tasks or name in tasks:
        raise PathsearchError(
            f"--of: expected prepared tasks, each once, and another --name, got {', '.join(tasks)} and {name}"
        )
    prepared = [load_task(Path(data_dir), one) for one in tasks]
    sizes = {task.name: task.info.get("image_size") for task in prepared}
    if len(set(sizes.values())) > 1 or None in sizes.values():
        each = ", ".join(f"{one} {size or 'of several'}" for one, size in sizes.items())
        raise BadData(f"--of: expected tasks with images of one size, got {each} pixels; prepare with one --image-size")
    for task in prepared:
        task.verify_images()
    images = [
        RawImage(file, "", f"{task.name}-{file.stem}", split, f"{task.name}/{group}" if group else "", str(file))
        for task in prepared
        for file, split, group in zip(task.files(), task.table["split"], task.table["group"], strict=True)
    ]
    return prepare_images(
        images,
        data_dir,
        name=name,
        classes=(),
        split="official",
        image_size=sizes[tasks[0]],
        seed=0,
        source="; ".join(dict.fromkeys(task.info["source"] for task in prepared)),
        licence="; ".join(dict.fromkeys(task.info["licence"] for task in prepared)),
        truth=TruthOptions(target="image"),
        words=f"images of {', '.join(tasks)} in the splits that they have there; no test image is trained on",
        options={"of": list(tasks), "mirror": all(task.mirror for task in prepared)},
        duplicates="move",
        look_alikes=look_alikes,
        overwrite=overwrite,
        progress=progress,
    )
