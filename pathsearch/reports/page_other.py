"""The parts of a run's page that speak of its answers, for a task that asks for something else than a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pathsearch.experts.run_report import RunReport, distinct, named
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import measured_of, other_target, over_of
from pathsearch.reports.alt_texts import BASELINES
from pathsearch.reports.page_network import asked, parameters, size_in_words
from pathsearch.reports.page_tables import Table, number

UNITS = {"hausdorff95": " Distances are in pixels.", "psnr": " PSNR is in dB."}


def other_parts(report: RunReport) -> dict[str, Any]:
    """Question, answer and numbers, by the measure that the search maximised."""
    measure, target = str(report.get("measure")), other_target(report["test"])
    words, n = NAMES[measure], report["test"]["n"]
    value, pair = measured_of(report["test"], measure)
    between = "" if pair is None else f" (95 % {pair[0]:.4f} to {pair[1]:.4f})"
    over = over_of(report["test"], measure) or f" over {n:,}"
    told = f"Test {words} is {number(value)}{between}{over} images" if n else "There were no test images"
    return {
        "question": asked(report, "answer", f"what the task asks for ({target}, task {report['task']})"),
        "answer": f"{told}, with {size_in_words(report)}. Test images were read once, after everything was fixed. "
        f"Split: {report['split_in_words']}.",
        "key_numbers": [(f"Test {words}", number(value), between.strip(" ()")), parameters(report)],
        "results": _results(report, measure),
        "recalls": _measures(report["test"], str(target)),
        "gap": "",
        "rule": "",
        "confusion_figures": [],
        "confusions": [],
        "of_classes": False,
    }


def _results(report: RunReport, measure: str) -> Table:
    """The run's own network beside its baselines."""
    rows: list[tuple[str, float, Any, Any]]
    rows = [(named(report), report["parameters"]["expert"], report["validation"], report["test"])]
    for name, row in distinct(report, report["baselines"]).items():
        if row["parameters"] is not None:  # else none was made
            rows.append((BASELINES.get(name, name), row["parameters"], row["validation"], row["test"]))
    if plain := report.get("without_network"):
        rows.append((plain["name"].removeprefix("the "), 0, {}, plain["test"]))
    cells = []
    for name, size, *splits in rows:
        (validation, _), (test, pair) = (measured_of(split, measure) for split in splits)
        interval = "" if pair is None else f" ({pair[0]:.4f} to {pair[1]:.4f})"
        over = [over_of(split, measure) for split in splits]
        cells.append([name, f"{size:,.0f}", number(test) + interval + over[1], number(validation) + over[0]])
    heads = ["", "Parameters", f"Test {NAMES[measure]}", f"Validation {NAMES[measure]}"]
    return Table(f"In brackets 95 % intervals. Split: {report['split_in_words']}.", heads, cells, strong=0)


def _measures(test: Mapping[str, Any], target: str) -> Table | None:
    """Every measure of the test images, and where there are several labels the same of each."""
    found = test[target]
    parts = {None: found, **found.get("labels", {})}
    rows = []
    for label, part in parts.items():
        for name, pair in part.get("ci95", {}).items():
            interval = number(None) if pair is None else f"{pair[0]:.4f} to {pair[1]:.4f}"
            numbers = (part.get(name), part.get("sd", {}).get(name))
            words = NAMES[name] + ("" if label is None else f", {label}") + over_of(test, name, label)
            rows.append([f"{words[0].upper()}{words[1:]}", *map(number, numbers), interval])
    told = f"Every measure, mean over {found['n']:,} test images of known truth."
    told += " A row of fewer says so." if found.get("undefined") else ""
    told += "".join(words for name, words in UNITS.items() if found.get(name) is not None)
    told += "".join(f" {words}" for name, words in found.items() if name.endswith("_in_words"))
    heads = ["Measure", "Mean", "Standard deviation", "95 % interval"]
    return Table(told, heads, rows) if rows else None
