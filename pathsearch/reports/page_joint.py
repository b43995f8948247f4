"""The page of a joint evaluation: all tasks' test images mixed, and nobody says which is which."""

from __future__ import annotations

from typing import Any

from data_prep.table_words import by_folder
from pathsearch.experts.joint_report import JointReport
from pathsearch.measures.confusions import table_of
from pathsearch.reports import page_tables as tables
from pathsearch.reports.again import joint_command
from pathsearch.reports.page_joint_other import mixed, other_parts, other_verdict
from pathsearch.reports.page_source import Source
from pathsearch.reports.page_statistics import statistics
from pathsearch.reports.page_tables import Table, interval_in_percent, number, percent, with_interval


def joint_page(source: Source[JointReport]) -> dict[str, Any]:
    """What the template `joint.html.j2` shows."""
    report = source.report
    routing = report["routing"]
    splits = "; ".join(f"{task}: {words}" for task, words in report["splits"].items())
    mixture = f"All test images mixed, n = {routing['n']:,}. Splits: {splits}."
    return {
        "title": f"{' and '.join(report['tasks'])}: one mixed stream, tested",
        "kind": "Joint evaluation",
        **(other_parts(report, splits) if mixed(report) else _of_classes(report, splits)),
        "verdict": _verdict(report),
        "tasks": [
            {
                "name": " and ".join(names),
                "split": report["splits"][names[0]],
                "about": about,
                "counts": tables.counted(
                    about, f"Images of each {'class' if about['classes'] else 'split'} of {folder}."
                )
                if about
                else None,
                "examples": source.examples(names[0]),
            }
            for folder, names in by_folder(report["tasks"]).items()
            for about in [source.about(names[0])]
        ],
        "result_figures": source.figures("joint_accuracy"),
        "routing": tables.confusion(
            routing["tasks"],
            [*routing["tasks"], "unknown"],
            table_of(routing, len(routing["tasks"]), len(routing["tasks"]) + 1),
            f"Routing. {mixture}",
            heads=("True task", "sent to"),
        ),
        "routing_figures": source.figures("routing", "rejection", "reuse"),
        "rejection": _rejection(report),
        "confusion_figures": source.figures("confusion_joint"),
        "confusions": _confusions(report, splits),
        "statistics": statistics({key: value for key, value in report.items() if key != "calibration"}),
        "other_figures": source.figures(*source.other_figures()),
        "mistakes": report.get("mistakes"),
        "mistake_pictures": source.mistakes(report.get("mistakes")),
        "limits": [
            '"Unknown" is a distance that a share of each task\'s own validation images exceeds. How many foreign '
            "images it catches was not measured here.",
            *_few_validation_images(report),
            "Tasks whose images look alike are harder to tell apart than these may be.",
            f"{tables.intervals_in_words(report)} They do not cover other seeds or other splits.",
            "For research. Not a medical device; no answer of it may decide on a person's care.",
        ],
        "circumstances": tables.facts(
            {
                "runs": ", ".join(f"{task}: {run}" for task, run in report["runs"].items()),
                "encoder": f"{report['encoder']['name']}, {report['encoder']['weights']}, "
                f"{report['encoder']['image_size']} px",
                "SHA-256 of the weights": report["encoder"].get("weights_sha256"),
                "share of validation images that may be answered unknown": report.get("false_rejection_on_validation"),
                "seed": report["seed"],
            },
            "What the numbers stand on, from report.json; each run's own page has its settings.",
        ),
        "left_out": _left_out(report.get("left_out", {})),
        "versions": tables.facts(source.env or {}, "Machine and library versions, from env.json."),
        "command": joint_command(report),
    }


def _of_classes(report: JointReport, splits: str) -> dict[str, Any]:
    """Question, answer and numbers where every task asks for classes."""
    overall, routing = report["overall"], report["routing"]
    return {
        "question": (
            f"If the test images of {', '.join(report['tasks'])} are mixed and the task of an image is not told, how "
            "often is the answer right, and what does not knowing the task cost?"
        ),
        "answer": (
            f"The answer is right for {percent(overall['accuracy'])} of {overall['n']:,} mixed test images "
            f"({interval_in_percent(overall, 'accuracy')}); {percent(overall['oracle_accuracy'])} if the task were "
            f"given. {routing['unknown']:,} images ({percent(routing['unknown_share'])}) were answered unknown. "
            f"Splits: {splits}."
        ),
        "key_numbers": [
            ("Accuracy, routed", percent(overall["accuracy"]), interval_in_percent(overall, "accuracy")),
            ("Accuracy, task given", percent(overall["oracle_accuracy"]), "no router"),
            ("Routing accuracy", percent(routing["accuracy"]), "over the images that were routed"),
            ("Answered unknown", f"{routing['unknown']:,}", f"of {routing['n']:,} images"),
        ],
        "results": _results(report, splits),
        "recalls": tables.recalls(
            overall,
            f"Recall of each class, routed; an unknown counts as missed. All test images mixed, n = {overall['n']:,}. "
            f"Splits: {splits}.",
        ),
    }


