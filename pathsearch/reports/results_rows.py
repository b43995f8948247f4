"""Rows of the results page: runs that agree in all but the seed, and their numbers as text."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from data_prep.errors import PathsearchError
from pathsearch.experts.markdown import DASH, escaped, rate
from pathsearch.experts.run_report import PROBE, RunReport, baseline_test, called, is_probe, named
from pathsearch.experts.run_verdict import answer
from pathsearch.measures.rates import RateName, interval_of
from pathsearch.measures.standing import UNDECIDED, standing
from pathsearch.measures.statistics import over_seeds
from pathsearch.reports.again import evolve_command
from pathsearch.reports.evidence import Evidence
from pathsearch.reports.published import PAPER_TASKS, PaperTask
from pathsearch.run.same_encoder import Identity

BEATS = frozenset("NLRejAaJSVEF/fQ")  # MIT-BIH's symbols of beats, AAMI's class names among them

TOLD: tuple[RateName, ...] = ("accuracy", "recall", "auc")  # of every row
SAME = "the same network"  # as a baseline, in every run
Value = TypeVar("Value")


@dataclass(frozen=True)
class Row:
    """One row: at least one run, by seed."""

    label: str
    runs: tuple[Evidence[RunReport], ...]

    @property
    def report(self) -> RunReport:
        """The first run's report: what it stands on is the same for all."""
        return self.runs[0].report

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order."""
        return tuple(self.report["test"]["classes"])

    @property
    def paper_task(self) -> PaperTask | None:
        """The task of the paper that this row reproduces, by classes and split."""
        mine = (self.classes, self.report["split"])
        return next((task for task in PAPER_TASKS if (task.classes, task.split) == mine), None)

    @property
    def seeds(self) -> str:
        """The seeds in words."""
        return seeds_in_words([run.report["seed"] for run in self.runs])

    @property
    def is_probe(self) -> bool:
        """Whether every run's own network is the linear probe."""
        return all(self.each(is_probe))

    @property
    def named(self) -> str:
        """Label and network, as other tables name it where that is so in every run."""
        return f"{self.label}: {(named if self.is_probe else called)(self.report)}"

    def each(self, value: Callable[[RunReport], Value]) -> list[Value]:
        """A value of each run's report."""
        return [value(run.report) for run in self.runs]

    def tested(self, name: RateName) -> str:
        """A rate of the expert on test: mean ± standard deviation over seeds, or one run's with its interval."""
        values = self.each(lambda report: report["test"][name])
        return spread(values, interval_of(self.report["test"], name))

    def baseline(self, name: str, what: RateName = "accuracy") -> str:
        """A baseline's rate on test, over seeds."""
        return spread(self._baseline(name, what))

    def _baseline(self, name: str, what: RateName) -> list[float | None]:
        tests = self.each(lambda report: baseline_test(report, name))
        return [None if test is None else test.get(what) for test in tests]

    def answer(self, name: str) -> str:
        """How the expert stands to a baseline on test, by the measure that its search maximised.

        Over five seeds or more by a paired t-test over seeds, for one run by its report's own test; two to four seeds
        allow none, and neither does one network.
        """
        if name == PROBE and self.is_probe:
            return SAME
        measure = self.runs[0].config.get("search", {}).get("fitness", "accuracy")
        if len(self.runs) == 1:
            return answer(self.report, name, measure)
        own = self.each(lambda report: report["test"].get(measure))
        other = self._baseline(name, measure)
        both = [(mine, its) for mine, its in zip(own, other, strict=True) if mine is not None and its is not None]
        if len(both) < len(self.runs):
            return UNDECIDED
        found = over_seeds(*zip(*both, strict=True))
        return standing(found["difference"], found["p"])

    def commands(self) -> list[str]:
        """What makes the runs again; a loop where the seed is all that changes."""
        each = [run.there(evolve_command(run.config, run.run_name)) for run in self.runs]
        seeds = [run.report["seed"] for run in self.runs]
        general = {one.replace(f"--seed {seed}", "--seed $seed") for one, seed in zip(each, seeds, strict=True)}
        if len(each) == 1 or len(general) > 1:
            return each
        return [f"for seed in {' '.join(map(str, seeds))}; do", f"  {general.pop()}", "done"]


def rows_of(runs: Sequence[Evidence[RunReport]]) -> list[Row]:
    """The runs by row, labelled: ECG's E1, E2 …, the others' by their task's first letter; most seeds first.

    Raises:
        PathsearchError: the same settings and seed twice in one directory of runs.
    """
    groups: dict[str, list[Evidence[RunReport]]] = {}
    for run in runs:
        groups.setdefault(_but_for_the_seed(run), []).append(run)
    rows, numbers = [], dict[str, int]()
    for group in sorted(groups.values(), key=lambda group: (-len(group), group[0].name)):
        by_seed: dict[int, Evidence[RunReport]] = {}
        for run in group:
            other = by_seed.setdefault(run.report["seed"], run)
            if other is not run:
                raise PathsearchError(
                    f"{other.folder} and {run.folder}: the same settings and seed {run.report['seed']} twice; "
                    "remove one from the evidence"
                )
        letter = _letter(group[0])
        numbers[letter] = numbers.get(letter, 0) + 1
        ordered = tuple(run for _, run in sorted(by_seed.items()))
        rows.append(Row(f"{letter}{numbers[letter]}", ordered))
    return sorted(rows, key=lambda row: (row.label[0], int(row.label[1:])))


def is_ecg(classes: Sequence[str]) -> bool:
    """Whether all classes are MIT-BIH's beats or AAMI's classes of them."""
    return set(classes) <= BEATS


def _letter(run: Evidence[RunReport]) -> str:
    if is_ecg(run.report["test"]["classes"]):
        return "E"
    first = run.report["task"][0].upper()
    return first if first.isascii() and first.isalpha() and first not in "EJC" else "T"


def _but_for_the_seed(run: Evidence[RunReport]) -> str:
    config = {key: value for key, value in run.config.items() if key not in ("seed", "encoder_key")}
    return json.dumps([run.runs_dir, run.report["encoder"]["key"], run.report["test"]["classes"], config])


def seeds_in_words(seeds: Sequence[int]) -> str:
    """`0`, `0 and 3`, `0 to 4`."""
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    return " and ".join(filter(None, [", ".join(map(str, ordered[:-1])), str(ordered[-1])])) if ordered else DASH


def spread(values: Sequence[float | None], interval: Sequence[float] | None = None) -> str:
    """Mean ± standard deviation of several values; one with its interval, if it has one."""
    known = [value for value in values if value is not None]
    if len(known) > 1:
        return f"{statistics.fmean(known):.4f} ± {statistics.stdev(known):.4f}"
    if not known:
        return DASH
    return rate(known[0]) + (f" ({interval[0]:.4f}, {interval[1]:.4f})" if interval and len(values) == 1 else "")


def encoder_in_words(encoder: Identity) -> str:
    """Name, weights, image size and maps; of a weights file only that it is one: what is in it, its name may say."""
    weights, shape = str(encoder["weights"]), encoder.get("feature_shape")
    kinds = {"random": "random weights", "ImageNet": "ImageNet weights", "file": "weights from a file"}
    words = [encoder["name"], kinds.get(weights.split(" ")[0], f"weights {escaped(weights)}")]
    words.append(f"{encoder['image_size']} px" + (f", {shape[1]}×{shape[2]} maps" if shape else ""))
    if encoder.get("precision", "float32") != "float32":
        words.append(encoder["precision"])
    return ", ".join(words)
