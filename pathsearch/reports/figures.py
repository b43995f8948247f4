"""From the files of a run directory to figures, each as PNG and SVG; nothing is taken from memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_prep.errors import PathsearchError
from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.run_report import RunReport, distinct, named
from pathsearch.measures.confusions import table_of
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import ClassRates, MeanRates, measured_of, other_target
from pathsearch.reports.figure_answers import against_size, answers
from pathsearch.reports.figure_calibration import rejection
from pathsearch.reports.figure_compare import comparison
from pathsearch.reports.figure_confusion import confusion
from pathsearch.reports.figure_curves import fitness_curve, training_curve
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
    ORANGE,
    PALE,
    SMALL,
    VERMILLION,
    blaming,
    canvas,
    caption,
    compact,
    read_json,
    save,
    styled,
)
from pathsearch.search.comparison_report import SplitName

Drawing = Callable[[Path], Figure | None]  # None: the file says nothing that the figure would show


def plot_run(run_dir: Path) -> list[Path]:
    """Every figure of a task's run whose input file is there.

    Args:
        run_dir: holds any of log.csv, training.csv, path.json, report.json; the figures go beside them.

    Returns:
        The files written, NAME.png and NAME.svg, for NAME fitness_curve, training_curve, path_on_grid, paths,
        confusion_validation, confusion_test, baselines, finalists, reliability, answers, against_size.

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
            if not (folder / source).exists():
                continue
            with blaming(folder / source, name):
                figure = draw(folder / source)
            if figure is not None:
                files += save(figure, folder / name)
                continue
            for kind in ("png", "svg"):  # an earlier version drew it, though it says nothing
                (folder / f"{name}.{kind}").unlink(missing_ok=True)
    return files


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
    """Test accuracy, or another target's measure, of the network and what it must beat; None without baselines."""
    report = read_json(report_file, RunReport)
    others, sizes = distinct(report, report.get("baselines") or {}), report.get("parameters")
    if not others:
        return None
    measure = report.get("measure", "accuracy") if other_target(report["test"]) else "accuracy"
    looks = {
        "full_grid": ("Full grid", "s", BLACK),
        "random_path": ("Random paths", "D", ORANGE),
        "linear_probe": ("Linear probe", "^", GREEN),
    }
    own = named(report)
    rows: list[tuple[str, str, str, ClassRates | MeanRates, float | None]]
    rows = [
        (
            own if report.get("given") else own.capitalize(),
            "o",
            BLUE,
            report["test"],
            sizes["expert"] if sizes else None,
        )
    ]
    for name, look in looks.items():
        if name in others:
            whole = sizes["full_grid"] if sizes and name == "full_grid" else None
            rows.append((*look, others[name]["test"], others[name].get("parameters", whole)))
    figure = canvas(COLUMN, 0.9 + 0.36 * len(rows))
    axes = figure.subplots()
    for row, (_, marker, colour, metrics, _) in enumerate(rows):
        _interval(axes, row, metrics, measure, marker=marker, color=colour)
    names = [label if size is None else f"{label}\n{compact(size)} parameters" for label, *_, size in rows]
    _interval_axis(axes, names, f"Test {NAMES[measure]} (%)")
    spread = " (random paths: mean ± 1 SD)" if "random_path" in others else ""
    caption(figure, f"{_title(report)}, test, n = {report['test']['n']:,}", f"Bars: 95 % interval{spread}")
    return figure


def joint_confusion(report_file: Path) -> Figure | None:
    """Confusion over all classes of all tasks, after routing."""
    report = read_json(report_file, JointReport)
    if (table := report.get("confusion")) is None:  # no task asks for classes
        return None
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
    """Test accuracy of each task and overall, with the router's choice and with the true task.

    A task of another target than classes has its own measure, which stands beside its name.
    """
    report = read_json(report_file, JointReport)
    rows: list[tuple[str, str, dict[str, Mapping[str, Any]]]] = []
    others = any("measure" in row for row in report["tasks"].values())
    for name, task in report["tasks"].items():
        by = f": {NAMES[task['measure']]}" if "measure" in task else ""
        measure = task.get("measure", "accuracy")
        rows.append((name + by, measure, {"routed": task["routed"], "oracle": task["oracle"]}))
    if "overall" in report:
        rows.append(("classes" if others else "overall", "accuracy", {"routed": report["overall"]}))
    figure = canvas(COLUMN, 0.9 + 0.5 * len(rows))
    axes = figure.subplots()
    looks = {"routed": ("o", BLUE, -0.14), "oracle": ("s", VERMILLION, 0.14)}
    for row, (_, measure, kinds) in enumerate(rows):
        for kind, (marker, colour, shift) in looks.items():
            if kind in kinds:
                place = row + shift if len(kinds) > 1 else row
                label = {"routed": "routed", "oracle": "true task given"}[kind] if row == 0 else None
                _interval(axes, place, kinds[kind], measure, marker=marker, color=colour, label=label)
    names = [f"{name}\nn = {kinds['routed']['n']:,}" for name, _, kinds in rows]
    what = "Test, measure as named (%)" if others else "Test accuracy (%)"
    _interval_axis(axes, names, f"{what}, 95 % interval")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _title(report: RunReport) -> str:
    return f"{report['task']}, {report['split']} split"


def _encoder(report: RunReport) -> str:
    encoder = report["encoder"]
    weights = encoder["weights"].removesuffix(" weights")  # of pixels: no weights
    return f"{encoder['name']}, {weights} weights, {encoder['image_size']} px"


def _interval(axes: Axes, row: float, metrics: Mapping[str, Any], measure: str = "accuracy", **look: Any) -> None:
    """A point with its bar and its number at height `row`; nothing where there were no images."""
    value, pair = measured_of(metrics, measure)
    if value is None:
        return
    spread = measured_of(metrics, f"{measure}_sd")[0] or 0  # of several networks
    low, high = pair or (value - spread, value + spread)
    reach = 100 * np.array([[value - low], [high - value]])
    axes.errorbar(100 * value, row, xerr=reach.clip(0), linestyle="none", capsize=2, elinewidth=1, **look)
    place = partial(axes.annotate, f"{100 * value:.1f}", (1, row), (3, 0), va="center", fontsize=SMALL)
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
    ("answers", "answers.safetensors", answers),
    ("against_size", "report.json", against_size),
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
