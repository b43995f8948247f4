"""What is drawn against generations and epochs: the search's fitness, and the last training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pathsearch.experts.run_report import RunReport, learned_by
from pathsearch.measures.measure import NAMES
from pathsearch.reports.figure_style import BLUE, COLUMN, GREY, VERMILLION, canvas, read_columns, read_json
from pathsearch.search.config_file import Config, SearchConfig


def fitness_curve(log_file: Path) -> Figure:
    """Best, mean and quartiles of validation fitness, and distinct paths, against the generation."""
    names = ["best", "mean", "q25", "q75"]
    log = read_columns(log_file, ["generation", *names, "distinct_paths"])
    figure = canvas(COLUMN, 3.0)
    top, bottom = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    x, (best, mean, low, high) = log["generation"], (100 * log[name] for name in names)
    top.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0, label="middle half")
    top.plot(x, mean, "--", color=BLUE, label="mean", marker=_dot(x))
    top.plot(x, best, "-", color=VERMILLION, label="best", marker=_dot(x))
    _percent_axis(top, best, mean, low, high)
    config = log_file.with_name("config.json")
    search: SearchConfig = read_json(config, Config)["search"] if config.exists() else {}
    report, on = _report(log_file), "Cross-validated" if search.get("folds", 1) > 1 else "Validation"
    measure = (report and report.get("measure")) or search.get("fitness", "accuracy")
    top.set_ylabel(f"{on} {NAMES[measure]} (%)")
    bottom.plot(x, log["distinct_paths"], "-", color=GREY, marker=_dot(x))
    bottom.set(xlabel="Generation", ylabel="Distinct\npaths", ylim=(0, 1.1 * log["distinct_paths"].max()))
    bottom.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    _whole_x(bottom, x)
    figure.align_ylabels()
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _report(beside: Path) -> RunReport | None:
    """The report beside a file; None while there is none."""
    file = beside.with_name("report.json")
    return read_json(file, RunReport) if file.exists() else None


def training_curve(training_file: Path) -> Figure:
    """The first measure, such as accuracy, and loss of the last training against the epoch."""
    names = [f"{part}_{rate}" for rate in ("accuracy", "loss") for part in ("train", "val")]
    log = read_columns(training_file, ["epoch", *names])
    figure = canvas(COLUMN, 3.0)
    quality, loss = figure.subplots(2, sharex=True)
    for part, label, line, colour in (
        ("train", "training", "--", BLUE),
        ("val", "validation", "-", VERMILLION),
    ):
        look = {"linestyle": line, "color": colour, "marker": _dot(log["epoch"])}
        quality.plot(log["epoch"], 100 * log[f"{part}_accuracy"], label=label, **look)
        loss.plot(log["epoch"], log[f"{part}_loss"], **look)
    _percent_axis(quality, 100 * log["train_accuracy"], 100 * log["val_accuracy"])
    report = _report(training_file)
    words = learned_by(report) if report else "accuracy"
    quality.set_ylabel(f"{words[0].upper()}{words[1:]} (%)")
    loss.set(xlabel="Epoch", ylabel="Loss" if not report or "target" in report else "Loss (nats per image)")
    loss.set_ylim(bottom=0)
    _whole_x(loss, log["epoch"])
    figure.align_ylabels()
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _dot(x: np.ndarray) -> str:
    """A marker where the points are few, so that a single one is seen."""
    return "." if len(x) <= 40 else ""


def _whole_x(axes: Axes, x: np.ndarray) -> None:
    """Whole numbers along a shared x axis without waste at its ends."""
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    pad = max(0.5, 0.02 * (x.max() - x.min()))
    axes.set_xlim(x.min() - pad, x.max() + pad)


def _percent_axis(axes: Axes, *series: np.ndarray) -> None:
    """Y limits around percentages, so that 99 and 99.5 differ, yet never a range below half a point."""
    low, high = min(map(np.min, series)), max(map(np.max, series))
    pad = max(0.06 * (high - low), 0.25)
    axes.set_ylim(max(low - pad, -pad), min(high + pad, 100 + pad))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="y", useOffset=False)
