"""How every figure looks, how it is saved, and how the files that it is made from are read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data_prep.errors import PathsearchError
from data_prep.whole_files import appears_whole

COLUMN, PAGE = 3.5, 7.0  # widths of one and of two printed columns, inches
SMALL = 7  # points, for captions and legends

# Okabe and Ito 2008: told apart with any colour vision. Each role keeps its colour in all figures.
BLACK, BLUE, ORANGE, GREEN, VERMILLION = "#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
GREY, PALE = "#767676", "#E4E4E4"

Form = TypeVar("Form")  # what a file holds

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.titlesize": SMALL,
    "hatch.linewidth": 0.4,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "savefig.dpi": 200,
    "svg.fonttype": "none",  # text stays text: searchable, editable
    "svg.hashsalt": "pathsearch",  # the same identifiers at every call
    "xtick.labelsize": SMALL,
    "xtick.major.width": 0.6,
    "ytick.labelsize": SMALL,
    "ytick.major.width": 0.6,
}


def styled() -> AbstractContextManager[None]:
    """Our style within a `with` block, whatever a user's matplotlibrc says."""
    return style.context(["default", STYLE])


def canvas(width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches that lays itself out without overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `figure` to `stem`.png (200 dpi) and `stem`.svg, each whole or not at all, without dates."""
    files = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        file = stem.with_name(f"{stem.name}.{kind}")
        with appears_whole(file) as part:
            figure.savefig(part, format=kind, metadata=metadata)
        figure.set_layout_engine("none")  # one layout for both: to find it is a third of the work
        files.append(file)
    return files


def caption(figure: Figure, *lines: str) -> None:
    """Small text above everything, wrapped to the width of `figure`."""
    width = int(figure.get_figwidth() * 72 / (0.58 * SMALL))  # characters; DejaVu Sans averages 0.58 em
    text = "\n".join(part for line in lines for part in textwrap.wrap(line, width))
    figure.suptitle(text, parse_math=False)  # a file's or a class's name may hold a dollar


def tidy(name: str, width: int, lines: int = 1) -> str:
    """`name` in at most `lines` lines of `width` characters, cut in the middle: ends tell names apart."""
    for room in range(lines * width, 1, -1):
        tail = (room - 1) // 2
        cut = name if len(name) <= room else f"{name[: room - 1 - tail]}…{name[len(name) - tail :]}"
        wrapped = textwrap.wrap(cut, width)
        if len(wrapped) <= lines:
            return "\n".join(wrapped)
    return "…"


def compact(count: float, _position: int = 0) -> str:
    """A count in at most three digits: 950, 12.3k, 1.3M; also a tick formatter."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.3g}"


@contextmanager
def blaming(file: Path, what: str) -> Iterator[None]:
    """Turn what a malformed `file` makes low-level code raise into one line that names file and fault."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, PathsearchError):
            raise
        fault = f"no entry {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise _malformed(file, what, fault) from error


def _malformed(file: Path, what: str, fault: str) -> PathsearchError:
    return PathsearchError(
        f"{file}: expected what the figure {what} needs, got {fault}; "
        "restore the file, or move it away to go without the figure"
    )


def read_json(file: Path, form: type[Form]) -> Form:
    """The JSON object in `file`, whose fields are those of `form`, not checked here; call within `blaming`."""
    value = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"a JSON {type(value).__name__} instead of an object")
    return cast("Form", value)


def read_columns(file: Path, names: Sequence[str]) -> Mapping[str, NDArray[np.float64]]:
    """Columns `names` of the CSV `file`, float64[rows] each, finite, at least one row; within `blaming`."""
    table = pd.read_csv(file)
    columns = {name: table[name].to_numpy(np.float64) for name in names}
    if table.empty:
        raise ValueError("no rows")
    for name, values in columns.items():
        if not np.isfinite(values).all():
            raise ValueError(f"an empty or infinite {name} in row {int(np.argmin(np.isfinite(values))) + 1}")
    return columns
