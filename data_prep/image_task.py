"""Labelled pictures of any source to a prepared task: the part that folder, X-rays, CSV and NPZ share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_prep.construction import Progress, task_under_construction
from data_prep.images import (
    check_image_size,
    check_some_left,
    file_names,
    left_out,
    read_image,
    split_bad,
    write_images,
)
from data_prep.leakage import check_action, keep_apart
from data_prep.manifest import Task, load_task, save_task
from data_prep.splits import assign
from data_prep.table_checks import check_classes, check_table


@dataclass(frozen=True, eq=False)
class RawImage:
    """One picture of a source.

    Attributes:
        picture: its file, or its pixels (uint8, H×W or H×W×3).
        label: its class name.
        stem: what its prepared file is called.
        given: the split that the source puts it in, empty where it has none.
        group: the patient or whatever must not be split, empty where unknown.
        name: what the source calls it, for a reader; its stem if empty.
    """

    picture: Path | np.ndarray
    label: str
    stem: str
    given: str = ""
    group: str = ""
    name: str = ""


def prepare_images(
    images: Sequence[RawImage],
    data_dir: str | Path,
    *,
    name: str,
    classes: Sequence[str],
    split: str | None,
    image_size: int | None,
    seed: int,
    source: str,
    licence: str,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    duplicates: str = "refuse",
    look_alikes: bool = True,
    skip_bad: bool = False,
    overwrite: bool = False,
    target: str = "class",
    progress: Progress | None = None,
) -> Task:
    """Divide the images, check the table, write the pictures, and load the finished task.

    Args:
        images: all pictures; their order is the manifest's.
        data_dir: where prepared tasks lie.
        name: of the new task.
        classes: class names in order.
        split: `random`, `patient` or `official`; None for `official` where the source has splits, else
            `patient` where it has groups, else `random`.
        image_size: side in pixels; None keeps each picture's size.
        seed: of the split.
        source: of the raw data, in words.
        licence: of the raw data.
        mode: "L" or "RGB" to force it; None keeps grey grey and colour colour.
        options: further facts on the preparation for `task.json`.
        notes: for the reader of `task.json`.
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only.
        look_alikes: count near copies across splits.
        skip_bad: leave out images that cannot be used and say so, instead of refusing them all.
        overwrite: replace a finished task of this name.
        target: what the task asks for, see `save_task`.
        progress: told `(done, total)` as images are written.
    """
    if image_size is not None:
        check_image_size(image_size)
    check_action(duplicates)
    labels, groups = [image.label for image in images], [image.group for image in images]
    given = [image.given for image in images]
    where = f"task {name!r}"
    check_classes(classes, where)
    with task_under_construction(Path(data_dir), name, overwrite) as part:
        split = split or ("official" if any(given) else "patient" if any(groups) else "random")
        parts, facts = assign(split, labels, groups, given, seed)
        files = file_names(labels, [image.stem for image in images])
        table = pd.DataFrame({"file": files, "label": labels, "split": parts, "group": groups})
        # Before the long part, not only in save_task: a bad table should not cost minutes.
        check_table(table, classes, where, groups_apart=facts["groups_apart"])
        made = write_images(
            [part / file for file in files],
            lambda number: read_image(images[number].picture, mode, image_size),
            progress,
        )
        names = [image.name or image.stem for image in images]
        prints, bad = split_bad(made, names, where, skip_bad)
        check_some_left(labels, table["split"].tolist(), bad, names, where)
        table = table.drop(index=list(bad)).reset_index(drop=True)
        apart = keep_apart(table, prints, facts, duplicates, where, look_alikes)
        for file in apart.removed:
            (part / file).unlink()
        save_task(
            part,
            name=name,
            classes=classes,
            table=apart.table,
            split=facts,
            source=source,
            licence=licence,
            options={"image_size": image_size, "mode": mode or "as in the source", **(options or {})},
            notes=[*notes, *left_out(bad, names), *apart.notes],
            leakage=apart.facts,
            target=target,
        )
    return load_task(Path(data_dir), name)
