"""What makes a table a manifest; each fault is one line with the row that shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

import pandas as pd

from data_prep.errors import BadData, PathsearchError
from data_prep.table_words import COLUMNS, MASK, SPLITS
from data_prep.task_form import PLAIN
from data_prep.truth_columns import check_truth, columns_of

RESERVED_NAMES = ("raw", "features")  # in the data folder: downloads, and encoded features
LONGEST_NAME = 100  # a file name may have 255 bytes, and runs and caches put more beside it


def check_name(name: str) -> None:
    """Refuse a task name that is not a plain folder name."""
    reserved = name.lower() in RESERVED_NAMES  # some file systems ignore case
    if not re.fullmatch(PLAIN, name) or reserved or len(name) > LONGEST_NAME:
        raise PathsearchError(
            f"task name: expected at most {LONGEST_NAME} letters, digits, '.', '_' or '-', and neither "
            f"{' nor '.join(RESERVED_NAMES)}, got {name!r:.150}; choose another --name"
        )


def check_classes(classes: Sequence[str], where: str, *, or_none: bool = False) -> None:
    """Refuse anything but two or more distinct, printable class names; none at all pass where `or_none` says so."""
    if len(classes) < 2 and not (or_none and not classes):
        or_what = ", or leave all labels empty" if or_none else ""
        raise BadData(
            f"{where}: expected at least two classes, got {_listed(classes)}; add images of a second class{or_what}"
        )
    if len(set(classes)) < len(classes):
        raise BadData(f"{where}: expected distinct class names, got {_listed(classes)}; name each class once")
    for name in classes:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise BadData(f"{where}: expected class names of printable characters, got {name!r}; rename the class")


def check_table(
    table: pd.DataFrame,
    classes: Sequence[str],
    where: str,
    *,
    groups_apart: bool = True,
    numbers: Sequence[str] = (),
) -> None:
    """Refuse a table that is not a manifest for `classes`.

    Args:
        table: one row an image.
        classes: the task's class names; there may be none where the table has other truth: then labels are empty.
        where: names the table in messages.
        groups_apart: whether no group may stand in two splits. Only a split that says in its words
            that it divides groups (`random`, `ds1-ds2`) turns this off.
        numbers: names of the columns of numbers.

    Raises:
        BadData: wrong columns, cells that are no strings, unknown splits or labels, unsafe or duplicate
            files, a class without an image in some split, a group in two splits, a box or a number that is none.
    """
    columns = columns_of(table, numbers)
    check_classes(classes, where, or_none=len(columns) > len(COLUMNS) or without_labels(table))
    if sorted(table.columns) != sorted(columns):
        raise BadData(f"{where}: expected the columns {','.join(columns)}, got {','.join(map(str, table.columns))}")
    if table.empty:
        raise BadData(f"{where}: expected one row an image, got none; is the source empty?")
    _check_cells(table, classes, where)
    _check_files(table["file"], where)
    if MASK in table:
        _check_files(table[MASK][table[MASK] != ""], where)
    check_truth(table, numbers, where)
    _check_every_class_in_every_split(table, classes, where)
    if groups_apart:
        _check_groups(table, where)


def without_labels(table: pd.DataFrame) -> bool:
    """Whether no image has a label: where there is no other truth either, a task asks for the images themselves."""
    return "label" in table and bool((table["label"] == "").all())


def _check_cells(table: pd.DataFrame, classes: Sequence[str], where: str) -> None:
    for column in table.columns:
        good = table[column].map(lambda cell: isinstance(cell, str) and (cell == "" or cell.isprintable()))
        if not good.all():
            row = int((~good.to_numpy(dtype=bool)).argmax())
            raise BadData(
                f"{where}, {_line(row)}: expected printable text as {column}, got {table[column].iloc[row]!r}"
            )
    for column, allowed in (("split", SPLITS), ("label", tuple(classes) or ("",))):
        good = table[column].isin(list(allowed))
        if not good.all():
            row = int((~good.to_numpy(dtype=bool)).argmax())
            raise BadData(
                f"{where}, {_line(row)}: expected as {column} one of {_listed(allowed)}, "
                f"got {table[column].iloc[row]!r}; correct the row or leave the image out"
            )


def _check_files(files: pd.Series, where: str) -> None:
    for row, file in zip(files.index, files, strict=True):
        if not is_inside(file):
            raise BadData(
                f"{where}, {_line(int(row))}: expected a file inside the task's folder, '/' between folders, "
                f"got {file!r}; correct the row"
            )
    twice = files[files.duplicated()]
    if len(twice):
        raise BadData(
            f"{where}: expected each file once, got {twice.iloc[0]!r} again in "
            f"{_line(int(twice.index[0]))}; remove one row"
        )


def is_inside(file: str) -> bool:
    """Whether `file` is relative and cannot climb out of the folder it is relative to, on any system."""
    posix, windows = PurePosixPath(file), PureWindowsPath(file)
    absolute = posix.is_absolute() or windows.drive or windows.root
    return bool(file) and not absolute and "\\" not in file and ".." not in posix.parts and posix.parts != ()


def _check_every_class_in_every_split(table: pd.DataFrame, classes: Sequence[str], where: str) -> None:
    present = set(zip(table["split"], table["label"], strict=True))
    for split in SPLITS:
        for name in classes or ("",):
            if (split, name) not in present:
                of_class = f" of class {name!r}" if name else ""
                raise BadData(
                    f"{where}: expected at least one image{of_class} in split {split!r}, got none; "
                    "add images or choose another --split"
                )


def _check_groups(table: pd.DataFrame, where: str) -> None:
    known = table[table["group"] != ""]
    n_splits = known.groupby("group")["split"].nunique()
    torn = n_splits[n_splits > 1]
    if len(torn):
        group = str(torn.index[0])
        splits = sorted(set(known.loc[known["group"] == group, "split"]), key=SPLITS.index)
        raise BadData(
            f"{where}: expected each group in one split, got group {group!r} in {' and '.join(splits)} "
            f"({len(torn)} such groups); use --split patient, or empty the group column"
        )


def _line(row: int) -> str:
    return f"line {row + 2}"  # line 1 is the header


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
