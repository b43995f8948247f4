"""The prepared form of a task: `manifest.csv`, `task.json`, `images/`; written once, checked at each load."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from data_prep.errors import BadData, DataNotPrepared
from data_prep.folder_swap import give_back
from data_prep.image_digests import digests_of, whole_digest, write_list
from data_prep.table_checks import check_classes, check_name, check_table, without_labels
from data_prep.table_words import ASKS, COLUMNS, MASK, SPLITS
from data_prep.task import MaskInfo, SplitInfo, Task, TaskInfo
from data_prep.task_form import check_form, with_digest
from data_prep.truth_columns import check_target, columns_of, default_target, hashed_files
from data_prep.whole_files import file_sha256, write_json, write_text

__all__ = [
    "COLUMNS",
    "SPLITS",
    "MaskInfo",
    "SplitInfo",
    "Task",
    "TaskInfo",
    "check_table",
    "load_task",
    "prepared_tasks",
    "save_task",
]

# Where a missing task comes from, by the name it has unless the user chose another.
PREPARE_COMMANDS = {
    "ecg": "pathsearch prepare ecg --source physionet",
    "pneumonia": "pathsearch prepare pneumonia --source FOLDER",
    "lungs": "pathsearch prepare lungs --source FOLDER",
}


def save_task(
    task_dir: Path,
    *,
    name: str,
    classes: Sequence[str],
    table: pd.DataFrame,
    split: Mapping[str, Any],
    source: str,
    licence: str,
    options: Mapping[str, Any],
    notes: Sequence[str],
    leakage: Mapping[str, Any] | None = None,
    target: str | None = None,
    masks: MaskInfo | None = None,
    numbers: Sequence[str] = (),
) -> Task:
    """Write `manifest.csv` and `images.sha256`, then `task.json`, for images and masks that already lie in `task_dir`.

    `task.json` comes last, so a folder without it is an unfinished task.

    Args:
        task_dir: the task's folder; the table's files are relative to it.
        name: letters, digits, `.`, `_`, `-`.
        classes: at least two class names, in the order of their indices; none if labels are empty and the table has
            other truth.
        table: one row an image, columns `COLUMNS` and, where there is such truth, `mask` (a file), `x_min`, `y_min`,
            `x_max`, `y_max` (pixels) and `numbers`; empty where an image has none.
        split: `name`, `words`, and whatever else makes the split repeatable (seed, fractions).
            `groups_apart: False` says that this split knowingly puts one group into several splits.
        source: where the raw data is from, in words.
        licence: of the raw data.
        options: how the images were prepared; `image_size` among them, `mirror: False` where mirror images
            would not be of their class.
        notes: what a reader should know, such as records that were left out.
        leakage: what was found of images in two splits.
        target: what the task asks for by default, of `TARGETS` or by the name of a plug-in's; None for classes if there
            are any, else masks, else boxes, else the image.
        masks: what the grey levels of the masks say, where there are masks.
        numbers: names of the columns of numbers.

    Raises:
        BadData: the table is not a manifest, or an image is missing.
    """
    check_name(name)
    where = f"manifest of task {name!r}"
    target = target or default_target(table, classes)
    _check(table, {**_truth_fields(masks, numbers), "classes": classes, "split": split, "target": target}, where)
    table = table.loc[:, columns_of(table, numbers)].reset_index(drop=True)
    _check_files_exist(table, task_dir, where)
    write_text(task_dir / "manifest.csv", table.to_csv(index=False, lineterminator="\n"))
    files = hashed_files(table)
    digests = digests_of([task_dir / file for file in files])
    write_list(task_dir, files, digests)
    info = {
        "name": name,
        "classes": list(classes),
        "counts": _counts(table, classes),
        **({"imbalance": imbalance(table, classes)} if classes else {}),
        "source": source,
        "licence": licence,
        "split": dict(split),
        "image_size": options.get("image_size"),
        "options": dict(options),
        "notes": list(notes),
        "leakage": dict(leakage) if leakage is not None else None,
        "manifest_sha256": file_sha256(task_dir / "manifest.csv"),
        "images_sha256": whole_digest(digests),
        **({} if target == "class" else {"target": target}),
        **_truth_fields(masks, numbers),
    }
    write_json(task_dir / "task.json", with_digest(info))
    return _read_task(task_dir, name)


def load_task(data_dir: Path, name: str) -> Task:
    """Read the prepared task `name` from `data_dir` and verify it.

    Args:
        data_dir: where prepared tasks lie.
        name: of the task; NAME:TARGET of one with truth of several kinds that is asked for this one.

    Raises:
        DataNotPrepared: there is no such finished task; the message prints the command that prepares it.
        BadData: `task.json` or `manifest.csv` was edited or damaged, or an image is missing.
    """
    name, _, target = name.partition(ASKS)
    check_name(name)
    data_dir = Path(data_dir)
    give_back(data_dir / name)
    if not (data_dir / name / "task.json").is_file():
        command = PREPARE_COMMANDS.get(name, f"pathsearch prepare folder --source FOLDER --name {name}")
        where = "" if data_dir == Path("data") else f" --data-dir {data_dir}"
        there = ", ".join(prepared_tasks(data_dir)) or "no task"
        near = difflib.get_close_matches(name, prepared_tasks(data_dir), n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise DataNotPrepared(
            f"task {name!r} is not prepared in {data_dir.absolute()} (prepared there: {there}); another folder is "
            f"named by --data-dir; {guess}or run: {command}{where}"
        )
    task = _read_task(data_dir / name, name)
    return task.asked(target) if target else task


def prepared_tasks(data_dir: Path) -> list[str]:
    """Names of the finished tasks in `data_dir`, sorted; none where the folder does not exist."""
    found = (file.parent.name for file in Path(data_dir).glob("*/task.json"))
    return sorted(name for name in found if not name.startswith("."))


def _read_task(task_dir: Path, name: str) -> Task:
    info = _read_info(task_dir / "task.json", name)
    manifest = task_dir / "manifest.csv"
    if not manifest.is_file():
        raise BadData(f"{manifest}: expected the manifest of task {name!r}, got no such file; prepare it again")
    digest = file_sha256(manifest)
    if digest != info["manifest_sha256"]:
        raise BadData(
            f"{manifest}: the manifest was edited after preparation (expected SHA-256 "
            f"{info['manifest_sha256'][:12]}…, got {digest[:12]}…); register the edited one with: "
            f"pathsearch prepare csv --source {manifest} --name NEW_NAME"
        )
    # Strings as they stand: a class named "NA" or a group "007" must survive.
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    classes = tuple(info["classes"])
    check_classes(
        classes, str(task_dir / "task.json"), or_none=len(table.columns) > len(COLUMNS) or without_labels(table)
    )
    _check(table, info, str(manifest))
    _check_files_exist(table, task_dir, str(manifest))
    if info["counts"] != (counts := _counts(table, classes)):
        raise BadData(
            f"{task_dir / 'task.json'}: expected the counts of the manifest, {counts}, got {info['counts']}; "
            f"prepare task {name!r} again with --overwrite"
        )
    own = with_digest(info)["sha256"]
    if info.get("sha256", own) != own:  # one of an earlier version has none
        raise BadData(
            f"{task_dir / 'task.json'}: expected what was written, SHA-256 {info['sha256'][:12]}…, got {own[:12]}…: "
            f"damaged or edited; put a copy back, or prepare task {name!r} again with --overwrite"
        )
    return Task(name=name, classes=classes, task_dir=task_dir, table=table, info=info, digest=digest)


def _read_info(file: Path, name: str) -> TaskInfo:
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        check_form(info)
    except (ValueError, OSError, RecursionError) as fault:
        raise BadData(
            f"{file}: expected the description of a prepared task, got {' '.join(str(fault).split())}; "
            f"prepare task {name!r} again with --overwrite"
        ) from fault
    if info["name"] != name:
        raise BadData(
            f"{file}: expected task {name!r}, got {info['name']!r}; was the folder renamed? "
            "Prepare it again under the new name"
        )
    return info


def _truth_fields(masks: MaskInfo | None, numbers: Sequence[str]) -> dict[str, Any]:
    """What `task.json` says of truth beyond the label: nothing where there is none."""
    return {
        **({"masks": {"names": list(masks["names"]), "levels": list(masks["levels"])}} if masks else {}),
        **({"numbers": list(numbers)} if numbers else {}),
    }


def _check(table: pd.DataFrame, info: Mapping[str, Any], where: str) -> None:
    """Refuse a table that is not the manifest of a task with these fields."""
    classes, numbers = info["classes"], info.get("numbers", ())
    check_table(table, classes, where, groups_apart=info["split"].get("groups_apart", True), numbers=numbers)
    if (MASK in table) != ("masks" in info):
        raise BadData(
            f"{where}: expected a column mask if task.json says what masks mean, and only then; prepare it again"
        )
    check_target(info.get("target", "class"), table, classes, where)


def _check_files_exist(table: pd.DataFrame, task_dir: Path, where: str) -> None:
    for row, file in enumerate(hashed_files(table)):
        if not (task_dir / file).is_file():
            kind = "image" if row < len(table) else "mask"
            raise BadData(f"{where}: expected {kind} {file}, got no such file below {task_dir}; prepare the task again")


def _counts(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    if not classes:
        return {split: {"images": int((table["split"] == split).sum())} for split in SPLITS}
    seen = table.groupby(["split", "label"]).size().to_dict()
    return {split: {name: int(seen.get((split, name), 0)) for name in classes} for split in SPLITS}


def imbalance(table: pd.DataFrame, classes: Sequence[str]) -> float:
    """How many times as many training images the largest class has as the smallest; at least 1."""
    sizes = table[table["split"] == "train"]["label"].value_counts()
    return float(max(sizes[name] for name in classes) / min(sizes[name] for name in classes))
