"""The two word lists that every table of images shares."""

from __future__ import annotations

SPLITS = ("train", "val", "test")
COLUMNS = ("file", "label", "split", "group")
