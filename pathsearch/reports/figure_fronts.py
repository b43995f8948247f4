"""What each number of parameters buys: every method's front, on validation and on test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pathsearch.reports.figure_compare import LOOKS
from pathsearch.reports.figure_style import PAGE, PALE, canvas, caption, compact, read_json
from pathsearch.search.comparison_report import ComparisonReport, Point, SplitName

POINTS = 400  # along the logarithm of the parameters
LINES = {"evolved": "-", "random_search": "--", "pathnet": "-.", "random_paths": ":", "ladder": (0, (5, 1, 1, 1, 1, 1))}


def fronts(report_file: Path) -> Figure | None:
    """The accuracy that at most so many parameters buy, mean over seeds; None where a report has no fronts."""
    report = read_json(report_file, ComparisonReport)
    found = report.get("fronts")
    if not found:
        return None
    low, high = found["reference"]["parameters"]
    grid = np.geomspace(low, high, POINTS)
    splits = list(found["against"])
    figure = canvas(PAGE, 3.3)
    panels = figure.subplots(1, len(splits), squeeze=False, sharex=True)[0]
    for axes, split in zip(panels, splits, strict=True):
        for method, row in found["methods"].items():
            curves = 100 * np.array([bought(one["parameters"], one[split], grid) for one in row["each"]])
            colour = LOOKS[method][0]
            evolved = method == "evolved"
            mean = curves.mean(0)  # undefined until every seed has a network so small
            look = {"linewidth": 1.8, "zorder": 4} if evolved else {"linewidth": 1.2, "zorder": 3}
            axes.plot(grid, mean, color=colour, linestyle=LINES[method], label=row["name"], **look)
            if len(curves) > 1:
                reach, shade = curves.std(0, ddof=1), 0.22 if evolved else 0.08
                band = (mean - reach).clip(0), (mean + reach).clip(max=100)  # no accuracy lies beyond
                axes.fill_between(grid, *band, color=colour, alpha=shade, linewidth=0)
        for method, point in found["points"].items():
            _point(axes, point, method, split)
        _axes(axes, split, report["methods"]["evolved"][split]["n"], high / low)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    seeds = len(report["seeds"])
    about = f"{report['task']}, {report['split']} split; the best on validation within a size, and the same on test"
    caption(figure, f"{about}; mean ± SD, {seeds} seeds")
    return figure


def bought(sizes: Sequence[int], rates: Sequence[float | None], grid: np.ndarray) -> np.ndarray:
    """The rate of the largest network of a front within each size of `grid`; NaN below its smallest."""
    at = np.searchsorted(np.asarray(sizes), grid * (1 + 1e-9), side="right") - 1
    return np.where(at >= 0, np.asarray(rates, np.float64)[at.clip(0)], np.nan)


def _point(axes: Axes, row: Point, method: str, split: SplitName) -> None:
    colour, marker = LOOKS[method]
    rate, size = row[split], row["parameters"]
    if rate["mean"] is None:
        return
    mean, reach = 100 * rate["mean"], 100 * (rate["sd"] or 0)
    reaches = [[reach], [min(reach, 100 - mean)]]  # no accuracy lies beyond
    axes.errorbar(
        [size],
        [mean],
        reaches,
        linestyle="none",
        color=colour,
        marker=marker,
        label=row["name"],
        elinewidth=0.9,
        capsize=2,
        zorder=5,
    )


def _axes(axes: Axes, split: SplitName, n: int, reach: float) -> None:
    axes.set(xscale="log", xlabel="Parameters, at most", ylabel=f"{split.capitalize()} accuracy (%), n = {n:,}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if reach > 30 else (1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(compact))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.grid(axis="y", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
