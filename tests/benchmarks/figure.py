"""The figure of the benchmarks, from their JSON files.

python -m tests.benchmarks.figure
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from pathsearch.reports.figure_style import BLUE, GREEN, GREY, ORANGE, PAGE, VERMILLION, canvas, caption, save, styled
from tests.benchmarks.table import OUT

KINDS = (("random", BLUE, "o"), ("three active", ORANGE, "s"), ("converged", VERMILLION, "^"))


def main() -> None:
    """Draw what `runs/benchmarks/population.json` holds: ratios first, then what a pass costs."""
    found = json.loads((OUT / "population.json").read_text())
    rows, machine = found["rows"], found["machine"]
    with styled():
        figure = canvas(PAGE, 2.6)
        left, middle, right = figure.subplots(1, 3)
        for axes, modules in ((left, "paper"), (middle, "mixed")):
            for kind, colour, marker in KINDS:
                ours = select(rows, modules, kind)
                sizes = [row["P"] for row in ours]
                axes.plot(sizes, [row["without update"] for row in ours], marker, color=colour, ls="-", label=kind)
                axes.plot(sizes, [row["arithmetic"] for row in ours], color=colour, ls=":", lw=1)
            axes.plot([], [], color=GREY, ls=":", lw=1, label="operations alone")
            axes.set_title(f"modules: {modules}", fontsize=8)
            axes.set_ylabel("gradients/s, one pass over loop")
            logarithmic(axes, sizes)
        left.legend()
        for modules, style in (("paper", "-"), ("mixed", "--")):
            for kind, colour, marker in KINDS:
                ours = select(rows, modules, kind)
                sizes, cost = [row["P"] for row in ours], [row["one pass, ms"] for row in ours]
                right.plot(sizes, cost, marker, color=colour, ls=style, mfc=colour if style == "-" else "none")
        right.plot([], [], color=GREEN, ls=" ", label="filled: paper, open: mixed")
        right.set_ylabel("one pass with its update (ms)")
        right.set_title("cost of a training step", fontsize=8)
        right.legend(handlelength=0)
        logarithmic(right, sizes)
        where = machine["gpu"] or f"{machine['cpu']}, {machine['threads']} threads"
        caption(figure, f"{where}, torch {machine['torch']}; minibatch 64, features 512 × 2 × 2")
        for file in save(figure, Path(OUT) / "population"):
            print(file)


def select(rows: list[dict[str, Any]], modules: str, kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if (row["modules"], row["population"]) == (modules, kind)]


def logarithmic(axes: Axes, sizes: list[int]) -> None:
    axes.set(xscale="log", yscale="log", xlabel="paths in the population, P")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())


if __name__ == "__main__":
    main()
