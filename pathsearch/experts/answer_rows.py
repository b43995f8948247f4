"""Answers as rows of CSV or JSON lines, each written as soon as it is known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from data_prep.errors import PathsearchError
from pathsearch.experts.answer import Answer
from pathsearch.experts.answer_columns import COLUMNS, HEAT_MAP, PROBABILITIES
from pathsearch.experts.predict import Failure

FORMATS = ("csv", "jsonl")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what makes a spreadsheet run a text

Cell = str | float | bool | dict[str, float] | None  # what stands in a row


class Rows:
    """Writes one row an image; `heat_map` is a column only where there are heat maps.

    In CSV an apostrophe stands before a text that a spreadsheet would run as a formula, such as a file name that begins
    with `=`; numbers stay as they are, and so does everything in JSON lines.

    Source: OWASP, "CSV injection".
    """

    def __init__(self, stream: TextIO, kind: str, with_heat: bool, more: Sequence[str] = ()) -> None:
        self.stream, self.kind = stream, kind
        middle = (*((HEAT_MAP,) if with_heat else ()), *more)
        self.columns = (*COLUMNS[:-1], *middle, COLUMNS[-1])
        if kind == "csv":
            stream.write(_line([_cell(name) for name in self.columns]))

    def write(
        self, answer: Answer | Failure, files: Mapping[str, Path] | None = None, error: str | None = None
    ) -> None:
        """Write one row and push it out.

        Args:
            answer: to one image.
            files: what was written of it, by column.
            error: why something that belongs to the answer is missing.
        """
        named = {name: str(file) for name, file in (files or {}).items()}
        row = _row(answer) | named | ({"error": error} if error else {})
        if self.kind == "csv":
            self.stream.write(_line([_cell(row.get(name)) for name in self.columns]))
        else:
            known = [name for name in (*self.columns, PROBABILITIES) if name in row]
            self.stream.write(json.dumps({name: row[name] for name in known}, allow_nan=False) + "\n")
        self.stream.flush()


def check_format(kind: str) -> None:
    """Refuse a format that is not one of ours."""
    if kind not in FORMATS:
        raise PathsearchError(f"--format: expected {' or '.join(FORMATS)}, got {kind!r}")


def _line(cells: Sequence[Cell]) -> str:
    """A line of CSV that ends in a line feed; the library quotes a carriage return only if its lines end in one."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()[:-2] + "\n"


def _cell(value: Cell) -> Cell:
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return str(value).lower() if isinstance(value, bool) else value


def _row(answer: Answer | Failure) -> dict[str, Cell]:
    if isinstance(answer, Failure):
        empty: dict[str, Cell] = dict.fromkeys(COLUMNS[1:-1])
        return {"file": str(answer.source), **empty, "error": answer.error}
    said: dict[str, Cell] = {
        "file": str(answer.source),
        "task": answer.task,
        "class": answer.label,
        "probability": None,
        "unknown": answer.unknown,
        "error": None,
        PROBABILITIES: {name: float(f"{p:.6g}") for name, p in answer.probabilities.items()},
    }
    return said | answer.numbers() | answer.derived
