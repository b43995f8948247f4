"""Rows of a run's log as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.whole_files import write_text


def write_table(file: Path, rows: Sequence[Mapping[str, str | float | None]]) -> None:
    """Write rows of equal keys as CSV, whole; floats in full, so that equal runs give equal files."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(file, text.getvalue())
