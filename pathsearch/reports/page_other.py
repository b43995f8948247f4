"""The parts of a run's page that speak of its answers, for a task that asks for something else than a class."""

from __future__ import annotations

from typing import Any

from pathsearch.experts.run_report import RunReport
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import measured_of, other_target
from pathsearch.reports.alt_texts import BASELINES
from pathsearch.reports.page_tables import Table, number, percent


def other_parts(report: RunReport) -> dict[str, Any]:
    """Question, answer and numbers, by the measure that the search maximised."""
    measure, target = str(report.get("measure")), other_target(report["test"])
    words, size, n = NAMES[measure], report["parameters"], report["test"]["n"]
    value, pair = measured_of(report["test"], measure)
    between = "" if pair is None else f" (95 % {pair[0]:.4f} to {pair[1]:.4f})"
    told = f"Test {words} is {number(value)}{between} over {n:,} images" if n else "There were no test images"
    return {
        "question": f"On the frozen encoder {report['encoder']['name']}, can evolution find a small path of modules "
        f"that answers what the task asks for ({target}, task {report['task']}), and is it better than simpler ways "
        "with the same features and training?",
        "answer": f"{told}, with {size['expert']:,} parameters, {percent(size['share'])} of the full grid's. Test "
        f"images were read once, after everything was fixed. Split: {report['split_in_words']}.",
        "key_numbers": [
            (f"Test {words}", number(value), between.strip(" ()")),
            ("Parameters", f"{size['expert']:,}", f"{percent(size['share'])} of the full grid's"),
        ],
        "results": _results(report, measure),
        "recalls": None,
        "gap": "",
        "rule": "",
        "confusion_figures": [],
        "confusions": [],
    }


def _results(report: RunReport, measure: str) -> Table:
    """The evolved path beside its baselines."""
    rows = [("evolved path", report["parameters"]["expert"], report["validation"], report["test"])]
    for name, row in report["baselines"].items():
        if row["parameters"] is not None:  # else none was made
            rows.append((BASELINES.get(name, name), row["parameters"], row["validation"], row["test"]))  # type: ignore[arg-type]
    cells = []
    for name, size, *splits in rows:
        (validation, _), (test, pair) = (measured_of(split, measure) for split in splits)
        interval = "" if pair is None else f" ({pair[0]:.4f} to {pair[1]:.4f})"
        cells.append([name, f"{size:,.0f}", number(test) + interval, number(validation)])
    heads = ["", "Parameters", f"Test {NAMES[measure]}", f"Validation {NAMES[measure]}"]
    return Table(f"In brackets 95 % intervals. Split: {report['split_in_words']}.", heads, cells, strong=0)
