"""The finalists: score against size, and which of them are within one standard error of the best."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pathsearch.experts.run_report import RunReport, chosen_by
from pathsearch.measures.measure import NAMES
from pathsearch.reports.figure_style import BLUE, COLUMN, GREY, VERMILLION, canvas, compact, read_json

Score = Literal["score", "validation_accuracy"]
Error = Literal["below_best_error", "standard_error"]


def finalists(report_file: Path) -> Figure | None:
    """Validation score against size, with what it takes to be within one standard error of the best.

    Bars are the error of the difference from the best: those that reach its line are near enough, and the smallest of
    them was chosen. In reports of earlier versions it was the best one's own error, and the line stands below it.
    """
    report = read_json(report_file, RunReport)
    rows = report.get("finalists") or []
    if len(rows) < 2:
        return None  # nothing was to be chosen
    paired = all("below_best_error" in row for row in rows)
    names: tuple[Score, Error] = ("score", "below_best_error") if paired else ("validation_accuracy", "standard_error")
    size = np.array([row["parameters"] for row in rows], np.float64)
    score, error = (100 * np.array([row[name] for row in rows], np.float64) for name in names)
    chosen = np.array([bool(row["chosen"]) for row in rows])
    figure = canvas(COLUMN, 2.5)
    axes = figure.subplots()
    best = int(score.argmax())
    bar, words = (score[best], "best") if paired else (score[best] - error[best], "best − 1 SE")
    axes.axhline(bar, color=GREY, linestyle="--", linewidth=0.8, label=words)
    for mask, label, marker, colour, points in (
        (~chosen, "finalist", "o", BLUE, 4),
        (chosen, "chosen", "*", VERMILLION, 9),
    ):
        axes.errorbar(
            size[mask],
            score[mask],
            error[mask],
            linestyle="none",
            label=label,
            marker=marker,
            color=colour,
            markersize=points,
            elinewidth=0.8,
            capsize=2,
            zorder=3,
        )
    _size_axis(axes, size)
    measure = report.get("measure", "accuracy") if paired else "accuracy"
    axes.set_ylabel(f"{chosen_by(report)} {NAMES[measure]} (%)" + ("\n± 1 SE of the difference" if paired else ""))
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _size_axis(axes: Axes, size: np.ndarray) -> None:
    """A logarithmic x axis of parameters over at least a decade, so that it has ticks."""
    low, high = size.min(), size.max()
    axes.set_xlabel("Parameters")
    axes.xaxis.set_major_formatter(FuncFormatter(compact))
    if low <= 0:
        axes.set_xscale("symlog", linthresh=1000)
    else:
        middle, reach = np.sqrt(low * high), max(np.sqrt(high / low) * 1.3, np.sqrt(10))
        axes.set(xscale="log", xlim=(middle / reach, middle * reach))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if reach < 10 else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(compact))
