"""What a run's report says of its network beside each baseline: one of three answers, by the paired test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pathsearch.experts.run_report import RunReport, called, distinct, is_probe, mcnemar_each, paired_each
from pathsearch.measures.measure import NAMES, MeasureName
from pathsearch.measures.rates import measured_of
from pathsearch.measures.standing import BETTER, UNDECIDED, WORSE, Tested, evidence, how_many, standing, told, too_few
from pathsearch.measures.statistics import SURE

WORDS = {"linear_probe": "the linear probe", "random_path": "random paths", "full_grid": "the full grid"}


def run_verdict(found: Mapping[str, Any], measure: MeasureName | None = None) -> list[str]:
    """One sentence a baseline, by the measure that the search maximised.

    Args:
        found: the report of a run, of this version or an earlier one; earlier ones have McNemar's test of accuracy at
            most.
        measure: what the search maximised, for a report that does not say so.
    """
    report = cast("RunReport", found)
    wanted = report.get("measure") or measure or "accuracy"
    lines, subject = [], called(report, "the ")
    if is_probe(report) and report.get("given"):
        lines.append("The path that was given is the linear probe itself.")
    elif is_probe(report) and "choice" in report:
        lines.append(
            "The linear probe was chosen itself, here called the evolved path: on "
            f"{report['choice']['in_words']}, no smaller finalist came within one standard error of the best."
        )
    for name, baseline in distinct(report, report["baselines"]).items():
        rows, by = _tested(report, name, wanted)
        (own, pair), (other, _) = measured_of(report["test"], by), measured_of(baseline["test"], by)
        if own is None or other is None:
            continue
        interval = f" (95 % {pair[0]:.4f} to {pair[1]:.4f})" if pair else ""
        numbers = f"{own:.4f}{interval} against {other:.4f}"
        words = WORDS.get(name, name)
        if not rows:
            clause = told(subject, words, own - other, None)
            lines.append(f"On test, {clause}: {NAMES[by]} {numbers}; this report has no paired test of it.")
        elif "each" in baseline:
            lines.append(_of_several(rows, (subject, words), f"{NAMES[by]} {numbers} on average"))
        else:
            (row,) = rows
            clause = told(subject, words, row["difference"] or 0, row["p"])
            lines.append(f"On test, {clause}: {NAMES[by]} {numbers}; {evidence(row)}{_counts(report, name, row)}.")
    return [*lines, *_without_network(report), *_note(report, wanted)]


def answer(report: RunReport, name: str, measure: MeasureName | None = None) -> str:
    """The answer of a run's report on one baseline; of several networks, the one that all of them give."""
    rows, _ = _tested(report, name, report.get("measure") or measure or "accuracy")
    answers = {standing(row["difference"] or 0, row["p"]) for row in rows}
    return answers.pop() if len(answers) == 1 else UNDECIDED


def _tested(report: RunReport, name: str, wanted: MeasureName) -> tuple[Sequence[Tested], MeasureName]:
    """The paired rows of a baseline, and their measure; none where the report has no test."""
    paired = (report.get("paired") or {}).get(name)
    if paired is not None:
        return [one for one in paired_each(paired) if one["p"] is not None], wanted
    mcnemar = (report.get("mcnemar") or {}).get(name)
    if mcnemar is None:
        return [], wanted
    test = "McNemar's exact test"
    return [
        {"groups": None, "difference": (one["b"] - one["c"]) / one["n"], "p": one["p"], "test": test}
        for one in mcnemar_each(mcnemar)
        if one["n"]
    ], "accuracy"


def _without_network(report: RunReport) -> list[str]:
    """How the network stands to the best answer that takes none, where the report has one."""
    beside = report.get("without_network")
    if beside is None or beside["paired"]["own"] is None:
        return []
    row = beside["paired"]
    clause = told(called(report, "the "), f"{beside['name']} (no network)", row["difference"] or 0, row["p"])
    numbers = f"{NAMES[row['measure']]} {row['own']:.4f} against {row['other']:.4f}"
    return [f"On test, {clause}: {numbers}; {evidence(row)}."]


def _of_several(rows: Sequence[Tested], both: tuple[str, str], numbers: str) -> str:
    subject, words = both
    n = how_many([standing(row["difference"] or 0, row["p"]) for row in rows])
    tests = " and ".join(sorted({str(row["test"]) for row in rows}))
    return (
        f"On test, {subject} is better than {n[BETTER]} of {len(rows)} {words} and worse than {n[WORSE]}; no "
        f"difference is shown from {n[UNDECIDED]}: {numbers}; {tests} of each, p < {SURE:g}{too_few(rows)}."
    )


def _counts(report: RunReport, name: str, row: Tested) -> str:
    """The images on which the two differ, where these are what was tested."""
    found = (report.get("mcnemar") or {}).get(name)
    if not str(row["test"]).startswith("McNemar") or not found or "b" not in found:
        return ""
    return f" ({found['b']:,} images only {called(report, 'the ')} has right, {found['c']:,} only the other)"


def _note(report: RunReport, wanted: MeasureName) -> list[str]:
    """What an earlier report cannot say."""
    if "paired" in report or wanted == "accuracy" or not report.get("mcnemar"):
        return []
    return [f"The search maximised {NAMES[wanted]}; this report, of an earlier form, has tests of accuracy only."]
