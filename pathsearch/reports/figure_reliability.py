"""Accuracy against confidence, before and after temperature scaling, and how confident the answers are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from pathsearch.experts.run_report import RunReport
from pathsearch.measures.metrics import wilson
from pathsearch.reports.figure_style import BLUE, COLUMN, GREY, VERMILLION, canvas, caption, read_json

LOOKS: dict[Literal["before", "after"], tuple[str, str, str, str]] = {
    "before": ("as trained", "o", BLUE, "--"),
    "after": ("at temperature", "s", VERMILLION, "-"),
}


def reliability(report_file: Path) -> Figure | None:
    """Reliability of the expert's probabilities on test images; None for a report that does not know it."""
    report = read_json(report_file, RunReport)
    found = report.get("calibration")
    test = found["test"] if found else None
    if not found or not test:
        return None
    figure = canvas(COLUMN, 4.4)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[2.6, 1])
    chance = 100 / len(report["test"]["classes"])
    upper.plot([chance, 100], [chance, 100], ":", color=GREY, linewidth=0.8, label="as promised")
    for name, (label, marker, colour, line) in LOOKS.items():
        part = test[name]
        bins = part["bins"]
        count = np.array(bins["count"])
        full = count > 0
        confidence, accuracy = (
            100 * np.array(each, np.float64)[full] for each in (bins["confidence"], bins["accuracy"])
        )
        if name == "after":
            label = f"{label} {found['temperature']:.2f}"
        low, high = (
            100 * np.array([wilson(round(a * n / 100), n) for a, n in zip(accuracy, count[full], strict=True)]).T
        )
        reach = np.stack([accuracy - low, high - accuracy]).clip(0)
        label = f"{label}: ECE {100 * part['ece']:.1f} %"
        thin = {"linewidth": 0.9, "elinewidth": 0.6, "capsize": 2.0}
        look = {"label": label, "color": colour, "marker": marker, "linestyle": line}
        upper.errorbar(confidence, accuracy, reach, clip_on=False, **thin, **look)
        edges = 100 * np.linspace(0, 1, len(count) + 1)
        lower.stairs(count, edges, color=colour, linestyle=line, linewidth=1)
    upper.set(ylabel="Accuracy (%), 95 % interval", ylim=(0, 100))
    lower.set(xlabel="Confidence: the answer's probability (%)", ylabel="Images", xlim=(chance, 100.5))
    lower.set(yscale="log", ylim=(0.7, 2 * test["n"]))
    caption(figure, f"{report['task']}, {report['split']} split, test, n = {test['n']:,}")
    figure.align_ylabels()
    figure.legend(loc="outside lower center")
    return figure
