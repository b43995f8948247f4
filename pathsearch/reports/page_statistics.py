"""Calibration, McNemar's test and class shares as tables, where a report has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from pathsearch.experts.run_report import (
    McNemarEach,
    McNemarNetwork,
    PairedEach,
    PairedNetwork,
    RunReport,
    called,
    distinct,
    mcnemar_each,
    paired_each,
)
from pathsearch.measures.measure import NAMES
from pathsearch.measures.reliability import Calibration
from pathsearch.measures.standing import too_few
from pathsearch.measures.statistics import SURE, PriorShift
from pathsearch.reports.alt_texts import BASELINES
from pathsearch.reports.page_tables import DASH, LONGEST, Table, facts, number

Told = tuple[str, list[str], Table | None]  # title, sentences, table


def statistics(report: Mapping[str, object]) -> list[Told]:
    """Each statistic of a run's report with its title; one of an unknown form as plain rows."""
    own = cast("RunReport", report)
    known: dict[str, tuple[str, str, Callable[[Any], tuple[list[str], Table | None]]]] = {  # told, field, table
        "calibration": ("Are the probabilities met?", "test", _calibration),
        "paired": ("Paired test against each baseline", "linear_probe", partial(_paired, own)),
        "mcnemar": ("McNemar's test against each baseline", "linear_probe", partial(_mcnemar, own)),
        "prior_shift": ("Shares of the classes", "shares", _shares),
    }
    found: list[Told] = []
    for key, (title, needs, table) in known.items():
        value = report.get(key)
        if isinstance(value, Mapping) and value:
            lines, rows = table(value) if needs in value else ([], facts(value, f"{title}."))
            if lines or rows:  # no network is tested against itself
                found.append((title, lines, rows))
    return found


def _calibration(value: Calibration) -> tuple[list[str], Table | None]:
    rows = []
    for name, split in (("test", value.get("test")), ("validation", value.get("validation"))):
        if split:
            for part, words in ((split["before"], "as they are"), (split["after"], "after temperature scaling")):
                one = [number(each) for each in (part["ece"], part["brier"], part["nll"])]
                rows.append([f"{name}, {words}", f"{split['n']:,}", *one])
    fitted = "fitted on validation" if value.get("fitted") else "not fitted: validation has no mistake"
    lines = [f"Temperature {number(value['temperature'])}, {fitted}. The answers stay as they are."]
    heads = ["Probabilities", "Images", "Expected calibration error", "Brier score", "Nats an image"]
    return lines, Table(f"Less is better. {_sentence(value.get('how', ''))}", heads, rows) if rows else None


def _paired(report: RunReport, value: Mapping[str, PairedNetwork | PairedEach]) -> tuple[list[str], Table | None]:
    rows, measures, tests = [], set(), set()
    for name, row in distinct(report, value).items():
        for one in paired_each(row):
            label = f"random path {one['path']}" if "each" in row else BASELINES.get(name, name)
            p = DASH if one["p"] is None else f"{one['p']:.2g}"
            numbers = map(number, (one["own"], one["other"], one["difference"]))
            rows.append([label, *numbers, p, one["answer"]])
            measures.add(NAMES[one["measure"]])
            tests.add(f"{one['test']}" + (f" of {one['groups']:,}" if one["groups"] else "") + too_few([one]))
    own = called(report, "The ")
    heads = ["Against", own, "The other", "Difference", "p", f"{own} is"]
    maximised = "" if report.get("given") else ", which is what the search maximised"
    told = f"By {', '.join(measures)} on the same test images{maximised}; "
    told += f"{', '.join(sorted(tests))}, two-sided; p not corrected. Better or worse: p below {SURE:g}."
    return [], Table(told, heads, rows) if rows else None


def _mcnemar(report: RunReport, value: Mapping[str, McNemarNetwork | McNemarEach]) -> tuple[list[str], Table | None]:
    rows = []
    for name, row in distinct(report, value).items():
        for one in mcnemar_each(row):
            label = BASELINES.get(name, name)
            label = f"random path {one['path']}" if "each" in row else label
            rows.append([label, *map(number, (one["n"], one["b"], one["c"])), f"{one['p']:.2g}"])
    heads = ["Against", "Test images", f"Only {called(report, 'the ')} right", "Only the other right", "p"]
    told = "McNemar's exact test of accuracy on the same test images, one by one, two-sided; p not corrected."
    return [], Table(told, heads, rows) if rows else None


def _shares(value: PriorShift) -> tuple[list[str], Table | None]:
    words = {"train": "Training", "val": "Validation", "test": "Test"}
    shares = {split: row for split, row in value["shares"].items() if row}
    names = list(next(iter(shares.values()), {}))
    rows = [[name, *(number(row.get(name)) if row else DASH for row in shares.values())] for name in names[:LONGEST]]
    told = "Share of each class in each split."
    if len(rows) < len(names):
        told += f" The first {len(rows)} of {len(names):,} classes, in order."
    heads = ["Class", *(words.get(split, split) for split in shares)]
    return list(value.get("in_words", [])), Table(told, heads, rows) if rows else None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
