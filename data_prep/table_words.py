"""The word lists that every table of images shares."""

from __future__ import annotations

from collections.abc import Iterable

SPLITS = ("train", "val", "test")
COLUMNS = ("file", "label", "split", "group")
MASK = "mask"  # a further column, where a task has masks
BOX = ("x_min", "y_min", "x_max", "y_max")  # and these, where it has boxes
TARGETS = ("class", "mask", "box", "image")  # what a task can ask for by its own truth
ASKS = ":"  # between the name of a task and the target that it is asked for, where it has several
NO_MASK = 255  # of each pixel of a mask that an image does not have
SPLIT_WORDS = {  # what others call them
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def folder_of(task: str) -> str:
    """The name of a task's folder, of its own name, which may say a target."""
    return task.partition(ASKS)[0]


def by_folder(tasks: Iterable[str]) -> dict[str, list[str]]:
    """Names of tasks by their folder, both in the order in which they come: those of one folder see the same images."""
    found: dict[str, list[str]] = {}
    for task in tasks:
        found.setdefault(folder_of(task), []).append(task)
    return found


def as_file_name(task: str) -> str:
    """A task's name as part of a file's: some systems allow no colon there."""
    return task.replace(ASKS, "-")
