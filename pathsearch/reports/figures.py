"""From the files of a run directory to figures, each as PNG and SVG; nothing is taken from memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_prep.errors import PathsearchError
from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.run_report import RunReport
from pathsearch.measures.confusions import table_of
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import ClassRates, MeanRates, interval_of, other_target, spread_of
from pathsearch.reports.figure_calibration import rejection
from pathsearch.reports.figure_compare import comparison
from pathsearch.reports.figure_confusion import confusion
from pathsearch.reports.figure_finalists import finalists
from pathsearch.reports.figure_fronts import fronts
from pathsearch.reports.figure_grid import path_on_grid
from pathsearch.reports.figure_paths import paths_on_grid, reuse
from pathsearch.reports.figure_reliability import reliability
from pathsearch.reports.figure_style import (
    BLACK,
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    SMALL,
    VERMILLION,
    blaming,
    canvas,
    caption,
    compact,
    read_columns,
    read_json,
    save,
    styled,
)
from pathsearch.search.comparison_report import SplitName
from pathsearch.search.config_file import Config, SearchConfig

Drawing = Callable[[Path], Figure | None]  # None: the file says nothing that the figure would show


def plot_run(run_dir: Path) -> list[Path]:
    """Every figure of a task's run whose input file is there.

    Args:
        run_dir: holds any of log.csv, training.csv, path.json, report.json; the figures go beside them.

    Returns:
        The files written, NAME.png and NAME.svg, for NAME fitness_curve, training_curve, path_on_grid, paths,
        confusion_validation, confusion_test, baselines, finalists, reliability.

    Raises:
        PathsearchError: `run_dir` is no folder, or an input file is malformed (names file and fault;
            the figures before it are written).
    """
    return _plot(run_dir, RUN_FIGURES)


def plot_joint(joint_dir: Path) -> list[Path]:
    """Every figure of a joint evaluation: confusion_joint, routing, joint_accuracy, reuse, rejection."""
    return _plot(joint_dir, JOINT_FIGURES)


def plot_comparison(folder: Path) -> list[Path]:
    """The figures of a comparison of methods: comparison, fronts."""
    return _plot(folder, COMPARISON_FIGURES)


def _plot(folder: Path, figures: Sequence[tuple[str, str, Drawing]]) -> list[Path]:
    if not folder.is_dir():
        raise PathsearchError(
            f"run directory: expected a folder, got {folder}; `ls {folder.parent}` shows what is there"
        )
    files: list[Path] = []
    with styled():
        for name, source, draw in figures:
            if (folder / source).exists():
                with blaming(folder / source, name):
                    figure = draw(folder / source)
                if figure is not None:
                    files += save(figure, folder / name)
    return files


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
    measure, on = (
        maximised(log_file) or search.get("fitness", "accuracy"),
        "Cross-validated" if search.get("folds", 1) > 1 else "Validation",
    )
    top.set_ylabel(f"{on} {NAMES[measure]} (%)")
    bottom.plot(x, log["distinct_paths"], "-", color=GREY, marker=_dot(x))
    bottom.set(xlabel="Generation", ylabel="Distinct\npaths", ylim=(0, 1.1 * log["distinct_paths"].max()))
    bottom.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    _whole_x(bottom, x)
    figure.align_ylabels()
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def maximised(beside: Path) -> str | None:
    """The measure that the report beside a file names; None while there is no report."""
    file = beside.with_name("report.json")
    return read_json(file, RunReport).get("measure") if file.exists() else None


def training_curve(training_file: Path) -> Figure:
    """Accuracy and loss of the chosen path's own training against the epoch."""
    names = [f"{part}_{rate}" for rate in ("accuracy", "loss") for part in ("train", "val")]
    log = read_columns(training_file, ["epoch", *names])
    figure = canvas(COLUMN, 3.0)
    accuracy, loss = figure.subplots(2, sharex=True)
    for part, label, line, colour in (
        ("train", "training", "--", BLUE),
        ("val", "validation", "-", VERMILLION),
    ):
        look = {"linestyle": line, "color": colour, "marker": _dot(log["epoch"])}
        accuracy.plot(log["epoch"], 100 * log[f"{part}_accuracy"], label=label, **look)
        loss.plot(log["epoch"], log[f"{part}_loss"], **look)
    _percent_axis(accuracy, 100 * log["train_accuracy"], 100 * log["val_accuracy"])
    measure = maximised(training_file)
    of_classes = measure is None or measure in NAMES
    accuracy.set_ylabel("Accuracy (%)" if of_classes else "Mean quality of\nthe answers (%)")
    loss.set(xlabel="Epoch", ylabel="Loss (nats per image)" if of_classes else "Loss")
    loss.set_ylim(bottom=0)
    _whole_x(loss, log["epoch"])
    figure.align_ylabels()
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def run_confusion(part: SplitName, report_file: Path) -> Figure | None:
    """Confusion of the `part` images of a task."""
    report = read_json(report_file, RunReport)
    metrics = report[part]
    if other_target(metrics):
        return None
    title = f"{_title(report)}, {part}, n = {metrics['n']:,}"
    rows, columns = metrics["classes"], metrics.get("columns", metrics["classes"])
    return confusion(rows, columns, table_of(metrics, len(rows), len(columns)), title, _encoder(report))


