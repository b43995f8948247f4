"""Test accuracy against parameters: every method at every seed, its mean and its spread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pathsearch.reports.figure_style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    PALE,
    PURPLE,
    SKY,
    VERMILLION,
    canvas,
    caption,
    compact,
    read_json,
)
from pathsearch.search.comparison_report import ComparisonReport

LOOKS = {
    "evolved": (BLUE, "o"),
    "random_search": (VERMILLION, "X"),
    "pathnet": (PURPLE, "P"),
    "random_paths": (ORANGE, "D"),
    "ladder": (SKY, "v"),
    "full_grid": (BLACK, "s"),
    "linear_probe": (GREEN, "^"),
    "nearest": (GREY, "*"),
}


def comparison(report_file: Path) -> Figure | None:
    """Seeds as small points, mean ± one standard deviation as crosses; None without test images."""
    report = read_json(report_file, ComparisonReport)
    methods = report["methods"]
    if not methods["evolved"]["test"]["n"]:
        return None
    figure = canvas(PAGE, 3.4)
    axes = figure.subplots()
    for method, (colour, marker) in LOOKS.items():
        row = methods.get(method)
        if row is None:
            continue
        size = np.array(row["parameters"]["each"], np.float64)
        accuracy = 100 * np.array(row["test"]["accuracy"]["each"], np.float64)
        axes.plot(size, accuracy, marker, color=colour, markersize=4, alpha=0.55, linewidth=0, markeredgewidth=0)
        x, y = np.exp(np.log(size).mean()), accuracy.mean()
        reach = accuracy.std(ddof=1) if len(size) > 1 else 0
        sizes = np.exp(np.log(size).std(ddof=1)) if len(size) > 1 else 1
        around = [[x - x / sizes], [x * sizes - x]]
        reaches = [[reach], [min(reach, 100 - y)]]  # no accuracy lies beyond
        axes.errorbar(
            [x],
            [y],
            reaches,
            around,
            linestyle="none",
            label=row["name"],
            color=colour,
            marker=marker,
            markersize=6,
            elinewidth=0.9,
            capsize=2,
        )
    axes.set(xscale="log", xlabel="Parameters (nearest neighbours: numbers stored)", ylabel="Test accuracy (%)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(compact))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.grid(axis="y", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    n, seeds = methods["evolved"]["test"]["n"], len(report["seeds"])
    about = f"{report['task']}, {report['split']} split, test, n = {n:,}"
    caption(figure, f"{about}; {seeds} seeds (small), mean ± 1 SD over seeds (large)")
    figure.legend(loc="outside right center")
    return figure
