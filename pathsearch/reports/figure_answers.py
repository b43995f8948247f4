"""Test images with what was asked and what was answered, worst to best; and how good answers are against size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from pathsearch.experts.answers import Example, kept
from pathsearch.experts.run_report import RunReport, Shown, ShownImage
from pathsearch.measures.measure import NAMES
from pathsearch.reports.figure_style import (
    BLUE,
    COLUMN,
    PAGE,
    SKY,
    SMALL,
    VERMILLION,
    canvas,
    caption,
    read_json,
    tidy,
)

Line = Literal["-", "--"]
LOOKS: dict[str, tuple[str, Line]] = {
    "truth": (SKY, "-"),
    "answer": (VERMILLION, "--"),
}  # apart by colour, lightness and line
WORDS = {"truth": "true", "answer": "answered", "input": "read", "difference": "difference"}
PICTURES = ("truth", "input", "answer", "difference")  # one below the other, where there are such
LABEL, HEAD, FOOT = 0.35, 0.18, 0.12  # inches beside, above and below an image
ROWS = {"worst": "Worst", "between": "Between", "best": "Best"}
Tile = Callable[[Axes, Example], None]


def answers(answers_file: Path) -> Figure | None:
    """The worst, the best and some test images between, in the form that the report beside the file names."""
    report_file = answers_file.with_name("report.json")
    if not report_file.exists():  # the run still goes on
        return None
    report = read_json(report_file, RunReport)
    shown = report["shown"]
    examples = kept(answers_file)
    rows = {end: _examples(shown, end, examples) for end in ROWS}
    rows = {end: several for end, several in rows.items() if several}
    several = [one for each in rows.values() for one, _ in each]
    tiles = _tiles(shown["form"], several)
    n_columns = max(map(len, rows.values()))
    width = (PAGE - LABEL) / max(n_columns, 3)
    tall = width * float(np.median([one.image.shape[0] / one.image.shape[1] for one in several]))
    height = len(rows) * (len(tiles) * tall + HEAD + FOOT) + 0.6
    figure = canvas(LABEL + n_columns * width, height)
    grid = figure.subplots(len(rows) * len(tiles), n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for (number, (end, each)), (part, (name, draw)) in product(enumerate(rows.items()), enumerate(tiles.items())):
        for column, (one, value) in enumerate(each):
            axes = grid[number * len(tiles) + part, column]
            _bare(axes)
            draw(axes, one)
            if part == 0:
                axes.set_title(f"{NAMES[shown['measure']]} {value:.3f}", fontsize=SMALL, pad=2)
            if part == len(tiles) - 1:
                axes.set_xlabel(tidy(Path(one.file).name, 24), fontsize=4.5, labelpad=1.5, parse_math=False)
            if column == 0:
                label = f"{ROWS[end]}, {name}" if name else ROWS[end]
                axes.set_ylabel(label, fontsize=SMALL)
    title = (
        f"{report['task']}, {report['split']} split, test, n = {report['test']['n']:,}: by {NAMES[shown['measure']]}"
    )
    caption(
        figure,
        title,
        *(
            ["Difference: from equal (black) to a quarter of the range or more (white)"]
            if "difference" in tiles
            else []
        ),
    )
    if shown["form"] != "pictures":
        handles = [Line2D([], [], color=LOOKS[part][0], linestyle=LOOKS[part][1], label=WORDS[part]) for part in LOOKS]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _examples(shown: Shown, end: str, examples: Mapping[str, Example]) -> list[tuple[Example, float]]:
    rows: list[ShownImage] = shown[end]  # type: ignore[literal-required]
    return [(examples[row["file"]], row["value"]) for row in rows]


def _tiles(form: str, several: list[Example]) -> dict[str, Tile]:
    """What is drawn of each image, one below the other, by its name."""
    if form == "outlines":
        return {"": _outlined}
    if form == "boxes":
        return {"": _boxed}
    if form != "pictures":
        raise ValueError(f"a form {form!r} of answers")
    there = [part for part in PICTURES if part == "difference" or all(part in one.parts for one in several)]
    return {WORDS[part]: _difference if part == "difference" else partial(_pictured, part) for part in there}


def _outlined(axes: Axes, one: Example) -> None:
    """The image in grey with the edges of every label, true and answered."""
    height, width = _image(axes, one.image)
    for part, (colour, line) in LOOKS.items():
        labels = np.pad(one.parts[part], 1)  # so that edges close at the border
        rows, columns = (np.arange(-0.5, n - 1) for n in labels.shape)
        y, x = rows * height / (len(rows) - 2), columns * width / (len(columns) - 2)
        for label in np.unique(labels[labels > 0]):
            axes.contour(x, y, labels == label, levels=[0.5], colors=[colour], linestyles=[line], linewidths=[0.9])
    axes.set(xlim=(0, width), ylim=(height, 0))


def _boxed(axes: Axes, one: Example) -> None:
    """The image in grey with both boxes."""
    height, width = _image(axes, one.image)
    for part, (colour, line) in LOOKS.items():
        left, top, right, bottom = one.parts[part] * [width, height, width, height]
        corner, sides = (left, top), (right - left, bottom - top)
        axes.add_patch(
            Rectangle(corner, *sides, fill=False, edgecolor=colour, linestyle=line, linewidth=1.1, clip_on=False)
        )
    axes.set(xlim=(0, width), ylim=(height, 0))


def _pictured(part: str, axes: Axes, one: Example) -> None:
    """A part that is a picture itself."""
    _image(axes, np.moveaxis(one.parts[part], 0, -1))


def _difference(axes: Axes, one: Example) -> None:
    """How far truth and answer are apart, from equal (black) to a quarter of the range or more (white)."""
    truth, answer = (one.parts[part].astype(np.float64) for part in ("truth", "answer"))
    _image(axes, (4 * np.abs(truth - answer).mean(0)).clip(0, 255).astype(np.uint8))


def _image(axes: Axes, image: np.ndarray) -> tuple[int, int]:
    """Draw it, grey if it has one channel; its height and width."""
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    height, width = image.shape[:2]
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation="none")
    return height, width


def _bare(axes: Axes) -> None:
    """No frame, no ticks, but labels."""
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def against_size(report_file: Path) -> Figure | None:
    """How good answers are against the size of what was to be found; None where the report does not say."""
    report = read_json(report_file, RunReport)
    found = report.get("against_size")
    if not found or not found["size"]:
        return None
    size, value = 100 * np.array(found["size"]), np.array(found["value"])
    figure = canvas(COLUMN, 2.5)
    axes = figure.subplots()
    axes.plot(size, value, "o", color=BLUE, markersize=3, alpha=0.5, markeredgewidth=0, clip_on=False)
    axes.set(xlabel="True size (% of the image)", ylabel=NAMES[found["measure"]], ylim=(0, 1))
    axes.margins(x=0.03)
    some = "" if len(size) == found["n"] else f", of which {len(size)} are drawn"
    caption(figure, f"{report['task']}, {report['split']} split, test, n = {found['n']:,}{some}")
    return figure
