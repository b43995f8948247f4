"""A user's table of images as the manifest has it: its separator is found, its columns are judged by their names."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from data_prep.errors import BadData
from data_prep.table_words import BOX, COLUMNS, MASK, SPLIT_WORDS
from data_prep.truth_columns import check_number_names, check_truth

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
HEADER = "file,label[,split][,group]"
BEYOND = (MASK, *BOX)
RESEMBLES = 0.8  # of difflib's ratio: groups, lable and split_ do, patient and filename do not


def read_table(file: Path, numbers: Sequence[str] = ()) -> tuple[pd.DataFrame, list[str]]:
    """The manifest's columns of a table, as strings without spaces around them, and notes on what was ignored in it.

    `valid`, `validation`, `training` and `testing` are splits too. A table without split or group has empty ones; one
    with masks, boxes or numbers may be without labels. Blank lines are skipped.

    Args:
        file: the table.
        numbers: columns that hold numbers.

    Raises:
        BadData: it is no table, has no rows or no file and label, an empty one of these, a file twice, a box or number
            that is none, or a column that resembles one of the manifest's without being it: a `Group` that is ignored
            would let patients stand in two splits.
    """
    with _faults_named(file):
        text = _from_header(file.read_text(encoding="utf-8-sig"))
        separator, columns = _header(text)
    check_number_names(numbers, "--numbers")
    _check_columns(columns, text, file, numbers)
    with _faults_named(file):
        # Its header is a row like the others: pandas would rename columns, and take longer rows' first cells for names.
        rows = pd.read_csv(
            io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False, skipinitialspace=True
        )
        table = (
            rows.apply(lambda column: column.str.strip()).set_axis(columns, axis=1).iloc[1:]
        )  # its index counts rows from 1
    beyond = [*(column for column in BEYOND if column in columns), *numbers]
    ignored = [column for column in columns if column not in (*COLUMNS, *beyond)]
    table = table[(table != "").any(axis=1)]
    kept = [*(column for column in COLUMNS if column in columns), *beyond]
    table = table[kept].reindex(columns=[*COLUMNS, *beyond], fill_value="")
    _check_rows(table, file)
    check_truth(table, numbers, str(file))
    table["split"] = [SPLIT_WORDS.get(split.lower(), split) for split in table["split"]]
    return table.reset_index(drop=True), _notes(ignored)


@contextmanager
def _faults_named(file: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, csv.Error) as error:  # pandas' parser errors and bad encodings are ValueErrors
        reason = " ".join(str(error).split())
        raise BadData(f"{file}: expected a CSV table in UTF-8, got {reason}; export it again") from error


def _from_header(text: str) -> str:
    """The table with its blank lines before the header bare, so that pandas skips them and still counts them."""
    return re.sub(r"\A[\s,;]*\n", lambda blank: "\n" * blank.group().count("\n"), text)


def _header(text: str) -> tuple[str, list[str]]:
    """What stands between the names of the header, commas where nothing does, and the names."""
    lines = text.lstrip("\n")
    found = {
        separator: next(csv.reader(io.StringIO(lines), delimiter=separator, skipinitialspace=True), [])
        for separator in SEPARATORS
    }
    separator = max(found, key=lambda separator: len(found[separator]))
    return separator, [name.strip() for name in found[separator]]


def _check_columns(columns: list[str], text: str, file: Path, numbers: Sequence[str]) -> None:
    first = text.lstrip("\n").partition("\n")[0]
    if not {"file", "label"} & set(columns) and first.lstrip(' "').startswith("#"):
        raise BadData(
            f"{file}: expected the header {HEADER} as the first line, got {first!r:.100}; remove what stands before "
            "the header"
        )
    known = {_letters(column): column for column in (*COLUMNS, *BEYOND)}
    for column in columns:
        alike = [known[one] for one in get_close_matches(_letters(column), known, n=1, cutoff=RESEMBLES)]
        if alike and column not in (*COLUMNS, *BEYOND, *numbers):
            called = COLUMNS if alike[0] in COLUMNS else BEYOND
            raise BadData(
                f"{file}: expected columns called {', '.join(called)}, got {column!r}; call it {alike[0]!r} if that "
                "is meant, or else something that looks less like it"
            )
        if (alike or column in numbers) and columns.count(column) > 1:
            raise BadData(f"{file}: expected one column called {column!r}, got {columns.count(column)}; remove one")
    lost = [name for name in numbers if name not in columns]
    if columns and lost:
        raise BadData(f"--numbers: expected columns of {file}, got {lost[0]!r}; there are {', '.join(columns)}")
    if 0 < len(set(BOX) & set(columns)) < len(BOX):
        raise BadData(f"{file}: expected all of {','.join(BOX)} for boxes, got {','.join(columns)}; add the others")
    truth = {"label"} if "label" in columns else {*BEYOND, *numbers} & set(columns)
    if columns and not ("file" in columns and truth):
        raise BadData(f"{file}: expected rows under a header with {HEADER}, got {','.join(columns)}; name the columns")


def _letters(name: str) -> str:
    return re.sub(r"[\W\d_]+", "", name.casefold())


def _check_rows(table: pd.DataFrame, file: Path) -> None:
    if table.empty:
        raise BadData(f"{file}: expected rows under a header with {HEADER}, got no rows; add one for each image")
    seen: dict[str, int] = {}
    unlabelled = len(table.columns) > len(COLUMNS) and not (table["label"] != "").any()
    for row, name, label in table[["file", "label"]].itertuples():
        if not name or not (label or unlabelled):
            got = f"an empty cell in row {row} below the header, " + (f"file {name!r}" if name else f"label {label!r}")
            raise BadData(f"{file}: expected a file and a label in each row, got {got}; fill it in or remove the row")
        path = os.path.normpath(file.parent.absolute() / name)  # ./a.png is a.png
        if path in seen:
            raise BadData(
                f"{file}: expected each file once, got {name!r} again in row {row} below the header, after "
                f"{table['file'][seen[path]]!r} in row {seen[path]}; remove one row"
            )
        seen[path] = row


def _notes(ignored: list[str]) -> list[str]:
    if not ignored:
        return []
    names = ", ".join(map(repr, ignored))
    return [f"columns that were ignored: {names}; only one called group keeps a patient's images in one split"]
