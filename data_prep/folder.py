"""A folder of images, one folder a class or with masks beside it, to a prepared task."""

from __future__ import annotations

import re
from pathlib import Path

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData, PathsearchError
from data_prep.image_task import RawImage, prepare_images
from data_prep.image_tree import ImageTree, ignored_notes, read_image_tree
from data_prep.image_truth import TruthOptions
from data_prep.manifest import Task
from data_prep.mask_folder import with_masks
from data_prep.mask_levels import names_of

MASKS = "a folder of masks, laid out as --source is"


def prepare_folder(
    source: str | Path,
    data_dir: str | Path,
    *,
    name: str,
    split: str | None = None,
    image_size: int = 128,
    seed: int = 0,
    groups: str | None = None,
    masks: str | Path | None = None,
    mask_names: str | None = None,
    target: str | None = None,
    mirror: bool | None = None,
    duplicates: str = "refuse",
    look_alikes: bool = True,
    skip_bad: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Task:
    """Prepare a tree of class folders, with or without train, val and test above them.

    Grey images stay grey, others become RGB; grey of more than eight bits is scaled by its own range.

    Args:
        source: the folder.
        data_dir: where prepared tasks lie.
        name: of the new task.
        split: `official` where the tree has train and test, `patient` where `groups` is given, `random`;
            by default the first of these that applies.
        image_size: side of the square images in pixels.
        seed: of the split.
        groups: a regular expression with one group, searched in each file name: what it finds is the
            group (such as the patient). A file without a match is a group of its own.
        masks: a folder of masks laid out as the images are, whatever their suffixes. With masks, images need no class
            folders: then the task has no classes.
        mask_names: classes of the masks' pixels from dark to light with commas between them, background first.
        target: what the task asks for by default, `class`, `mask` or `image`; the first that it has.
        mirror: whether half of the views of training images are mirrored; None: not where names have `left` or `right`.
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only.
        look_alikes: count near copies across splits.
        skip_bad: leave out images that cannot be used and say so, instead of refusing them all.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: no images, a class without images, an image that does not decode, a class that misses a
            split, a group in two splits, an image without its mask, a mask that is none.
    """
    folder = existing_source(source, "a folder with one folder of images for each class")
    pattern = _group_pattern(groups)

    def group_of(file_name: str, given: str) -> str:
        found = pattern.search(file_name) if pattern else None
        return (found.group(1) or "") if found else ""

    tree = read_image_tree(folder, group_of, flat=masks is not None)
    notes, images = ignored_notes(tree), tree.images
    if masks is not None:
        images, more = _masked(tree, folder, existing_source(masks, MASKS, argument="--masks"), skip_bad)
        notes += more
    if groups is not None:
        n_without = sum(not image.group for image in tree.images)
        if n_without == len(tree.images):
            raise BadData(
                f"--groups {groups}: expected to match file names such as "
                f"{Path(str(tree.images[0].picture)).name!r}, got no match at all; correct the expression"
            )
        if n_without:
            notes.append(f"{n_without} file names without a match for --groups: each is a group of its own")
    words, licence = provenance(folder, f"images in folder {folder.resolve().name}", "unknown")
    return prepare_images(
        images,
        data_dir,
        name=name,
        classes=tree.classes,
        split=split,
        image_size=image_size,
        seed=seed,
        source=words,
        licence=licence,
        truth=TruthOptions(names_of(mask_names), target=target),
        mirror=mirror,
        options={"groups": groups},
        notes=notes,
        duplicates=duplicates,
        look_alikes=look_alikes,
        skip_bad=skip_bad,
        overwrite=overwrite,
        progress=progress,
    )


def _masked(tree: ImageTree, folder: Path, masks: Path, skip_bad: bool) -> tuple[list[RawImage], list[str]]:
    """The images of a tree with their masks, and notes."""
    if masks.resolve().is_relative_to(folder.resolve()):
        raise BadData(
            f"--masks {masks}: expected a folder outside --source, got one inside; give the folder of the images alone "
            f"as --source, such as {folder / 'images'}"
        )
    if len(tree.classes) == 1:
        raise BadData(
            f"--source {folder}: expected two or more class folders, or images without any (then the task has no "
            f"classes), got the one folder {tree.classes[0]!r}; give that as --source"
        )
    return with_masks(tree.images, masks, f"--masks {masks}", skip_bad)


def _group_pattern(groups: str | None) -> re.Pattern[str] | None:
    if groups is None:
        return None
    try:
        pattern = re.compile(groups)
    except re.error as error:
        raise PathsearchError(
            f"--groups: expected a regular expression, got {groups!r} ({error}); example: (person[0-9]+)_"
        ) from error
    if pattern.groups != 1:
        raise PathsearchError(
            f"--groups: expected one pair of parentheses, got {pattern.groups} in {groups!r}; example: (person[0-9]+)_"
        )
    return pattern
