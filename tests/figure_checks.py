"""What is checked of every figure."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

LONG = [f"a rather long class name of kind {i}" for i in range(10)]


def outside(figure: Figure) -> float:
    """How far anything drawn reaches beyond the page, inches."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    box, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    return float(max(-box.x0, -box.y0, box.x1 - width, box.y1 - height))
