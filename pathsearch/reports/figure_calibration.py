"""Promised against observed share of rejected images."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from pathsearch.experts.joint_report import JointReport
from pathsearch.reports.figure_style import BLUE, COLUMN, GREEN, GREY, ORANGE, PURPLE, VERMILLION, canvas, read_json

LOOKS = [(BLUE, "o"), (VERMILLION, "s"), (GREEN, "^"), (PURPLE, "D"), (ORANGE, "v")]
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100)


def rejection(report_file: Path) -> Figure | None:
    """Share of test images that their own task rejects, by the rate fixed on validation; None where unknown."""
    tasks = {task: row for task, row in (read_json(report_file, JointReport).get("calibration") or {}).items() if row}
    if not tasks:
        return None
    figure = canvas(COLUMN, 2.9)
    axes = figure.subplots()
    top = 0.0
    for (task, row), (colour, marker) in zip(tasks.items(), cycle(LOOKS), strict=False):
        x, y = 100 * np.array(row["promised"]), 100 * np.array(row["observed"])
        low, high = 100 * np.array(row["ci95"]).T
        reach = np.stack([y - low, high - y]).clip(0)
        label = f"{task}, n = {row['n_test']:,}"
        axes.errorbar(
            x,
            y,
            reach,
            label=label,
            color=colour,
            marker=marker,
            linewidth=0.8,
            elinewidth=0.8,
            capsize=2,
            clip_on=False,
        )
        top = max(top, float(high.max()), float(x.max()))
    axes.plot([0, top], [0, top], "--", color=GREY, linewidth=0.8, zorder=1, label="as promised")
    root = (lambda value: np.sqrt(np.clip(value, 0, None)), np.square)  # small rates apart, zero shown
    axes.set_xscale("function", functions=root)
    axes.set_yscale("function", functions=root)
    axes.set(xlabel="Rejected on validation (%)", ylabel="Rejected on test (%), 95 % interval")
    axes.set(xlim=(0, 1.1 * max(max(100 * np.array(row["promised"])) for row in tasks.values())), ylim=(0, 1.1 * top))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(TICKS))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.legend(loc="outside upper center", ncols=2)
    return figure
