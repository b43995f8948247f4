"""The parts of a joint evaluation's page that speak of its answers, where some tasks ask for no class."""

from __future__ import annotations

from typing import Any, Literal

from pathsearch.experts.joint_report import JointReport, JointTask
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import measured_of, over_of
from pathsearch.reports import page_tables as tables
from pathsearch.reports.page_tables import Table, interval_in_percent, number, percent

KINDS: tuple[Literal["routed"], Literal["oracle"]] = ("routed", "oracle")


def mixed(report: JointReport) -> bool:
    """Whether some task asks for something else than classes."""
    return any("measure" in row for row in report["tasks"].values())


def measure_of(row: JointTask) -> str:
    """By which a task is told: the first of its target."""
    return row.get("measure", "accuracy")


def other_parts(report: JointReport, splits: str) -> dict[str, Any]:
    """Question, answer and numbers: each task by its own measure, accuracy over the tasks of classes alone."""
    routing, overall = report["routing"], report.get("overall")
    each = "; ".join(f"{name}: {_told(row)}" for name, row in report["tasks"].items())
    return {
        "question": f"If the test images of {', '.join(report['tasks'])} are mixed and the task of an image is not "
        "told, how good is the answer that comes back, and what does not knowing the task cost?",
        "answer": f"{each}. {routing['unknown']:,} of {routing['n']:,} images ({percent(routing['unknown_share'])}) "
        "were answered unknown; an image that does not get to its own task's expert is worth 0. "
        f"Splits: {splits}.",
        "key_numbers": [
            *(
                (
                    f"{name}: {NAMES[measure_of(row)]}, routed",
                    number(measured_of(row["routed"], measure_of(row))[0]),
                    "",
                )
                for name, row in report["tasks"].items()
            ),
            *(
                [
                    (
                        "Accuracy over tasks of classes",
                        percent(overall["accuracy"]),
                        interval_in_percent(overall, "accuracy"),
                    )
                ]
                if overall
                else []
            ),
            ("Routing accuracy", percent(routing["accuracy"]), "over the images that were routed"),
            ("Answered unknown", f"{routing['unknown']:,}", f"of {routing['n']:,} images"),
        ],
        "results": _results(report, splits),
        "recalls": None
        if overall is None
        else tables.recalls(overall, "Recall of each class, routed; an image that got no class counts as missed."),
    }


def other_verdict(name: str, row: JointTask) -> str:
    """What the router costs a task that asks for no class."""
    lost = row["lost_by_routing"]
    return (
        f"{name}: {_told(row)}; {lost['images']:,} images did not get to its expert, {lost['of_them_unknown']:,} of "
        "them as unknown."
    )


def _told(row: JointTask) -> str:
    measure = measure_of(row)
    routed, oracle = (number(measured_of(row[kind], measure)[0]) + over_of(row[kind], measure) for kind in KINDS)
    return f"{NAMES[measure]} {routed} routed against {oracle} with the task given"


def _results(report: JointReport, splits: str) -> Table:
    rows = []
    for name, row in report["tasks"].items():
        measure, cells = measure_of(row), []
        for split in (row[kind] for kind in KINDS):
            value, pair = measured_of(split, measure)
            interval = "" if pair is None else f" ({pair[0]:.4f}, {pair[1]:.4f})"
            cells.append(number(value) + interval + over_of(split, measure))
        rows.append([name, NAMES[measure], f"{row['routed']['n']:,}", *cells, f"{row['routed']['unknown']:,}"])
    told = (
        "Test images, each task by its own measure; in brackets 95 % intervals. An image that did not get to its own "
    )
    return Table(
        f"{told}task's expert is worth 0. Splits: {splits}.",
        ["Task", "Measure", "Images", "Routed", "Task given", "Unknown"],
        rows,
    )
