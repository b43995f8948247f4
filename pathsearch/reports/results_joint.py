"""Joint evaluations on the results page: routed beside oracle, and what became of each task's images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pathsearch.experts.joint_report import JointReport, JointTask
from pathsearch.experts.markdown import DASH, code, escaped, rate, table
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import ClassRates, RateName, interval_of, measured_of, over_of
from pathsearch.reports.again import joint_command
from pathsearch.reports.evidence import Evidence
from pathsearch.reports.page_joint_other import measure_of, mixed
from pathsearch.reports.results_rows import Row, digits_of, encoder_in_words, has_weights, spread
from pathsearch.reports.results_tasks import evidence_link


@dataclass(frozen=True)
class JointRow:
    """One joint evaluation, and the rows of the page that its runs belong to."""

    label: str
    evidence: Evidence[JointReport]
    runs: dict[str, tuple[str, int]]  # row label and seed of each task's run, where its evidence is here too

    @property
    def seeds(self) -> str:
        """Seeds of the runs; one number if they are equal."""
        known = sorted({seed for _, seed in self.runs.values()})
        return ", ".join(map(str, known)) or DASH


def joint_rows(found: Sequence[Evidence[JointReport]], rows: Sequence[Row]) -> list[JointRow]:
    """The joint evaluations, labelled J1, J2 …; their runs are looked for beside them, in the same directory."""
    known = {run.name: (row.label, run.report["seed"]) for row in rows for run in row.runs}
    made = []
    for number, one in enumerate(found, 1):
        before = one.name.rpartition("/")[0]
        names = {task: f"{before}/{run}".lstrip("/") for task, run in one.report["runs"].items()}
        runs = {task: known[name] for task, name in names.items() if name in known}
        made.append(JointRow(f"J{number}", one, runs))
    return made


def joint_section(rows: Sequence[JointRow], address: str) -> str:
    """All joint evaluations, then each task in each of them, then how they were made."""
    heads = [
        "row",
        "tasks",
        "encoder",
        "test images",
        "accuracy, routed",
        "accuracy, task given",
        "mean recall, routed",
    ]
    cells = [[row.label, _tasks(row), *_overall(row.evidence.report)] for row in rows]
    each = [
        [row.label, escaped(name), _run(row, name), *_task(task)]
        for row in rows
        for name, task in row.evidence.report["tasks"].items()
    ]
    said = (
        'All test images mixed, sent by the router from features alone; an image answered "unknown" counts as wrong. '
        'Routing accuracy is over the images that were sent to some task. "Lost" are images that the task\'s own '
        "expert has right and the routed answer wrong."
    )
    if any(mixed(row.evidence.report) for row in rows):
        said += (
            " A task that asks for no class is told by its own measure; an image that did not get to its expert is "
            "worth nothing and lost. Accuracy and recall over all are of the tasks of classes."
        )
    about = [
        "row",
        "task",
        "run",
        "test images",
        "accuracy, routed",
        "task given",
        "mean recall, routed",
        "unknown",
        "lost",
    ]
    made = [_how(row, address) for row in rows]
    return "\n\n".join([said, table([*heads, "routing accuracy", "unknown"], cells), table(about, each), *made])


def _tasks(row: JointRow) -> str:
    return ", ".join(map(escaped, row.evidence.report["tasks"]))


def _overall(report: JointReport) -> list[str]:
    overall, routing = report.get("overall"), report["routing"]
    told = [DASH] * 3
    if overall:
        told = [
            _with_interval(overall, "accuracy"),
            rate(overall["oracle_accuracy"]),
            _with_interval(overall, "recall"),
        ]
    return [
        encoder_in_words(report["encoder"]),
        f"{routing['n']:,}",
        *told,
        spread([routing["accuracy"]], routing["ci95"].get("accuracy") if "ci95" in routing else None),
        f"{routing['unknown']:,}",
    ]


def _task(task: JointTask) -> list[str]:
    routed, lost, measure = task["routed"], task["lost_by_routing"], measure_of(task)
    name = f"{escaped(NAMES[measure])} " if "measure" in task else ""
    told = []
    for split in (routed, task["oracle"]):
        value, pair = measured_of(split, measure)
        told.append(name + spread([value], pair, digits_of(measure)) + over_of(split, measure))
    recall = DASH if "measure" in task else _with_interval(routed, "recall")
    return [f"{routed['n']:,}", *told, recall, f"{routed['unknown']:,}", f"{lost['images']:,}"]


def _with_interval(rates: ClassRates, name: RateName) -> str:
    return spread([rates[name]], interval_of(rates, name))


def _run(row: JointRow, task: str) -> str:
    name = escaped(row.evidence.report["runs"][task])
    return f"{row.runs[task][0]}, seed {row.runs[task][1]}" if task in row.runs else name


def _how(row: JointRow, address: str) -> str:
    one = row.evidence
    splits = "; ".join(f"{escaped(name)}: {escaped(words)}" for name, words in one.report["splits"].items())
    encoder = one.report["encoder"]
    weights = f"; weights: {escaped(encoder['weights'])}" if has_weights(encoder) else ""
    told = f"**{row.label}** {splits}{weights}. Evidence: {evidence_link(one, address)}."
    return f"{told}\n\n{code([one.there(joint_command(one.report))])}"
