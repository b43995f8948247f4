"""The Kaggle folder of paediatric chest X-rays (Kermany et al. 2018) to a prepared task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData
from data_prep.image_task import RawImage, prepare_images
from data_prep.image_tree import ignored_notes, read_image_tree
from data_prep.manifest import Task

CLASSES = ("NORMAL", "PNEUMONIA")
SPLIT_FOLDERS = ("train", "val", "test")
PERSON = re.compile(r"(person\d+|(?:NORMAL\d*-)?IM-\d+)[_-]")
SOURCE = "Kermany et al. 2018, paediatric chest X-rays, Mendeley Data rscbjbr9sj, folder layout of Kaggle"


def prepare_pneumonia(
    source: str | Path,
    data_dir: str | Path,
    *,
    name: str = "pneumonia",
    split: str = "official",
    image_size: int = 128,
    seed: int = 0,
    duplicates: str = "refuse",
    look_alikes: bool = True,
    skip_bad: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Task:
    """Prepare the folder `chest_xray` (train, val, test / NORMAL, PNEUMONIA) as grey images.

    Counts to expect of the original: train 1341 and 3875, val 8 and 8, test 234 and 390. By default train
    and val are pooled, 20 % of them are cut for validation, and the test split stays as it is.

    Args:
        source: the folder with train, val and test, or its parent.
        data_dir: where prepared tasks lie.
        name: of the new task.
        split: `official`, `patient` or `random`.
        image_size: side of the square images in pixels.
        seed: of the split.
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only.
        look_alikes: count near copies across splits.
        skip_bad: leave out images that cannot be used and say so, instead of refusing them all.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: another layout, other classes, a class without images, an image that does not decode.
    """
    folder = existing_source(source, "the folder chest_xray with train, val and test")
    if not (folder / "train").is_dir() and (folder / "chest_xray" / "train").is_dir():
        folder = folder / "chest_xray"
    missing = [part for part in SPLIT_FOLDERS if not (folder / part).is_dir()]
    if missing:
        raise BadData(
            f"--source {source}: expected the folder chest_xray with train, val and test, got none called "
            f"{' or '.join(missing)}; for other layouts use: pathsearch prepare folder"
        )
    # Numbers of the original test split occur in train too, and nobody knows if these are the same people. The
    # official split divides them by definition; a split by patient must not, so there one number is one group.
    by_patient = split == "patient"
    tree = read_image_tree(folder, lambda file, given: person_of(file) if by_patient else pooled_person_of(file, given))
    if tree.classes != CLASSES:
        raise BadData(
            f"--source {source}: expected the class folders {' and '.join(CLASSES)}, got "
            f"{', '.join(tree.classes)}; for other classes use: pathsearch prepare folder"
        )
    words, licence = provenance(folder, SOURCE, "CC BY 4.0")
    return prepare_images(
        tree.images,
        data_dir,
        name=name,
        classes=CLASSES,
        split=split,
        image_size=image_size,
        seed=seed,
        source=words,
        licence=licence,
        mode="L",
        notes=[*_person_notes(tree.images, split), *ignored_notes(tree)],
        duplicates=duplicates,
        look_alikes=look_alikes,
        skip_bad=skip_bad,
        overwrite=overwrite,
        progress=progress,
    )


def person_of(file_name: str) -> str:
    """The person in a file name: `person42` of `person42_virus_7.jpeg`, `IM-0115` of `IM-0115-0001.jpeg`.

    Empty for a name of another form.
    """
    found = PERSON.match(file_name)
    return found.group(1) if found else ""


def pooled_person_of(file_name: str, given: str) -> str:
    """The person with the pool it is in: `train/person42` (train and val) or `test/person42`."""
    person = person_of(file_name)
    pool = "test" if given == "test" else "train"
    return f"{pool}/{person}" if person else ""


def _person_notes(images: Sequence[RawImage], split: str) -> list[str]:
    pools: dict[bool, set[str]] = {True: set(), False: set()}
    for image in images:
        if image.group:
            pools[image.given == "test"].add(image.group.rpartition("/")[2])
    both = len(pools[True] & pools[False])
    so = "one group each" if split == "patient" else "kept apart: train/person1, test/person1"
    notes = []
    if both:
        notes.append(
            f"{both} person numbers of the original test split also occur in train or val; it is not known "
            f"if these are the same people, so in this split they are {so}"
        )
    n_without = sum(not image.group for image in images)
    if n_without:
        notes.append(f"{n_without} file names without a person number: each is a group of its own")
    return notes
