"""Answers as rows of CSV or JSON lines, each written as soon as it is known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from data_prep.errors import PathsearchError
from pathsearch.experts.model import Answer
from pathsearch.experts.predict import Failure

FORMATS = ("csv", "jsonl")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what makes a spreadsheet run a text
COLUMNS = ("file", "task", "class", "probability", "distance", "unknown", "error")

Cell = str | float | bool | dict[str, float] | None  # what stands in a row


class Rows:
    """Writes one row an image; `heat_map` is a column only where there are heat maps.

    In CSV an apostrophe stands before a text that a spreadsheet would run as a formula, such as a file name that begins
    with `=`; numbers stay as they are, and so does everything in JSON lines.

    Source: OWASP, "CSV injection".
    """

    def __init__(self, stream: TextIO, kind: str, with_heat: bool) -> None:
        self.stream, self.kind = stream, kind
        self.columns = (*COLUMNS[:-1], "heat_map", COLUMNS[-1]) if with_heat else COLUMNS
        if kind == "csv":
            stream.write(_line(self.columns))

    def write(self, answer: Answer | Failure, heat_map: Path | None = None, error: str | None = None) -> None:
        """Write one row and push it out; `error` says why an answer has no heat map."""
        row = _row(answer) | ({"heat_map": str(heat_map)} if heat_map else {}) | ({"error": error} if error else {})
        if self.kind == "csv":
            self.stream.write(_line([_cell(row.get(name)) for name in self.columns]))
        else:
            known = [name for name in (*self.columns, "probabilities") if name in row]
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
    return {
        "file": str(answer.source),
        "task": answer.task,
        "class": answer.label,
        "probability": None if answer.probability is None else float(f"{answer.probability:.6g}"),
        "distance": float(f"{answer.distance:.6g}"),
        "unknown": answer.unknown,
        "error": None,
        "probabilities": {name: float(f"{p:.6g}") for name, p in answer.probabilities.items()},
    }
