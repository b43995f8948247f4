"""The Kaggle folder of paediatric chest X-rays (Kermany et al. 2018) to a prepared task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData, PathsearchError
from data_prep.image_task import RawImage, prepare_images
from data_prep.image_tree import ignored_notes, read_image_tree
from data_prep.images import listed
from data_prep.manifest import Task

CLASSES = ("NORMAL", "PNEUMONIA")
KINDS = ("normal", "bacteria", "virus")
KIND = re.compile(r"_(bacteria|virus)_", re.IGNORECASE)
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
    kinds: str | None = None,
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
        kinds: classes in order with commas between them, two or all of `KINDS`, told by folder and file name
            (`person42_virus_7.jpeg`); None for the folders NORMAL and PNEUMONIA. Other images are left out.
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
    images, notes = tree.images, ignored_notes(tree)
    classes: tuple[str, ...] = CLASSES
    if kinds is not None:
        classes = kinds_of(kinds)
        images, more = _sorted_by_kind(tree.images, classes, skip_bad)
        notes += more
    words, licence = provenance(folder, SOURCE, "CC BY 4.0")
    return prepare_images(
        images,
        data_dir,
        name=name,
        classes=classes,
        split=split,
        image_size=image_size,
        seed=seed,
        source=words,
        licence=licence,
        mode="L",
        options={"kinds": list(classes)} if kinds is not None else None,
        notes=[*_person_notes(images, split), *notes],
        duplicates=duplicates,
        look_alikes=look_alikes,
        skip_bad=skip_bad,
        overwrite=overwrite,
        progress=progress,
    )


def kinds_of(text: str) -> tuple[str, ...]:
    """Two or three of `KINDS`, in the order in which they are asked for.

    Raises:
        PathsearchError: others, one alone, or one twice.
    """
    kinds = tuple(kind.strip() for kind in text.split(","))
    if len(kinds) < 2 or len(set(kinds)) < len(kinds) or not set(kinds) <= set(KINDS):
        raise PathsearchError(f"--kinds: expected two or all of {','.join(KINDS)}, got {text!r}")
    return kinds


def kind_of(image: RawImage) -> str | None:
    """`normal` by its folder, `bacteria` or `virus` by its file name; None where that says neither."""
    if image.label == CLASSES[0]:
        return KINDS[0]
    found = KIND.search(PurePosixPath(image.name).name)
    return found.group(1).lower() if found else None


def _sorted_by_kind(
    images: Sequence[RawImage], kinds: Sequence[str], skip_bad: bool
) -> tuple[list[RawImage], list[str]]:
    """The images of these kinds, labelled so, and notes on those that were left out."""
    said = [kind_of(image) for image in images]
    unknown = [image.name for image, kind in zip(images, said, strict=True) if kind is None]
    if unknown and not skip_bad:
        raise BadData(
            f"--kinds: expected file names such as person42_virus_7.jpeg or person42_bacteria_7.jpeg, got "
            f"{len(unknown)} others: {listed(unknown)}; rename them, or leave them out with --skip-bad"
        )
    notes = [f"{len(unknown)} images of no known kind were left out: {listed(unknown)}"] if unknown else []
    n_others = sum(kind is not None and kind not in kinds for kind in said)
    if n_others:
        notes.append(
            f"{n_others} images of other kinds were left out ({', '.join(k for k in KINDS if k not in kinds)})"
        )
    kept = [replace(image, label=kind) for image, kind in zip(images, said, strict=True) if kind in kinds and kind]
    return kept, notes


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
