"""The paper's tables, row by row, ours below each."""

from __future__ import annotations

from collections.abc import Sequence

from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.markdown import DASH, escaped, link, table
from pathsearch.experts.run_report import baseline_test
from pathsearch.measures.rates import ClassRates, interval_of
from pathsearch.reports.evidence import Evidence
from pathsearch.reports.published import (
    CITED,
    ECG,
    PAPER,
    PAPER_ENCODER,
    PAPER_JOINT,
    PAPER_TASKS,
    Cited,
    PaperTask,
    Rates,
)
from pathsearch.reports.results_joint import JointRow
from pathsearch.reports.results_rows import TOLD, Row, encoder_in_words, spread
from pathsearch.reports.results_tasks import beside, circumstances, how, rates

HEADS = ["result", "whose", "encoder", "split; test images", "seeds", "accuracy", "mean recall", "AUC"]


def paper_section(rows: Sequence[Row], joint: Sequence[JointRow], address: str) -> str:
    """The paper's rows with ours; empty without any of ours.

    Args:
        rows: all rows; those of the paper's tasks are taken.
        joint: all joint evaluations; those of exactly the paper's tasks are taken.
        address: of the evidence folder, from the page.
    """
    ours = [row for row in rows if row.paper_task is not None]
    both = [row for row in joint if _is_papers(row.evidence)]
    if not ours and not both:
        return ""
    cells = []
    for task in PAPER_TASKS:
        own = [row for row in ours if row.paper_task is task]
        if own:
            cells.append(_published(f"{task.title}: path network", task.alone, task.paper_split))
            cells += [_cited(one) for one in CITED if task is ECG]
            cells += [["", row.named, *circumstances(row), *rates(row)] for row in own]
            cells.append(_published(f"{task.title}: without it", task.without, task.paper_split))
            cells += [["", f"{row.label}: linear probe", *circumstances(row), *_probe(row)] for row in own]
    cells += _jointly(both)
    said = (
        f"The paper is {PAPER.full}, {link('DOI', PAPER.address)}; its encoder is {PAPER_ENCODER}. It gives no "
        "intervals and does not say over which classes its recall is. Nor does it say what is left without its path "
        "network: the nearest of ours is the linear probe, one linear layer on the encoder's features. The random "
        "split of ECG measures patients as much as disease: beats of one patient stand in training and test."
    )
    parts = [said, table(HEADS, cells), beside(ours) if ours else "", how(ours, address)]
    return "\n\n".join(filter(None, parts))


def _published(what: str, rates: Rates, split: str) -> list[str]:
    return [what, rates.source.short, PAPER_ENCODER, split, DASH, f"{rates.accuracy:g}", f"{rates.recall:g}", DASH]


def _cited(one: Cited) -> list[str]:
    return ["", f"{one.who}, cited there", one.method, DASH, DASH, f"{one.accuracy:g}", DASH, DASH]


def _probe(row: Row) -> list[str]:
    """The linear probe's accuracy, mean recall and AUC on test, with intervals if there is one seed."""
    cells = []
    tests = row.each(lambda report: baseline_test(report, "linear_probe"))
    for name in TOLD:
        interval = None if tests[0] is None else interval_of(tests[0], name)
        cells.append(spread([None if test is None else test.get(name) for test in tests], interval))
    return cells


def _jointly(both: Sequence[JointRow]) -> list[list[str]]:
    """The joint test: each task's images, routed, then all."""
    cells = []
    for task in PAPER_TASKS if both else ():
        cells.append(_published(f"joint, {task.title}", task.jointly, task.paper_split))
        for row in both:
            name = _named(row.evidence, task)
            cells.append(
                _routed(row, row.evidence.report["tasks"][name]["routed"], row.evidence.report["splits"][name])
            )
    if both:
        cells.append(_published("joint, all images", PAPER_JOINT, "both"))
        cells += [_routed(row, row.evidence.report["overall"], "both") for row in both]
    return cells


def _routed(row: JointRow, rates: ClassRates, split: str) -> list[str]:
    values = [spread([rates[name]], interval_of(rates, name)) for name in TOLD]
    where = f"{escaped(split.split(' ')[0])}; {rates['n']:,}"
    return ["", f"{row.label}: routed", encoder_in_words(row.evidence.report["encoder"]), where, row.seeds, *values]


def _is_papers(one: Evidence[JointReport]) -> bool:
    return len(one.report["tasks"]) == len(PAPER_TASKS) and all(_named(one, task) for task in PAPER_TASKS)


def _named(one: Evidence[JointReport], task: PaperTask) -> str:
    """The name of a task of the paper in a joint evaluation; empty if it is not among its tasks."""
    for name, row in one.report["tasks"].items():
        split = str(one.report["splits"].get(name, ""))
        if tuple(row["oracle"].get("classes", ())) == task.classes and split.startswith(task.split):
            return str(name)
    return ""
