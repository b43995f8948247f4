"""The word lists that every table of images shares."""

from __future__ import annotations

SPLITS = ("train", "val", "test")
COLUMNS = ("file", "label", "split", "group")
MASK = "mask"  # a further column, where a task has masks
BOX = ("x_min", "y_min", "x_max", "y_max")  # and these, where it has boxes
TARGETS = ("class", "mask", "box", "image")  # what a task can ask for by its own truth
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
