"""A confusion table as a figure: counts, row percentages, shades that also print in grey."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathsearch.measures.clusters import Ints
from pathsearch.reports.figure_confusions import largest_confusions
from pathsearch.reports.figure_style import COLUMN, GREY, PAGE, SMALL, canvas, caption, tidy

MOST = 30  # rows: above it, cells are smaller than letters, and drawing them takes minutes
GROUP = ": "  # "ecg: A" is class A of task ecg; a line is drawn where the task changes


def confusion(
    rows: Sequence[str],
    columns: Sequence[str],
    n: Ints,
    *title: str,
    labels: tuple[str, str] = ("True class", "Predicted class"),
) -> Figure | None:
    """Rows of truth by columns of prediction; each cell its count and its share of the row in percent.

    Args:
        rows: R names.
        columns: C names.
        n: int[R, C] counts, 0 or more.
        title: lines of small text on top.
        labels: of the vertical and of the horizontal axis.

    Returns:
        A figure one printed column wide, up to two where the classes are many; of more than 30 the largest confusions
        as bars; None without images.
    """
    if not n.any():
        return None
    if len(rows) > MOST:
        return largest_confusions(rows, columns, n, *title, labels=labels)
    width = float(np.clip(1.2 + 0.45 * len(columns), COLUMN, PAGE))
    side = min((width - 1.2) / len(columns), 0.42)  # of a cell, inches, about
    row_names = [f"{tidy(name, 18, lines=2)}\nn = {total:,}" for name, total in zip(rows, n.sum(axis=1), strict=True)]
    slanted = max(map(len, columns)) * 0.6 * SMALL / 72 > 0.9 * (width - 1.2) / len(columns)
    column_names = [tidy(name, 18) for name in columns]
    room = 0.05 * max(map(len, column_names)) if slanted else 0.15

    figure = canvas(width, max(side, 0.27) * len(rows) + 0.75 + room + 0.12 * len(title))
    axes = figure.subplots()
    share = 100 * n / n.sum(axis=1, keepdims=True).clip(1)
    axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=110, edgecolors="white", linewidth=0.8)
    axes.set_xticks(np.arange(len(columns)) + 0.5, column_names)
    axes.set_yticks(np.arange(len(rows)) + 0.5, row_names)
    if slanted:
        axes.tick_params(axis="x", labelrotation=45)
        for text in axes.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
    axes.set(ylabel=labels[0], xlabel=labels[1], ylim=(len(rows), 0))
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    _write_cells(axes, n, share, side)
    _part_tasks(axes, rows, columns)
    caption(figure, *title)
    return figure


def _write_cells(axes: Axes, n: np.ndarray, share: np.ndarray, side: float) -> None:
    """Counts, and percentages where a cell of `side` inches has room for a second line."""
    size = float(np.clip(20 * side, 4, SMALL))
    for (row, column), count in np.ndenumerate(n):
        text = f"{count:,}" if count == 0 or side < 0.3 else f"{count:,}\n{share[row, column]:.1f} %"
        colour = "white" if share[row, column] > 60 else "black" if count else GREY
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, fontsize=size)


def _part_tasks(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Lines where one task's classes end and the next one's begin."""
    for names, line in ((rows, axes.axhline), (columns, axes.axvline)):
        tasks = [name.split(GROUP)[0] for name in names]
        if GROUP in names[0]:
            for place, (task, following) in enumerate(pairwise(tasks), start=1):
                if task != following:
                    line(place, color="black", linewidth=0.8)
