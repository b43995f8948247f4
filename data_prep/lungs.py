"""Chest X-rays with lung masks, laid out as the Shenzhen and Montgomery sets are, to a prepared task."""

from __future__ import annotations

from pathlib import Path

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData, PathsearchError
from data_prep.image_task import RawImage, prepare_images
from data_prep.image_tree import pictures_below
from data_prep.image_truth import TruthOptions
from data_prep.images import listed
from data_prep.manifest import Task
from data_prep.mask_folder import with_masks

CLASSES = ("normal", "tuberculosis")  # file names end in _0 and _1
MASK_NAMES = ("background", "lung")
KNOWN = {  # source and licence, by what file names begin with
    "CHNCXR": ("Shenzhen chest X-rays with lung masks", "National Library of Medicine; masks CC BY-NC-SA 4.0"),
    "MCUCXR": ("Montgomery County chest X-rays with lung masks", "National Library of Medicine"),
}


def prepare_lungs(
    source: str | Path,
    data_dir: str | Path,
    *,
    test: str | Path | None = None,
    name: str = "lungs",
    split: str | None = None,
    image_size: int = 128,
    target: str | None = "mask",
    seed: int = 0,
    duplicates: str = "refuse",
    look_alikes: bool = True,
    skip_bad: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Task:
    """Prepare folders with `images/` and `masks/` (the same stem) as grey images with mask, box and class.

    The class is read from the file name (`_0` normal, `_1` tuberculosis), what stands before it is the group; the box
    is the hull of both lungs. Counts to expect: 566 pairs of Shenzhen, 138 of Montgomery.

    Args:
        source: the folder.
        data_dir: where prepared tasks lie.
        test: a second such folder: its images are the test split, and the source is divided into training and
            validation.
        name: of the new task.
        split: `random`, `patient` or `official`; by default `official` with `test`, else `random`.
        image_size: side of the square images in pixels.
        target: what the task asks for by default.
        seed: of the split.
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only.
        look_alikes: count near copies across splits.
        skip_bad: leave out images that cannot be used, or have no mask, and say so, instead of refusing them all.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: another layout or other file names, an image without its mask, a mask that is none.
    """
    if test is not None and split not in (None, "official"):
        raise PathsearchError(
            f"--split {split}: expected no other than official beside --test, got both; leave one out"
        )
    own = _read(Path(source), "--source", "train" if test is not None else "", skip_bad)
    other = _read(Path(test), "--test", "test", skip_bad) if test is not None else None
    words = None
    if other is not None:
        words = (
            f"test images are all of another source ({other[2]}); those of the source ({own[2]}) are divided, a "
            "stratified 20 % for validation"
        )
    parts = [own, *([other] if other is not None else [])]
    return prepare_images(
        [image for part in parts for image in part[0]],
        data_dir,
        name=name,
        classes=CLASSES,
        split=split or ("official" if other is not None else "random"),
        image_size=image_size,
        seed=seed,
        source=own[2] if other is None else f"{own[2]} for training and validation, {other[2]} for the test",
        licence=own[3] if other is None else f"{own[2]}: {own[3]}; {other[2]}: {other[3]}",
        mode="L",
        truth=TruthOptions(MASK_NAMES, boxes_of_masks=True, target=target),
        words=words,
        options={"boxes": "hull of the mask"},
        notes=[note for part in parts for note in part[1]],
        duplicates=duplicates,
        look_alikes=look_alikes,
        skip_bad=skip_bad,
        overwrite=overwrite,
        progress=progress,
    )


def class_of(stem: str) -> str | None:
    """The class that a file name without its suffix says, `CHNCXR_0327_1`; None if it says none."""
    return {"0": CLASSES[0], "1": CLASSES[1]}.get(stem.rpartition("_")[2]) if "_" in stem else None


def _read(folder: Path, argument: str, given: str, skip_bad: bool) -> tuple[list[RawImage], list[str], str, str]:
    """Images with their masks, notes, source and licence in words."""
    folder = existing_source(folder, "a folder with images/ and masks/", argument=argument)
    for inner in ("images", "masks"):
        if not (folder / inner).is_dir():
            raise BadData(
                f"{argument} {folder}: expected a folder with images/ and masks/, got no {inner}/; for other layouts "
                "use: pathsearch prepare folder --masks"
            )
    files, ignored = pictures_below(folder / "images")
    unnamed = [file.name for file in files if class_of(file.stem) is None]
    if unnamed or not files:
        raise BadData(
            f"{argument} {folder}: expected images with names that end in _0 (normal) or _1 (tuberculosis), got "
            f"{listed(unnamed) or 'no images'}; rename them, or use: pathsearch prepare folder --masks"
        )
    images = []
    for file in files:
        name, stem = file.relative_to(folder / "images").as_posix(), file.stem
        images.append(RawImage(file, str(class_of(stem)), stem, given, stem.rpartition("_")[0], name))
    images, notes = with_masks(images, folder / "masks", f"{argument} {folder}", skip_bad)
    if ignored:
        notes.append(f"{len(ignored)} files that are no images were ignored, such as {min(ignored)!r}")
    words, licence = KNOWN.get(
        files[0].stem.partition("_")[0], (f"images in folder {folder.resolve().name}", "unknown")
    )
    return images, notes, *provenance(folder, words, licence)
