"""Columns of a manifest beyond the label: a mask's file, a box, numbers; what they may hold, and their values."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from data_prep.errors import BadData
from data_prep.table_words import BOX, COLUMNS, MASK, SPLITS, TARGETS

DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LARGEST = 3e38  # of a float32
ROUNDING = 1e-3  # pixels that a box may reach beyond the image


def columns_of(table: pd.DataFrame, numbers: Sequence[str]) -> list[str]:
    """All columns of a manifest like this table, in their order."""
    return [*COLUMNS, *(MASK,) * (MASK in table), *BOX * (BOX[0] in table), *numbers]


def hashed_files(table: pd.DataFrame) -> list[str]:
    """What digests cover: the images in row order, then the masks."""
    masks = table[MASK].tolist() if MASK in table else []
    return [*table["file"].tolist(), *(name for name in masks if name)]


def as_numbers(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """(n, k) float32 of k columns of decimal numbers; NaN where a cell is empty or the table has no such column."""
    values = np.full((len(table), len(columns)), np.nan, np.float32)
    for k, column in enumerate(columns):
        if column in table:
            values[:, k] = [float(cell) if cell else np.nan for cell in table[column]]
    return values


def check_number_names(numbers: Sequence[str], where: str) -> None:
    """Refuse names of numbers that cannot be columns beside the others."""
    for name in numbers:
        taken = name in (*COLUMNS, MASK, *BOX)
        if taken or not name.strip() or not name.isprintable() or list(numbers).count(name) > 1:
            what = "is another column" if taken else "stands twice" if list(numbers).count(name) > 1 else "is no name"
            raise BadData(f"{where}: expected numbers with names of their own, got {name!r}, which {what}; rename it")


def check_truth(table: pd.DataFrame, numbers: Sequence[str], where: str, size: int | None = None) -> None:
    """Refuse cells of these columns that are no mask, box or number.

    Args:
        table: with the columns of a manifest.
        numbers: names of the columns of numbers.
        where: names the table in messages.
        size: side of the images in pixels, where they are squares of one size.
    """
    check_number_names(numbers, where)
    boxed = list(BOX) if BOX[0] in table else []
    for column in [*boxed, *numbers]:
        good = np.array([not cell or is_decimal(cell) for cell in table[column]], dtype=bool)
        if not good.all():
            row = int(np.argmin(good))
            raise BadData(
                f"{where}, image {table['file'].iloc[row]}: expected a decimal number as {column}, or nothing, got "
                f"{table[column].iloc[row]!r}; write it with digits and a point"
            )
    if not boxed:
        return
    for row, box in enumerate(as_numbers(table, BOX).astype(float)):
        if fault := box_fault(box, size, size):
            raise BadData(f"{where}, image {table['file'].iloc[row]}: {fault}")


def is_decimal(cell: str) -> bool:
    """Whether a cell is a finite number as a person writes it; such as inf, 1_000 or 0x10 are none."""
    return DECIMAL.fullmatch(cell) is not None and abs(float(cell)) < LARGEST


def box_fault(box: Sequence[float] | np.ndarray, width: float | None, height: float | None) -> str:
    """What is wrong with a box, as expected, got and next step; nothing if it is right or all NaN."""
    x_min, y_min, x_max, y_max = (float(value) for value in box)
    got = f"{x_min:g},{y_min:g},{x_max:g},{y_max:g}"
    n_missing = int(np.isnan([x_min, y_min, x_max, y_max]).sum())
    if n_missing:
        half = f"expected all four of {','.join(BOX)} or none, got {got}; fill in or empty the cells"
        return half if n_missing < 4 else ""
    if x_min >= x_max or y_min >= y_max:
        return f"expected a box with x_min below x_max and y_min below y_max, got {got}, inside out; correct it"
    beyond = (width is not None and x_max > width + ROUNDING) or (height is not None and y_max > height + ROUNDING)
    if min(x_min, y_min) < -ROUNDING or beyond:
        size = "" if width is None else f" of {width:g} × {height:g} pixels"
        return f"expected a box inside its image{size}, got {got}, which reaches beyond it; correct or empty it"
    return ""


def check_target(target: str, table: pd.DataFrame, classes: Sequence[str], where: str) -> None:
    """Refuse a target that the table has no truth for in some split; of a plug-in's nothing is known here."""
    if target not in TARGETS or target == "image":
        return
    column = {"class": "label", "mask": MASK, "box": BOX[0]}[target]
    there = column in table and (target != "class" or bool(classes))
    if not there:
        also = [kind for kind in TARGETS if kind == "image" or (kind == "class" and classes)]
        raise BadData(
            f"{where}: expected truth for the target {target!r}, got none of it; give it, or choose another --target "
            f"(such as {also[0]})"
        )
    for split in SPLITS:
        if not (table[column][table["split"] == split] != "").any():
            raise BadData(
                f"{where}: expected at least one image with a {target} in split {split!r}, since the task asks for "
                "it, got none; add some, or choose another --split or --target"
            )


def default_target(table: pd.DataFrame, classes: Sequence[str]) -> str:
    """What a task asks for if nobody says: its classes if it has any, else masks, else boxes, else its images."""
    return "class" if classes else "mask" if MASK in table else "box" if BOX[0] in table else "image"
