"""The largest confusions as bars: what a confusion table of very many classes would hide in its white."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pathsearch.measures.clusters import Ints
from pathsearch.measures.confusions import largest, names
from pathsearch.reports.figure_style import PAGE, PALE, SMALL, VERMILLION, canvas, caption, tidy

SHOWN = 25  # fills a printed page's width by about its half


def largest_confusions(
    rows: Sequence[str], columns: Sequence[str], table: Ints, *title: str, labels: tuple[str, str]
) -> Figure:
    """A bar for each of the largest confusions: images, and their share of the true class.

    Args:
        rows: R names.
        columns: C names.
        table: int[R, C] counts with at least one image.
        title: lines of small text on top.
        labels: what a row and what a column is.
    """
    n, right = int(table.sum()), int(np.diag(table).sum())
    found = largest(table, SHOWN)
    figure = canvas(PAGE, 1.0 + 0.2 * max(len(found), 6) + 0.12 * len(title))
    axes = figure.subplots()
    told = [[tidy(name, 28) for name in names(one, rows, columns)] for one in found]
    axes.barh(range(len(found)), [one.images for one in found], color=VERMILLION, height=0.7)
    axes.set_yticks(range(len(found)), [f"{true}  →  {said}" for true, said in told])
    for place, one in enumerate(found):
        text = f"{one.images:,} ({100 * one.share:.1f} %)"
        axes.annotate(text, (one.images, place), (3, 0), textcoords="offset points", va="center", fontsize=SMALL)
    axes.set(xlabel="Images (share of the true class)", ylabel=f"{labels[0]}  →  {labels[1].lower()}")
    axes.set(ylim=(max(len(found), 6) - 0.4, -0.6), xlim=(0, 1.18 * max([1, *(one.images for one in found)])))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    wrong, number = n - right, int(np.count_nonzero(table) - np.count_nonzero(np.diag(table)))
    said = f"{len(rows):,} rows are too many for a table. {wrong:,} of {n:,} images stand off its diagonal"
    said += f", in {number:,} cells; the {len(found)} largest:" if found else "."
    caption(figure, *title, said)
    return figure