def _confusions(report: JointReport, splits: str) -> list[Table]:
    """Counts over all classes; none where no task asks for classes."""
    table = report.get("confusion")
    if table is None:
        return []
    rows, columns = table["rows"], table["columns"]
    counts = table_of(table, len(rows), len(columns), "counts")
    told = f"Counts. All test images mixed, n = {report['overall']['n']:,}. Splits: {splits}."
    found = tables.confusion(rows, columns, counts, told)
    return [] if found is None else [found]


def _few_validation_images(report: JointReport) -> list[str]:
    """Tasks of whose validation images the promised share is less than one."""
    share = report.get("false_rejection_on_validation")
    numbers = {task: row["n_validation"] for task, row in (report.get("calibration") or {}).items() if row}
    few = [f"{task} ({n:,})" for task, n in numbers.items() if share and share * n + 1e-9 < 1]
    if not few:
        return []
    return [
        f"{percent(share)} of the validation images is less than one image of {', '.join(few)}: the threshold there is "
        "the largest distance among them, so that none of them is unknown, and how many others are is left to chance."
    ]


def _verdict(report: JointReport) -> list[str]:
    routing, lines = report["routing"], list[str]()
    named = "accuracy " if mixed(report) else ""  # beside other measures
    for name, row in report["tasks"].items():
        if "measure" in row:
            lines.append(other_verdict(name, row))
            continue
        lost = row["lost_by_routing"]
        lines.append(
            f"{name}: {named}{number(row['routed']['accuracy'])} routed against {number(row['oracle']['accuracy'])} "
            f"with the task given; the router costs {lost['images']:,} right answers, {lost['of_them_unknown']:,} of "
            "them as unknown."
        )
    lines.append(
        f"Routing accuracy is {number(routing['accuracy'])} over the images that were routed, "
        f"{number(routing['accuracy_unknown_wrong'])} if every unknown counts as wrong."
    )
    return lines


def _results(report: JointReport, splits: str) -> Table:
    rows = [
        [
            name,
            f"{row['routed']['n']:,}",
            with_interval(row["routed"], "accuracy"),
            with_interval(row["routed"], "recall"),
            with_interval(row["oracle"], "accuracy"),
            f"{row['routed']['unknown']:,}",
        ]
        for name, row in report["tasks"].items()
    ]
    overall = report["overall"]
    rows.append(
        [
            "overall",
            f"{overall['n']:,}",
            with_interval(overall, "accuracy"),
            with_interval(overall, "recall"),
            number(overall["oracle_accuracy"]),
            f"{report['routing']['unknown']:,}",
        ]
    )
    return Table(
        f"Test images, each task and all mixed; in brackets 95 % intervals. Splits: {splits}.",
        ["Task", "Images", "Accuracy, routed", "Mean recall, routed", "Accuracy, task given", "Unknown"],
        rows,
        strong=len(rows) - 1,
    )


def _left_out(why: dict[str, str]) -> Table | None:
    rows = [[run, reason] for run, reason in why.items()]
    return Table("Runs in the same folder that had no part in this.", ["Run", "Why"], rows) if rows else None


def _rejection(report: JointReport) -> Table | None:
    rows = [
        [task, f"{row['n_test']:,}", percent(promised), percent(observed), f"{percent(low)} to {percent(high)}"]
        for task, row in (report.get("calibration") or {}).items()
        if row
        for promised, observed, (low, high) in zip(row["promised"], row["observed"], row["ci95"], strict=True)
    ]
    heads = ["Task", "Test images", "Promised on validation", "Met on test", "95 % interval"]
    return Table("Share of images that their own task answers unknown.", heads, rows) if rows else None
