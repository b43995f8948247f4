"""A table of image files and labels (CSV, or with semicolons or tabs) to a prepared task."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from pathlib import Path

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData
from data_prep.image_task import RawImage, prepare_images
from data_prep.image_truth import RawTruth, TruthOptions
from data_prep.images import SUFFIXES, check_some_left, listed
from data_prep.manifest import Task
from data_prep.mask_levels import names_of
from data_prep.table_file import read_table
from data_prep.table_words import BOX, MASK


def prepare_csv(
    source: str | Path,
    data_dir: str | Path,
    *,
    name: str,
    split: str | None = None,
    image_size: int = 128,
    seed: int = 0,
    classes: str | None = None,
    mask_names: str | None = None,
    numbers: str | None = None,
    target: str | None = None,
    mirror: bool | None = None,
    duplicates: str = "refuse",
    look_alikes: bool = True,
    skip_bad: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Task:
    """Prepare the images of a table with the manifest's columns: `file,label[,split][,group]`, and further truth.

    Further columns are `mask` (a file), `x_min`, `y_min`, `x_max`, `y_max` (a box in pixels of the image), and any
    numbers; an empty cell says that an image has none. With one of these, `label` may be left out: then the task has no
    classes.

    Images are copied into the task, so the CSV may be an edited manifest of another task, or of this one.

    Args:
        source: the CSV; its files and masks are relative to its folder, or absolute.
        data_dir: where prepared tasks lie.
        name: of the new task.
        split: `official` (the column split), `patient` (whole groups) or `random`; by default the first of
            these that the columns allow.
        image_size: side of the square images in pixels.
        seed: of the split.
        classes: class names in order, with commas between them; sorted labels by default.
        mask_names: classes of the masks' pixels from dark to light with commas between them, background first.
        numbers: columns of numbers that are kept, with commas between them.
        target: what the task asks for by default, `class`, `mask`, `box` or `image`; the first that it has.
        mirror: whether half of the views of training images are mirrored; None: not where names have `left` or `right`.
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only.
        look_alikes: count near copies across splits.
        skip_bad: leave out images that cannot be used and say so, instead of refusing them all.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: missing columns, a column that is nearly one of these, a file that is missing, listed twice or does
            not decode, a label that is none of `classes`, a class that misses a split, a group in two splits, a mask,
            box or number that is none.
    """
    file = existing_source(source, "a CSV file with the columns file,label[,split][,group]", folder=False)
    beside = names_of(numbers) or ()
    table, notes = read_table(file, beside)
    found = sorted(set(table["label"]) - {""})
    order = [label.strip() for label in classes.split(",")] if classes else found
    for column, kind in (("file", "image"), (MASK, "mask")):
        names = table[column].tolist() if column in table else []
        missing = [row for row, name in enumerate(names) if name and not (file.parent / name).is_file()]
        if missing:
            notes += _without_missing([names[row] for row in missing], file, skip_bad, kind)
            check_some_left(
                table["label"].tolist(), table["split"].tolist(), missing, table["file"].tolist(), str(file)
            )
            table = table.drop(index=missing).reset_index(drop=True)
    images = [
        RawImage(
            file.parent / row["file"],
            row["label"],
            _stem(row["file"]),
            row["split"],
            row["group"],
            name=_brief(row["file"]),
            truth=_truth(row, file.parent, beside),
        )
        for row in table.to_dict("records")
    ]
    words, licence = provenance(file.parent, f"images listed in {file.name}", "unknown")
    return prepare_images(
        images,
        data_dir,
        name=name,
        classes=order,
        split=split,
        image_size=image_size,
        seed=seed,
        source=words,
        licence=licence,
        truth=TruthOptions(names_of(mask_names), beside, target=target),
        mirror=mirror,
        notes=notes,
        duplicates=duplicates,
        look_alikes=look_alikes,
        skip_bad=skip_bad,
        overwrite=overwrite,
        progress=progress,
    )


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("") if Path(name).suffix.lower() in SUFFIXES else name)


def _brief(name: str) -> str:
    """A file as the table names it; of an absolute one the last folder, since notes go into what is passed on."""
    return str(Path(*Path(name).parts[-2:])) if Path(name).is_absolute() else name


def _truth(row: dict[Hashable, str], folder: Path, numbers: Sequence[str]) -> RawTruth:
    """What a row says beyond the label; its cells are decimal numbers where there are any."""
    mask, box = row.get(MASK, ""), [row.get(column, "") for column in BOX]
    x_min, y_min, x_max, y_max = (float(cell) if cell else math.nan for cell in box)
    whole = (x_min, y_min, x_max, y_max) if all(box) else None
    return RawTruth(folder / mask if mask else None, whole, tuple(row[name] for name in numbers))


def _without_missing(missing: list[str], file: Path, skip_bad: bool, kind: str) -> list[str]:
    if not skip_bad:
        raise BadData(
            f"{file}: expected {kind} {listed(missing)}, got no such file in {file.parent}; correct the rows, or leave "
            "them out with --skip-bad"
        )
    rows = "images" if kind == "image" else "images with masks"
    return [f"{len(missing)} {rows} of the table that are not there were left out: {listed(missing)}"]
