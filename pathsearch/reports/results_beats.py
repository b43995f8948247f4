"""AAMI's classes of heart beats on the results page: sensitivity and positive predictive value of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pathsearch.experts.markdown import DASH, escaped, link, rate, table
from pathsearch.experts.run_report import PROBE, RunReport, baseline_test
from pathsearch.measures.intervals import Interval, wilson
from pathsearch.measures.rates import ClassRates, interval_of
from pathsearch.reports.published import INTER_PATIENT, INTER_PATIENT_NOTE
from pathsearch.reports.results_rows import Row, encoder_in_words, own_network, spread

AAMI = ("N", "S", "V", "F")
WILSON: Literal["wilson"] = "wilson"
NETWORKS = {None: "", PROBE: "linear probe", "full_grid": "full grid"}


@dataclass(frozen=True)
class OneClass:
    """Of one class: images, those answered so, and those answered so rightly."""

    images: int
    answered: int
    right: int

    @property
    def sensitivity(self) -> float | None:
        """Share of the class's images that were answered so; None without images."""
        return self.right / self.images if self.images else None

    @property
    def predictive_value(self) -> float | None:
        """Share of the answers of this class that are right; None without answers."""
        return self.right / self.answered if self.answered else None


def class_rates(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> dict[str, OneClass]:
    """Each class's counts.

    Args:
        classes: K names.
        confusion: K rows of truth, K or K + 1 columns of answers, the last "unknown".
    """
    columns = list(zip(*confusion, strict=True))
    return {name: OneClass(sum(confusion[k]), sum(columns[k]), confusion[k][k]) for k, name in enumerate(classes)}


def mean_sensitivity(rates: dict[str, OneClass], classes: Sequence[str]) -> float | None:
    """Plain mean over these classes; None where one has no images."""
    values = [rates[name].sensitivity for name in classes]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def is_aami(row: Row) -> bool:
    """Whether a row is of AAMI's four classes."""
    return set(row.classes) == set(AAMI)


def beats_section(rows: Sequence[Row]) -> str:
    """AAMI's table of rows of its four classes, published numbers first where the split is theirs."""
    published = any(row.report["split"] == "ds1-ds2" for row in rows)
    heads = [
        "whose",
        "method, encoder",
        "split",
        "seeds",
        "accuracy",
        "mean sensitivity, N S V",
        "mean sensitivity, N S V F",
    ]
    cells = [
        [
            link(one.source.short, one.source.address),
            one.method,
            "ds1-ds2",
            DASH,
            f"{one.accuracy:g}",
            DASH,
            f"{one.mean_sensitivity:g}",
        ]
        for one in (INTER_PATIENT if published else ())
    ]
    for row in rows:
        for network, name in NETWORKS.items():
            if not (network == PROBE and row.is_probe) and (told := _told(row, network)):
                whose = f"{row.label}: {name}" if name else row.named
                encoder = encoder_in_words(row.report["encoder"])
                cells.append([whose, encoder, row.report["split"], row.seeds, *_summary(told, network is None)])
    said = (
        "Classes after ANSI/AAMI EC57: N, S, V, F. Positive predictive values count all wrong answers: EC57's "
        "exception for fusion beats answered V is not made."
    )
    if not all(grouped(run.report) for row in rows for run in row.runs):
        said += (
            " Where a report does not say that its intervals are over patients, they take beats as independent, which "
            "those of one patient are not: over patients they would be wider."
        )
    parts = [said, *([INTER_PATIENT_NOTE] if published else []), table(heads, cells), _by_class(rows)]
    return "\n\n".join(parts)


def _told(row: Row, network: str | None) -> list[ClassRates]:
    """The test rates of one network at each seed; empty where a report lacks them."""
    tests = row.each(lambda report: report["test"] if network is None else baseline_test(report, network))
    whole = [test for test in tests if test is not None and "confusion" in test]
    return whole if len(whole) == len(tests) else []


def _summary(tests: Sequence[ClassRates], own: bool) -> list[str]:
    rates = [class_rates(test["classes"], test["confusion"]) for test in tests]
    interval = interval_of(tests[0], "accuracy") if own else None
    means = [spread([mean_sensitivity(one, over) for one in rates]) for over in (AAMI[:3], AAMI)]
    return [spread([test["accuracy"] for test in tests], interval), *means]


def _by_class(rows: Sequence[Row]) -> str:
    heads = ["row", "class", "test images", "sensitivity", "positive predictive value"]
    cells = []
    for row in rows:
        each = [class_rates(test["classes"], test["confusion"]) for test in _told(row, None)]
        for name in AAMI:
            several = [rates[name] for rates in each]
            sensitivity = _rates([(one.right, one.images) for one in several], _intervals(row, name))
            value = _rates([(one.right, one.answered) for one in several], None if grouped(row.report) else WILSON)
            cells.append([row.label, name, f"{several[0].images:,}", sensitivity, value])
    own = own_network(rows)
    return f"{escaped(own[0].upper() + own[1:])}, class by class:\n\n{table(heads, cells)}"


def grouped(report: RunReport) -> bool:
    """Whether a report's intervals are over groups."""
    made = report.get("intervals")
    return bool(made and made["groups"])


def _intervals(row: Row, name: str) -> Interval | Literal["wilson"] | None:
    """The interval of a class's sensitivity: over groups where the report has it so, else Wilson's."""
    return (row.report["test"]["ci95"]["recall_per_class"] or {}).get(name) if grouped(row.report) else WILSON


def _rates(counts: Sequence[tuple[int, int]], interval: Interval | Literal["wilson"] | None) -> str:
    """Shares over seeds; one share with an interval, Wilson's or a given one, or none."""
    shares = [right / n if n else None for right, n in counts]
    if len(counts) > 1 or shares[0] is None or interval is None:
        return spread(shares)
    low, high = wilson(*counts[0]) if interval == WILSON else interval
    return f"{rate(shares[0])} ({low:.4f}, {high:.4f})"
