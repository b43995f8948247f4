"""Labelled pictures of any source to a prepared task: the part that folder, X-rays, CSV and NPZ share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from data_prep.construction import Progress, task_under_construction
from data_prep.image_truth import NO_TRUTH, NOTHING_ASKED, RawTruth, TruthOptions, TruthWriter
from data_prep.images import (
    check_image_size,
    check_some_left,
    file_names,
    left_out,
    read_sized,
    split_bad,
    write_images,
)
from data_prep.leakage import check_action, keep_apart
from data_prep.manifest import Task, load_task, save_task
from data_prep.sides import mirroring
from data_prep.splits import assign
from data_prep.table_checks import check_classes, check_table
from data_prep.truth_columns import check_target, default_target, hashed_files


@dataclass(frozen=True, eq=False)
class RawImage:
    """One picture of a source.

    Attributes:
        picture: its file, or its pixels (uint8, H×W or H×W×3).
        label: its class name; empty where the task has no classes.
        stem: what its prepared file is called.
        given: the split that the source puts it in, empty where it has none.
        group: the patient or whatever must not be split, empty where unknown.
        name: what the source calls it, for a reader; its stem if empty.
        truth: what is known of it beyond the label.
    """

    picture: Path | np.ndarray
    label: str
    stem: str
    given: str = ""
    group: str = ""
    name: str = ""
    truth: RawTruth = NO_TRUTH


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
    truth: TruthOptions = NOTHING_ASKED,
    mirror: bool | None = None,
    words: str | None = None,
    options: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    duplicates: str = "refuse",
    look_alikes: bool = True,
    skip_bad: bool = False,
    overwrite: bool = False,
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
        truth: what is asked of masks, boxes and numbers.
        mirror: whether half of the views of training images are mirrored; None: not where names have sides.
        words: how the split was made, in place of the split's own words.
        options: further facts on the preparation for `task.json`.
        notes: for the reader of `task.json`.
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only.
        look_alikes: count near copies across splits.
        skip_bad: leave out images that cannot be used and say so, instead of refusing them all.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.
    """
    if image_size is not None:
        check_image_size(image_size)
    check_action(duplicates)
    labels, groups = [image.label for image in images], [image.group for image in images]
    given = [image.given for image in images]
    where = f"task {name!r}"
    beyond = truth.target == "image" or any(image.truth is not NO_TRUTH for image in images)
    check_classes(classes, where, or_none=beyond)
    with task_under_construction(Path(data_dir), name, overwrite) as part:
        split = split or ("official" if any(given) else "patient" if any(groups) else "random")
        parts, facts = assign(split, labels, groups, given, seed)
        facts = {**facts, "words": words or facts["words"]}
        files = file_names(labels, [image.stem for image in images])
        names = [image.name or image.stem for image in images]
        truths = TruthWriter([image.truth for image in images], names, files, truth, where)
        table = pd.DataFrame({"file": files, "label": labels, "split": parts, "group": groups})
        # Before the long part, not only in save_task: a bad table should not cost minutes.
        sketch = table.assign(**truths.columns(expected=True))
        check_table(sketch, classes, where, groups_apart=facts["groups_apart"], numbers=truth.numbers)
        check_target(truth.target or default_target(sketch, classes), sketch, classes, where)
        truths.read()

        def make(number: int) -> Image.Image:
            image, size = read_sized(images[number].picture, mode, image_size)
            truths.write(number, part, size, image.size)
            return image

        made = write_images([part / file for file in files], make, progress)
        prints, bad = split_bad(made, names, where, skip_bad)
        check_some_left(labels, table["split"].tolist(), bad, names, where)
        table = table.assign(**truths.columns()).drop(index=list(bad)).reset_index(drop=True)
        apart = keep_apart(table, prints, facts, duplicates, where, look_alikes)
        for file in set(hashed_files(table)) - set(hashed_files(apart.table)):
            (part / file).unlink()
        masks = truths.mask_info()
        sides, side_notes = mirroring(mirror, [*classes, *(masks["names"] if masks else ())])
        kept = [number for number, file in enumerate(files) if file in set(apart.table["file"])]
        save_task(
            part,
            name=name,
            classes=classes,
            table=apart.table,
            split=facts,
            source=source,
            licence=licence,
            options={
                "image_size": image_size,
                "mode": mode or "as in the source",
                **truths.options(),
                **sides,
                **(options or {}),
            },
            notes=[*notes, *side_notes, *left_out(bad, names), *truths.notes(kept), *apart.notes],
            leakage=apart.facts,
            target=truth.target,
            masks=masks,
            numbers=truth.numbers,
        )
    return load_task(Path(data_dir), name)
