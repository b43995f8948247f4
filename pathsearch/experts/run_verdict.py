"""What a run's report says of the evolved path beside each baseline: one of three answers, by the paired test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pathsearch.measures.measure import NAMES
from pathsearch.measures.standing import BETTER, UNDECIDED, WORSE, evidence, how_many, standing, told, too_few
from pathsearch.measures.statistics import SURE

WORDS = {"linear_probe": "the linear probe", "random_path": "random paths", "full_grid": "the full grid"}
PATH = "the evolved path"


def run_verdict(report: Mapping[str, Any], measure: str | None = None) -> list[str]:
    """One sentence a baseline, by the measure that the search maximised.

    Args:
        report: of a run, of this version or an earlier one; earlier ones have McNemar's test of accuracy at most.
        measure: what the search maximised, for a report that does not say so.
    """
    wanted = report.get("measure") or measure or "accuracy"
    lines = []
    for name, baseline in report["baselines"].items():
        if baseline["test"].get("accuracy") is None:
            continue
        rows, by = _tested(report, name, wanted)
        own, other = report["test"][by], baseline["test"].get(by)
        if own is None or other is None:
            continue
        numbers = f"{own:.4f}{_interval(report, by)} against {other:.4f}"
        words = WORDS.get(name, name)
        if not rows:
            clause = told(PATH, words, own - other, None)
            lines.append(f"On test, {clause}: {NAMES[by]} {numbers}; this report has no paired test of it.")
        elif "each" in baseline:
            lines.append(_of_several(rows, words, f"{NAMES[by]} {numbers} on average"))
        else:
            (row,) = rows
            clause = told(PATH, words, row["difference"], row["p"])
            lines.append(f"On test, {clause}: {NAMES[by]} {numbers}; {evidence(row)}{_counts(report, name, row)}.")
    return [*lines, *_note(report, wanted)]


def answer(report: Mapping[str, Any], name: str, measure: str | None = None) -> str:
    """The answer of a run's report on one baseline; of several networks, the one that all of them give."""
    rows, _ = _tested(report, name, report.get("measure") or measure or "accuracy")
    answers = {standing(row["difference"], row["p"]) for row in rows}
    return answers.pop() if len(answers) == 1 else UNDECIDED


def _tested(report: Mapping[str, Any], name: str, wanted: str) -> tuple[list[dict[str, Any]], str]:
    """The paired rows of a baseline, and their measure; none where the report has no test."""
    row = (report.get("paired") or {}).get(name)
    if row is not None:
        return [one for one in row.get("each", [row]) if one["p"] is not None], wanted
    row = (report.get("mcnemar") or {}).get(name)
    if row is None:
        return [], wanted
    test = "McNemar's exact test"
    return [
        {"difference": (one["b"] - one["c"]) / one["n"], "p": one["p"], "test": test}
        for one in row.get("each", [row])
        if one["n"]
    ], "accuracy"


def _of_several(rows: list[dict[str, Any]], words: str, numbers: str) -> str:
    n = how_many([standing(row["difference"], row["p"]) for row in rows])
    tests = " and ".join(sorted({row["test"] for row in rows}))
    return (
        f"On test, {PATH} is better than {n[BETTER]} of {len(rows)} {words} and worse than {n[WORSE]}; no difference "
        f"is shown from {n[UNDECIDED]}: {numbers}; {tests} of each, p < {SURE:g}{too_few(rows)}."
    )


def _interval(report: Mapping[str, Any], rate: str) -> str:
    pair = (report["test"].get("ci95") or {}).get(rate)
    return f" (95 % {pair[0]:.4f} to {pair[1]:.4f})" if pair else ""


def _counts(report: Mapping[str, Any], name: str, row: Mapping[str, Any]) -> str:
    """The images on which the two differ, where these are what was tested."""
    found = (report.get("mcnemar") or {}).get(name) or {}
    if not row["test"].startswith("McNemar") or "b" not in found:
        return ""
    return f" ({found['b']:,} images only the path has right, {found['c']:,} only the other)"


def _note(report: Mapping[str, Any], wanted: str) -> list[str]:
    """What an earlier report cannot say."""
    if "paired" in report or wanted == "accuracy" or not report.get("mcnemar"):
        return []
    return [f"The search maximised {NAMES[wanted]}; this report, of an earlier form, has tests of accuracy only."]