def baselines(report_file: Path) -> Figure | None:
    """Test accuracy of the expert and of what it must beat, with 95 % intervals; None without baselines."""
    report = read_json(report_file, RunReport)
    others, sizes = report.get("baselines") or {}, report.get("parameters")
    if not others or other_target(report["test"]):
        return None
    looks = {
        "full_grid": ("Full grid", "s", BLACK),
        "random_path": ("Random paths", "D", ORANGE),
        "linear_probe": ("Linear probe", "^", GREEN),
    }
    rows: list[tuple[str, str, str, ClassRates | MeanRates, float | None]]
    rows = [("Expert", "o", BLUE, report["test"], sizes["expert"] if sizes else None)]
    for name, look in looks.items():
        if name in others:
            whole = sizes["full_grid"] if sizes and name == "full_grid" else None
            rows.append((*look, others[name]["test"], others[name].get("parameters", whole)))
    figure = canvas(COLUMN, 0.9 + 0.36 * len(rows))
    axes = figure.subplots()
    for row, (_, marker, colour, metrics, _) in enumerate(rows):
        _interval(axes, row, metrics, marker=marker, color=colour)
    names = [label if size is None else f"{label}\n{compact(size)} parameters" for label, *_, size in rows]
    _interval_axis(axes, names, "Test accuracy (%)")
    spread = " (random paths: mean ± 1 SD)" if "random_path" in others else ""
    caption(figure, f"{_title(report)}, test, n = {report['test']['n']:,}", f"Bars: 95 % interval{spread}")
    return figure


def joint_confusion(report_file: Path) -> Figure | None:
    """Confusion over all classes of all tasks, after routing."""
    report = read_json(report_file, JointReport)
    table = report["confusion"]
    rows, columns = table["rows"], table["columns"]
    title = f"Joint evaluation of {', '.join(report['tasks'])}, test, n = {report['overall']['n']:,}"
    return confusion(rows, columns, table_of(table, len(rows), len(columns), "counts"), title)


def routing(report_file: Path) -> Figure | None:
    """Which task's expert the router gave each image to."""
    table = read_json(report_file, JointReport)["routing"]
    columns = [*table["tasks"], "unknown"]
    title = f"Routing of mixed test images, n = {np.sum(table['confusion']):,}"
    counts = table_of(table, len(table["tasks"]), len(columns))
    return confusion(table["tasks"], columns, counts, title, labels=("True task", "Routed to"))


def joint_accuracy(report_file: Path) -> Figure:
    """Test accuracy of each task and overall, with the router's choice and with the true task."""
    report = read_json(report_file, JointReport)
    overall: dict[str, ClassRates] = {"routed": report["overall"]}
    each = {name: {"routed": row["routed"], "oracle": row["oracle"]} for name, row in report["tasks"].items()}
    rows = [*each.items(), ("overall", overall)]
    figure = canvas(COLUMN, 0.9 + 0.5 * len(rows))
    axes = figure.subplots()
    looks = {"routed": ("o", BLUE, -0.14), "oracle": ("s", VERMILLION, 0.14)}
    for row, (_, answers) in enumerate(rows):
        for kind, (marker, colour, shift) in looks.items():
            if kind in answers:
                place = row + shift if len(answers) > 1 else row
                label = {"routed": "routed", "oracle": "true task given"}[kind] if row == 0 else None
                _interval(axes, place, answers[kind], marker=marker, color=colour, label=label)
    names = [f"{name}\nn = {answers['routed']['n']:,}" for name, answers in rows]
    _interval_axis(axes, names, "Test accuracy (%), 95 % interval")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _title(report: RunReport) -> str:
    return f"{report['task']}, {report['split']} split"


def _encoder(report: RunReport) -> str:
    encoder = report["encoder"]
    weights = encoder["weights"].removesuffix(" weights")  # of pixels: no weights
    return f"{encoder['name']}, {weights} weights, {encoder['image_size']} px"


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


def _interval(axes: Axes, row: float, metrics: ClassRates | MeanRates, **look: Any) -> None:
    """A point with its bar and its number at height `row`; nothing where there were no images."""
    accuracy = metrics["accuracy"]
    if accuracy is None:
        return
    spread = spread_of(metrics, "accuracy") or 0
    low, high = interval_of(metrics, "accuracy") or (accuracy - spread, accuracy + spread)
    reach = 100 * np.array([[accuracy - low], [high - accuracy]])
    axes.errorbar(100 * accuracy, row, xerr=reach.clip(0), linestyle="none", capsize=2, elinewidth=1, **look)
    place = partial(axes.annotate, f"{100 * accuracy:.1f}", (1, row), (3, 0), va="center", fontsize=SMALL)
    place(xycoords=("axes fraction", "data"), textcoords="offset points")


def _interval_axis(axes: Axes, names: Sequence[str], label: str) -> None:
    """One named row for each interval, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel=label)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)


RUN_FIGURES: list[tuple[str, str, Drawing]] = [  # name, file it is made from, drawing
    ("fitness_curve", "log.csv", fitness_curve),
    ("training_curve", "training.csv", training_curve),
    ("path_on_grid", "path.json", path_on_grid),
    ("paths", "path.json", paths_on_grid),
    ("confusion_validation", "report.json", partial(run_confusion, "validation")),
    ("confusion_test", "report.json", partial(run_confusion, "test")),
    ("baselines", "report.json", baselines),
    ("finalists", "report.json", finalists),
    ("reliability", "report.json", reliability),
]
JOINT_FIGURES: list[tuple[str, str, Drawing]] = [
    ("confusion_joint", "report.json", joint_confusion),
    ("routing", "report.json", routing),
    ("joint_accuracy", "report.json", joint_accuracy),
    ("reuse", "report.json", reuse),
    ("rejection", "report.json", rejection),
]
COMPARISON_FIGURES: list[tuple[str, str, Drawing]] = [
    ("comparison", "report.json", comparison),
    ("fronts", "report.json", fronts),
]
