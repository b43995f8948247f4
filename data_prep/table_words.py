"""The word lists that every table of images shares."""

from __future__ import annotations

SPLITS = ("train", "val", "test")
COLUMNS = ("file", "label", "split", "group")
SPLIT_WORDS = {  # what others call them
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
