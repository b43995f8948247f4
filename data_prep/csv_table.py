"""A CSV table of image files and labels to a prepared task."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData
from data_prep.image_task import RawImage, prepare_images
from data_prep.manifest import Task
from data_prep.table_words import COLUMNS


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
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Task:
    """Prepare the images of a CSV with the manifest's columns: `file,label[,split][,group]`.

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
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: missing columns, a file that is missing, listed twice or does not decode, a label that is
            none of `classes`, a class that misses a split, a group in two splits.
    """
    file = existing_source(source, "a CSV file with the columns file,label[,split][,group]", folder=False)
    table = _read(file)
    found = sorted(set(table["label"]))
    order = [label.strip() for label in classes.split(",")] if classes else found
    images = []
    for row in table.to_dict("records"):
        picture = file.parent / row["file"]
        if not picture.is_file():
            raise BadData(f"{file}: expected image {row['file']}, got no such file in {file.parent}; correct the row")
        stem = Path(row["file"]).with_suffix("").name
        images.append(RawImage(picture, row["label"], stem, row["split"], row["group"]))
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
        duplicates=duplicates,
        overwrite=overwrite,
        progress=progress,
    )


def _read(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:  # pandas' parser errors and bad encodings are ValueErrors
        reason = " ".join(str(error).split())
        raise BadData(f"{file}: expected a CSV table in UTF-8, got {reason}; export it again") from error
    missing = {"file", "label"} - set(table.columns)
    if missing or table.empty:
        got = "no rows" if table.empty and not missing else ",".join(map(str, table.columns))
        raise BadData(f"{file}: expected rows under a header with file,label[,split][,group], got {got}")
    for column in COLUMNS:
        if column not in table:
            table[column] = ""
    twice = table["file"][table["file"].duplicated()]
    if len(twice):
        raise BadData(f"{file}: expected each file once, got {twice.iloc[0]!r} again; remove one row")
    return table
