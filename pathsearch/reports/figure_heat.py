"""An image, and beside it the same image under its heat map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable

from data_prep.whole_files import appears_whole
from pathsearch.reports.figure_style import PAGE, canvas, caption, styled

COLOURS = "viridis"  # its order can be seen with any colour vision, and in grey
COVER = 0.65  # of the image that the strongest place hides


def draw(image: np.ndarray, heat: np.ndarray, title: str, label: str, file: Path) -> None:
    """Write the figure as PNG, whole or not at all.

    Args:
        image: (H, W, 3) uint8.
        heat: (S, S) in [0, 1], of the whole image, however its sides stretch.
        title: above both.
        label: the class that the heat map speaks for.
        file: to be written.
    """
    height, width = image.shape[:2]
    with styled():
        tall = min(1.6 * PAGE, max(0.8, 0.45 * PAGE * height / width))
        figure = canvas(PAGE, tall + 0.4)
        plain, under = figure.subplots(1, 2)
        caption(figure, title)
        for axes in (plain, under):
            axes.imshow(image)
            axes.set_axis_off()
        colours = colormaps[COLOURS]
        veil = colours(heat)
        veil[..., 3] = COVER * heat  # where nothing speaks for the class, the image stays as it is
        under.imshow(veil, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="bilinear")
        bar = figure.colorbar(ScalarMappable(cmap=colours), ax=under, shrink=0.8, ticks=[0, 1])
        bar.ax.set_yticklabels(["none", "most"])
        words = f"speaks for {label}" if heat.max() > 0 else f"nothing speaks for {label}"
        bar.set_label(words, parse_math=False)
        with appears_whole(file) as part:
            figure.savefig(part, format="png", metadata={"Software": None})
