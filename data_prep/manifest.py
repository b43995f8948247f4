"""The prepared form of a task: `manifest.csv`, `task.json`, `images/`; written once, checked at each load."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd

from data_prep.errors import BadData, DataNotPrepared
from data_prep.folder_swap import give_back
from data_prep.image_digests import check_images, digests_of, whole_digest, write_list
from data_prep.table_checks import check_classes, check_name, check_table
from data_prep.table_words import COLUMNS, SPLITS
from data_prep.task_form import check_form, with_digest
from data_prep.whole_files import file_sha256, write_json, write_text

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on

__all__ = [
    "COLUMNS",
    "SPLITS",
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
}


class SplitInfo(TypedDict):
    """How the split was made; no more than name and words where a user made it."""

    name: str
    words: str
    seed: NotRequired[int]
    fractions: NotRequired[dict[str, float] | None]
    groups_apart: NotRequired[bool]


class TaskInfo(TypedDict):
    """The fields of `task.json`; tasks of earlier versions lack some."""

    name: str
    classes: list[str]
    counts: dict[str, dict[str, int]]  # images, by split and class
    imbalance: NotRequired[float]
    source: str
    licence: str
    split: SplitInfo
    image_size: NotRequired[int | None]
    options: dict[str, object]  # how the images were prepared
    notes: list[str]
    leakage: NotRequired[dict[str, object] | None]
    manifest_sha256: str
    images_sha256: str
    sha256: NotRequired[str]  # of all others


@dataclass(frozen=True, eq=False)
class Task:
    """A named classification problem with classes and splits, as `load_task` found it on disk.

    Attributes:
        name: the task's name, also the name of its folder.
        classes: class names; a class index is a position in this tuple.
        task_dir: the folder with `manifest.csv`, `task.json`, `images.sha256` and `images/`.
        table: one row an image, columns `COLUMNS`, all strings, rows in the order of `manifest.csv`.
        info: `task.json` as it was read.
        digest: SHA-256 of the bytes of `manifest.csv`, in hex. It covers names, labels and splits, not
            pixels: what depends on pixels is keyed by `images_digest` as well.
    """

    name: str
    classes: tuple[str, ...]
    task_dir: Path
    table: pd.DataFrame
    info: TaskInfo
    digest: str

    @property
    def split_name(self) -> str:
        """How the split was made, in one word: `random`, `patient`, `official` or `ds1-ds2`."""
        return self.info["split"]["name"]

    @property
    def split_in_words(self) -> str:
        """How the split was made, as a phrase to print next to every number that stands on it."""
        return self.info["split"]["words"]

    @property
    def images_digest(self) -> str:
        """SHA-256 over the bytes of all images in row order when the task was saved, in hex."""
        return self.info["images_sha256"]

    def verify_images(self, memory_file: Path | None = None) -> None:
        """Compare the bytes of all images with the digests of the preparation; say nothing if they are right.

        Args:
            memory_file: a small JSON that remembers files that were found right, such as one in a cache. As long as
                their size, times and inode stay, they are not read again. Damage to it costs time, nothing else.

        Raises:
            BadData: an image is missing or changed; the line names the first.
        """
        check_images(self.task_dir.absolute(), self.table["file"].tolist(), self.images_digest, memory_file)

    @property
    def fingerprint(self) -> str:
        """Short digest of manifest and images together: equal for equal data, labels and splits."""
        return f"{self.digest[:16]}-{self.images_digest[:16]}"

    @property
    def mirror(self) -> bool:
        """Whether an image's mirror image is still one of its class; not so where time runs to the right."""
        return bool(self.info["options"].get("mirror", True))

    @property
    def target(self) -> str:
        """What the task asks for, by name; one of its classes, if it says nothing."""
        return str(self.info.get("target", "class"))

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of `split` in the table, ascending, int64."""
        if split not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
        return np.flatnonzero(self.table["split"].to_numpy() == split).astype(np.int64)

    def files(self) -> list[Path]:
        """Image files of all rows, in row order, below `task_dir`."""
        return [self.task_dir.absolute() / file for file in self.table["file"]]

    def labels(self, split: str) -> np.ndarray:
        """Class indices of a split's images in the order of `rows(split)`, int64."""
        index = {name: i for i, name in enumerate(self.classes)}
        names = self.table["label"].to_numpy()[self.rows(split)]
        return np.array([index[name] for name in names], dtype=np.int64)

    def groups(self, split: str) -> np.ndarray:
        """Group names of a split's images in the order of `rows(split)`, "" where unknown; strings."""
        return self.table["group"].to_numpy()[self.rows(split)].astype(str)


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
    target: str = "class",
) -> Task:
    """Write `manifest.csv` and `images.sha256`, then `task.json`, for images that already lie in `task_dir`.

    `task.json` comes last, so a folder without it is an unfinished task.

    Args:
        task_dir: the task's folder; the table's files are relative to it.
        name: letters, digits, `.`, `_`, `-`.
        classes: at least two class names, in the order of their indices.
        table: one row an image, columns `COLUMNS`.
        split: `name`, `words`, and whatever else makes the split repeatable (seed, fractions).
            `groups_apart: False` says that this split knowingly puts one group into several splits.
        source: where the raw data is from, in words.
        licence: of the raw data.
        options: how the images were prepared; `image_size` among them, `mirror: False` where mirror images
            would not be of their class.
        notes: what a reader should know, such as records that were left out.
        leakage: what was found of images in two splits.
        target: what the task asks for: one of its classes, or what a plug-in reads from them.

    Raises:
        BadData: the table is not a manifest, or an image is missing.
    """
    check_name(name)
    where = f"manifest of task {name!r}"
    check_classes(classes, where)
    check_table(table, classes, where, groups_apart=split.get("groups_apart", True))
    table = table.loc[:, list(COLUMNS)].reset_index(drop=True)
    _check_files_exist(table, task_dir, where)
    write_text(task_dir / "manifest.csv", table.to_csv(index=False, lineterminator="\n"))
    digests = digests_of([task_dir / file for file in table["file"]])
    write_list(task_dir, table["file"].tolist(), digests)
    info = {
        "name": name,
        "classes": list(classes),
        "counts": _counts(table, classes),
        "imbalance": imbalance(table, classes),
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
    }
    write_json(task_dir / "task.json", with_digest(info))
    return _read_task(task_dir, name)


def load_task(data_dir: Path, name: str) -> Task:
    """Read the prepared task `name` from `data_dir` and verify it.

    Raises:
        DataNotPrepared: there is no such finished task; the message prints the command that prepares it.
        BadData: `task.json` or `manifest.csv` was edited or damaged, or an image is missing.
    """
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
    return _read_task(data_dir / name, name)


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
    check_classes(classes, str(task_dir / "task.json"))
    check_table(table, classes, str(manifest), groups_apart=info["split"].get("groups_apart", True))
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


def _check_files_exist(table: pd.DataFrame, task_dir: Path, where: str) -> None:
    for file in table["file"]:
        if not (task_dir / file).is_file():
            raise BadData(f"{where}: expected image {file}, got no such file below {task_dir}; prepare the task again")


def _counts(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    seen = table.groupby(["split", "label"]).size().to_dict()
    return {split: {name: int(seen.get((split, name), 0)) for name in classes} for split in SPLITS}


def imbalance(table: pd.DataFrame, classes: Sequence[str]) -> float:
    """How many times as many training images the largest class has as the smallest; at least 1."""
    sizes = table[table["split"] == "train"]["label"].value_counts()
    return float(max(sizes[name] for name in classes) / min(sizes[name] for name in classes))
