"""A prepared task as it was read: its images, their truth of every kind, its splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import pandas as pd

from data_prep.image_digests import check_images
from data_prep.stacks import Form, form_of, mask_stack, picture_stack
from data_prep.table_words import ASKS, BOX, MASK, SPLITS, TARGETS, folder_of
from data_prep.truth_columns import as_numbers, check_target, hashed_files

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on


class SplitInfo(TypedDict):
    """How the split was made; no more than name and words where a user made it."""

    name: str
    words: str
    seed: NotRequired[int]
    fractions: NotRequired[dict[str, float] | None]
    groups_apart: NotRequired[bool]


class MaskInfo(TypedDict):
    """What the pixels of a task's masks say: class k is called `names[k]` and has the grey level `levels[k]`."""

    names: list[str]  # background first
    levels: list[int]


class TaskInfo(TypedDict):
    """The fields of `task.json`; tasks of earlier versions lack some."""

    name: str
    classes: list[str]  # empty where images have no label
    counts: dict[str, dict[str, int]]  # images, by split and class; where there are no classes, of `images`
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
    target: NotRequired[str]  # what the task asks for, if not its classes
    masks: NotRequired[MaskInfo]
    numbers: NotRequired[list[str]]  # columns of numbers beside the image


@dataclass(frozen=True, eq=False)
class Task:
    """A named problem on images with its truth and its splits, as `load_task` found it on disk.

    Attributes:
        name: the task's name, also the name of its folder; with `:TARGET` after it where another target is asked for
            than `task.json` says.
        classes: class names; a class index is a position in this tuple. Empty where images have no label.
        task_dir: the folder with `manifest.csv`, `task.json`, `images.sha256`, `images/` and, if need be, `masks/`.
        table: one row an image, columns `COLUMNS` and those of further truth, all strings, rows in the order of
            `manifest.csv`.
        info: `task.json` as it was read.
        digest: SHA-256 of the bytes of `manifest.csv`, in hex. It covers names, labels, boxes, numbers and splits, not
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
        """SHA-256 over the bytes of all images, then all masks, in row order when the task was saved, in hex."""
        return self.info["images_sha256"]

    def verify_images(self, memory_file: Path | None = None) -> None:
        """Compare the bytes of all images and masks with the digests of the preparation; say nothing if they are right.

        Args:
            memory_file: a small JSON that remembers files that were found right, such as one in a cache. As long as
                their size, times and inode stay, they are not read again. Damage to it costs time, nothing else.

        Raises:
            BadData: an image or a mask is missing or changed; the line names the first.
        """
        check_images(self.task_dir.absolute(), hashed_files(self.table), self.images_digest, memory_file)

    @property
    def fingerprint(self) -> str:
        """Short digest of manifest and images together: equal for equal data, truth and splits."""
        return f"{self.digest[:16]}-{self.images_digest[:16]}"

    @property
    def mirror(self) -> bool:
        """Whether views may be mirrored; not so where time runs to the right, or names have sides."""
        return bool(self.info["options"].get("mirror", True))

    @property
    def target(self) -> str:
        """What the task asks for, by name; one of its classes, if it says nothing."""
        return str(self.info.get("target", "class"))

    @property
    def targets(self) -> tuple[str, ...]:
        """What the task has truth for, of `TARGETS`, with `target` first; the images themselves always."""
        there = {"class": bool(self.classes), "mask": bool(self.mask_names), "box": BOX[0] in self.table, "image": True}
        return (self.target, *(kind for kind in TARGETS if there[kind] and kind != self.target))

    def asked(self, target: str) -> Task:
        """The same images and splits, asked for another target that there is truth for.

        Raises:
            BadData: there is none in some split; of a plug-in's target nothing is known here.
        """
        if target == self.target:
            return self
        check_target(target, self.table, self.classes, f"task {self.folder}")
        name, info = f"{self.folder}{ASKS}{target}", cast("TaskInfo", {**self.info, "target": target})
        return replace(self, name=name, info=info)

    @property
    def folder(self) -> str:
        """The name of its folder, which tasks share that ask the same images for different targets."""
        return folder_of(self.name)

    @property
    def mask_names(self) -> tuple[str, ...]:
        """Names of the classes of a mask's pixels, background first; none where the task has no masks."""
        return tuple(self.info["masks"]["names"]) if "masks" in self.info else ()

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of the numbers beside an image."""
        return tuple(self.info.get("numbers", ()))

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of `split` in the table, ascending, int64."""
        if split not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
        return np.flatnonzero(self.table["split"].to_numpy() == split).astype(np.int64)

    def files(self) -> list[Path]:
        """Image files of all rows, in row order, below `task_dir`."""
        return [self.task_dir.absolute() / file for file in self.table["file"]]

    def labels(self, split: str) -> np.ndarray:
        """Class indices of a split's images in the order of `rows(split)`, int64; -1 where the task has no classes."""
        index: Mapping[str, int] = {"": -1, **{name: i for i, name in enumerate(self.classes)}}
        names = self.table["label"].to_numpy()[self.rows(split)]
        return np.array([index[name] for name in names], dtype=np.int64)

    def groups(self, split: str) -> np.ndarray:
        """Group names of a split's images in the order of `rows(split)`, "" where unknown; strings."""
        return self.table["group"].to_numpy()[self.rows(split)].astype(str)

    def pictures(self, split: str) -> np.ndarray:
        """The images of a split in the order of `rows(split)`, uint8.

        They are (n, H, W) if all images of the task are grey, else (n, H, W, 3).

        Raises:
            BadData: the task's images have several sizes, or one does not decode.
        """
        files = self.files()
        return picture_stack([files[row] for row in self.rows(split)], self.form)

    def masks(self, split: str) -> np.ndarray:
        """(n, H, W) uint8 in the order of `rows(split)`: indices into `mask_names`, 255 where the image has no mask.

        Raises:
            BadData: the task's images have several sizes; a mask does not decode or is not what `task.json` says.
        """
        rows, folder = self.rows(split), self.task_dir.absolute()
        names = self.table[MASK].to_numpy()[rows] if MASK in self.table else [""] * len(rows)
        levels = self.info["masks"]["levels"] if "masks" in self.info else []
        return mask_stack([folder / name if name else None for name in names], levels, self.form)

    def boxes(self, split: str) -> np.ndarray:
        """(n, 4) float32: x_min, y_min, x_max, y_max of a split's images in pixels; NaN where there is none.

        Pixels are counted from the outer edge of the first one: a box around the whole image is 0, 0, width, height.
        """
        return as_numbers(self.table, BOX)[self.rows(split)]

    def numbers(self, split: str) -> np.ndarray:
        """(n, k) float32: the numbers beside a split's images, in the order of `number_names`; NaN where unknown."""
        return as_numbers(self.table, self.number_names)[self.rows(split)]

    @cached_property
    def form(self) -> Form:
        """Size of the images in pixels, and whether all are grey.

        Raises:
            BadData: they have several sizes.
        """
        return form_of(self.files(), f"task {self.name!r}")
