"""The images of several prepared tasks without their labels, as one task that asks for the images themselves."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_prep.construction import Progress
from data_prep.errors import BadData, PathsearchError
from data_prep.fingerprints import RULE, Fingerprint, fingerprint
from data_prep.image_task import RawImage, prepare_images
from data_prep.image_truth import TruthOptions
from data_prep.images import read_image
from data_prep.look_alikes import alike
from data_prep.manifest import Task, load_task
from data_prep.table_words import folder_of


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

    Every image stays in its split. Training and validation images that are a copy or a look-alike of a test image, of
    whichever task, are left out. A patient who stands in several tasks is not known: each names patients in its way.

    Args:
        tasks: names of prepared tasks, each once.
        data_dir: where prepared tasks lie.
        name: of the new task.
        look_alikes: find look-alikes; without, only copies, pixel for pixel, are left out.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: images of different sizes, or one that was changed since it was prepared.
    """
    folders = list(map(folder_of, tasks))  # two targets of one task are the same images
    if len(set(folders)) < len(folders) or not tasks or name in folders:
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
    every = [
        RawImage(file, "", f"{task.folder}-{file.stem}", split, f"{task.folder}/{group}" if group else "", str(file))
        for task in prepared
        for file, split, group in zip(task.files(), task.table["split"], task.table["group"], strict=True)
    ]
    images = _unlike_tests(every) if look_alikes else every
    notes = ["whether patients stand in several of the tasks was not checked"]
    if n_out := len(every) - len(images):
        notes.append(f"{n_out} training and validation images were left out: they look like test images ({RULE})")
    told = f"images of {', '.join(tasks)} in the splits that they have there"
    checked = "no copy and no look-alike" if look_alikes else "no copy, pixel for pixel,"
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
        words=f"{told}; {checked} of a test image is trained on",
        mirror=all(task.mirror for task in prepared),
        options={"of": list(tasks)},
        notes=notes,
        duplicates="move",
        look_alikes=look_alikes,
        overwrite=overwrite,
        progress=progress,
    )


def _unlike_tests(images: Sequence[RawImage]) -> list[RawImage]:
    """All test images, and of the others those that look like none of them."""
    with ThreadPoolExecutor() as threads:
        prints = list(threads.map(_print_of, images))
    tests = [one for one, image in zip(prints, images, strict=True) if image.given == "test"]
    found = alike(prints, tests)
    return [image for image, like in zip(images, found, strict=True) if image.given == "test" or not like]


def _print_of(image: RawImage) -> Fingerprint:
    return fingerprint(read_image(image.picture, None))
