"""An image, and beside it the same image under what was answered: outlines of a mask, a box, or an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from data_prep.whole_files import appears_whole
from pathsearch.reports.figure_style import BLUE, GREEN, ORANGE, PAGE, PURPLE, SKY, VERMILLION, canvas, caption, styled
from pathsearch.targets.decoded import Box

Line = Literal["-", "--"]
LINES: tuple[Line, ...] = ("-", "--")
LOOKS = [(colour, line) for line in LINES for colour in (SKY, VERMILLION, ORANGE, GREEN, PURPLE, BLUE)]
COVER = 0.25  # of the image that a label hides


def draw(
    image: np.ndarray,
    title: str,
    file: Path,
    *,
    labels: Mapping[str, np.ndarray] | None = None,
    box: Box | None = None,
    answered: np.ndarray | None = None,
) -> None:
    """Write the figure as PNG, whole or not at all.

    Args:
        image: (H, W, 3) uint8.
        title: above both.
        file: to be written.
        labels: (H, W) bool, where each label of a mask is, by name.
        box: in pixels of `image`.
        answered: an image of the same proportions that stands beside it.
    """
    height, width = image.shape[:2]
    with styled():
        tall = min(1.6 * PAGE, max(0.8, 0.5 * PAGE * height / width))
        figure = canvas(PAGE, tall + 0.6)
        plain, under = figure.subplots(1, 2)
        caption(figure, title)
        for axes in (plain, under):
            axes.imshow(image)
            axes.set_axis_off()
        if answered is not None:
            under.imshow(answered, cmap="gray", vmin=0, vmax=255, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        handles = []
        for (name, where), (colour, line) in zip((labels or {}).items(), LOOKS * len(labels or {}), strict=False):
            veil = np.zeros((height, width, 4))
            veil[where] = (*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), COVER)
            under.imshow(veil)
            if where.any() and not where.all():
                edge = np.pad(where, 1)  # so that outlines close at the border
                rows, columns = (np.arange(-1.0, n - 1) for n in edge.shape)
                under.contour(columns, rows, edge, levels=[0.5], colors=[colour], linestyles=[line], linewidths=[1.0])
            nothing = "" if where.any() else " (nowhere)"
            handles.append(Line2D([], [], color=colour, linestyle=line, label=_plain(name) + nothing))
        if box is not None:
            left, top, right, bottom = (one - 0.5 for one in box)  # pixel centres are whole numbers here
            under.add_patch(
                Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=SKY, linewidth=1.2)
            )
        under.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=4)
        with appears_whole(file) as part:
            figure.savefig(part, format="png", metadata={"Software": None})


def _plain(name: str) -> str:
    """A name without what a legend would hide or read as a formula."""
    return name.replace("$", r"\$").lstrip("_") or "label"
