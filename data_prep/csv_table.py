"""A table of image files and labels (CSV, or with semicolons or tabs) to a prepared task."""

from __future__ import annotations

from pathlib import Path

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData
from data_prep.image_task import RawImage, prepare_images
from data_prep.images import SUFFIXES, check_some_left, listed
from data_prep.manifest import Task
from data_prep.table_file import read_table


def prepare_csv(
    source: str | Path,
    data_dir: str | Path,
    *,
    name: str,
    split: str | None = None,
    image_size: int = 128,
    seed: int = 0,
    classes: str | None = None,
    duplicates: str = "refuse",
    look_alikes: bool = True,
    skip_bad: bool = False,
    overwrite: bool = False,
    target: str = "class",
    progress: Progress | None = None,
) -> Task:
    """Prepare the images of a table with the manifest's columns: `file,label[,split][,group]`.

    Images are copied into the task, so the CSV may be an edited manifest of another task, or of this one.

    Args:
        source: the CSV; its files are relative to its folder, or absolute.
        data_dir: where prepared tasks lie.
        name: of the new task.
        split: `official` (the column split), `patient` (whole groups) or `random`; by default the first of
            these that the columns allow.
        image_size: side of the square images in pixels.
        seed: of the split.
        classes: class names in order, with commas between them; sorted labels by default.
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only.
        look_alikes: count near copies across splits.
        skip_bad: leave out images that cannot be used and say so, instead of refusing them all.
        overwrite: replace a finished task of this name.
        target: what the task asks for, see `save_task`.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: missing columns, a column that is nearly one of these, a file that is missing, listed twice or does
            not decode, a label that is none of `classes`, a class that misses a split, a group in two splits.
    """
    file = existing_source(source, "a CSV file with the columns file,label[,split][,group]", folder=False)
    table, notes = read_table(file)
    found = sorted(set(table["label"]))
    order = [label.strip() for label in classes.split(",")] if classes else found
    there = [(file.parent / name).is_file() for name in table["file"]]
    if not all(there):
        names, missing = table["file"].tolist(), [row for row, yes in enumerate(there) if not yes]
        notes += _without_missing([names[row] for row in missing], file, skip_bad)
        check_some_left(table["label"].tolist(), table["split"].tolist(), missing, names, str(file))
        table = table[there]
    images = [
        RawImage(
            file.parent / row["file"],
            row["label"],
            _stem(row["file"]),
            row["split"],
            row["group"],
            name=_brief(row["file"]),
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
        notes=notes,
        duplicates=duplicates,
        look_alikes=look_alikes,
        skip_bad=skip_bad,
        overwrite=overwrite,
        target=target,
        progress=progress,
    )


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("") if Path(name).suffix.lower() in SUFFIXES else name)


def _brief(name: str) -> str:
    """A file as the table names it; of an absolute one the last folder, since notes go into what is passed on."""
    return str(Path(*Path(name).parts[-2:])) if Path(name).is_absolute() else name


def _without_missing(missing: list[str], file: Path, skip_bad: bool) -> list[str]:
    if not skip_bad:
        raise BadData(
            f"{file}: expected image {listed(missing)}, got no such file in {file.parent}; correct the rows, or leave "
            "them out with --skip-bad"
        )
    return [f"{len(missing)} images of the table that are not there were left out: {listed(missing)}"]
