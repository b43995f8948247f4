"""A user's table of images as the manifest has it: its separator is found, its columns are judged by their names."""

from __future__ import annotations

import csv
import re
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from data_prep.errors import BadData
from data_prep.table_words import COLUMNS, SPLIT_WORDS

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
RESEMBLES = 0.8  # of difflib's ratio: groups, lable and split_ do, patient and filename do not


def read_table(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """The manifest's columns of a table, as strings, and notes on what was ignored in it.

    `valid`, `validation`, `training` and `testing` are splits too. A table without split or group has empty ones.

    Raises:
        BadData: it is no table, has no rows or no file and label, a file twice, or a column that resembles one of the
            manifest's without being it: a `Group` that is ignored would let patients stand in two splits.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        separator = _separator(text)
        table = pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError, csv.Error) as error:  # pandas' parser errors and bad encodings are ValueErrors
        reason = " ".join(str(error).split())
        raise BadData(f"{file}: expected a CSV table in UTF-8, got {reason}; export it again") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas would take the first column for names of rows
        raise BadData(f"{file}: expected as many cells in a row as in the header, got more; export it again")
    columns = [str(column) for column in table.columns]
    _check_columns(columns, file)
    missing = {"file", "label"} - set(columns)
    if missing or table.empty:
        got = "no rows" if table.empty and not missing else ",".join(columns)
        raise BadData(f"{file}: expected rows under a header with file,label[,split][,group], got {got}")
    twice = table["file"][table["file"].duplicated()]
    if len(twice):
        raise BadData(f"{file}: expected each file once, got {twice.iloc[0]!r} again; remove one row")
    ignored = [column for column in columns if column not in COLUMNS]
    table = table.reindex(columns=list(COLUMNS), fill_value="")
    table["split"] = [SPLIT_WORDS.get(split.strip().lower(), split) for split in table["split"]]
    return table, _notes(ignored)


def _separator(text: str) -> str:
    """What stands between the names of the header; commas where nothing does."""
    header = text.splitlines()[:1]
    found = {separator: len(next(csv.reader(header, delimiter=separator), [])) for separator in SEPARATORS}
    return max(found, key=lambda separator: found[separator])


def _check_columns(columns: list[str], file: Path) -> None:
    for column in columns:
        alike = get_close_matches(re.sub(r"[\W\d_]+", "", column.casefold()), COLUMNS, n=1, cutoff=RESEMBLES)
        if alike and column not in COLUMNS:
            raise BadData(
                f"{file}: expected columns called {', '.join(COLUMNS)}, got {column!r}; call it {alike[0]!r} if that "
                "is meant, or else something that looks less like it"
            )


def _notes(ignored: list[str]) -> list[str]:
    if not ignored:
        return []
    names = ", ".join(map(repr, ignored))
    return [f"columns that were ignored: {names}; only one called group keeps a patient's images in one split"]
