"""Answers as rows of CSV or JSON lines, each written as soon as it is known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from data_prep.errors import PathsearchError
from data_prep.table_words import BOX
from pathsearch.experts.answer import Answer
from pathsearch.experts.predict import Failure
from pathsearch.targets.target import Target

FORMATS = ("csv", "jsonl")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what makes a spreadsheet run a text
COLUMNS = ("file", "task", "class", "probability", "distance", "unknown", "error")

Cell = str | float | bool | dict[str, float] | None  # what stands in a row


def more_columns(targets: Iterable[Target], *, explained: bool = False) -> tuple[str, ...]:
    """The columns that tasks of these targets need beside those of every answer; none for classes.

    Args:
        targets: of all tasks of a model.
        explained: whether answers come with a picture that explains them.

    Returns:
        `mask`, the file, and of each label but background `LABEL_pixels` and `LABEL_share`; `x_min`, `y_min`, `x_max`
        and `y_max`, in pixels; `image`, the file; and `overlay`, the file, where answers are explained.
    """
    targets = list(targets)
    labels = dict.fromkeys(name for one in targets if one.gives == "mask" for name in one.names[1:])
    found: list[str] = []
    if labels:
        found += ["mask", *(column for name in labels for column in _area_columns(name))]
    if any(one.gives == "box" for one in targets):
        found += BOX
    if any(one.gives == "image" for one in targets):
        found.append("image")
    return (*found, "overlay") if found and explained else tuple(found)


class Rows:
    """Writes one row an image; `heat_map` is a column only where there are heat maps.

    In CSV an apostrophe stands before a text that a spreadsheet would run as a formula, such as a file name that begins
    with `=`; numbers stay as they are, and so does everything in JSON lines.

    Source: OWASP, "CSV injection".
    """

    def __init__(self, stream: TextIO, kind: str, with_heat: bool, more: Sequence[str] = ()) -> None:
        self.stream, self.kind = stream, kind
        middle = (*(("heat_map",) if with_heat else ()), *more)
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
    row: dict[str, Cell] = {
        "file": str(answer.source),
        "task": answer.task,
        "class": answer.label,
        "probability": None if answer.probability is None else float(f"{answer.probability:.6g}"),
        "distance": float(f"{answer.distance:.6g}"),
        "unknown": answer.unknown,
        "error": None,
        "probabilities": {name: float(f"{p:.6g}") for name, p in answer.probabilities.items()},
    }
    for name, area in answer.areas.items():
        row |= dict(zip(_area_columns(name), (area.pixels, float(f"{area.share:.6g}")), strict=True))
    if answer.box is not None:
        row |= {name: round(value, 2) for name, value in zip(BOX, answer.box, strict=True)}
    return row


def _area_columns(label: str) -> tuple[str, str]:
    return f"{label}_pixels", f"{label}_share"
