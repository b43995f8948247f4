"""Rows of the results page: runs that agree in all but the seed, and their numbers as text."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from data_prep.errors import PathsearchError
from pathsearch.encoders.pixels import PIXELS
from pathsearch.experts.markdown import DASH, escaped
from pathsearch.experts.run_report import PROBE, RunReport, baseline_test, called, is_probe, named
from pathsearch.experts.run_verdict import answer
from pathsearch.measures.rates import RateName, measured_of, measures_in
from pathsearch.measures.standing import UNDECIDED, standing
from pathsearch.measures.statistics import over_seeds
from pathsearch.reports.again import evolve_command
from pathsearch.reports.evidence import Evidence
from pathsearch.reports.published import PAPER_TASKS, PaperTask
from pathsearch.run.same_encoder import Identity
from pathsearch.targets.target import DEFAULT

BEATS = frozenset("NLRejAaJSVEF/fQ")  # MIT-BIH's symbols of beats, AAMI's class names among them

TOLD: tuple[RateName, ...] = ("accuracy", "recall", "auc")  # of every row of classes
LETTERS = {"mask": "M", "box": "B", "image": "I"}  # of labels; E is ECG, J and C are joint evaluations and comparisons
COARSE = ("hausdorff95", "psnr")  # measures in pixels or decibels, of which two digits are told
ANCESTORS = ("grown_from", "begun_from", "partners")  # settings that name other runs
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
    def target(self) -> str:
        """What the task asks for."""
        return self.report.get("target", DEFAULT)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order; none of another target."""
        return tuple(self.report["test"].get("classes", ()))

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
    def network(self) -> str:
        """The network, as other tables name it where that is so in every run."""
        return (named if self.is_probe else called)(self.report)

    @property
    def named(self) -> str:
        """Label and network."""
        return f"{self.label}: {escaped(self.network)}"

    @property
    def known(self) -> str:
        """The label alone, unless the network is one that no search found."""
        return self.named if self.report.get("given") else self.label

    def each(self, value: Callable[[RunReport], Value]) -> list[Value]:
        """A value of each run's report."""
        return [value(run.report) for run in self.runs]

    def tested(self, name: str) -> str:
        """A measure of the expert on test: mean ± standard deviation over seeds, or one run's with its interval.

        Where images have no value, such as a distance to an empty mask, over how many it is.
        """
        values = self.each(lambda report: measured_of(report["test"], name)[0])
        parts: list[Mapping[str, Any]] = self.each(lambda report: measures_in(report["test"]))
        missing = [part.get("undefined", {}).get(name, 0) for part in parts]
        over = sorted({part["n"] - n for part, n in zip(parts, missing, strict=True)})
        some = f" over {' to '.join(f'{n:,}' for n in dict.fromkeys([over[0], over[-1]]))} of {parts[0]['n']:,}" * any(
            missing
        )
        return spread(values, measured_of(self.report["test"], name)[1], digits_of(name)) + some

    def baseline(self, name: str, what: str = "accuracy") -> str:
        """A baseline's measure on test, over seeds."""
        return spread(self._baseline(name, what), None, digits_of(what))

    def _baseline(self, name: str, what: str) -> list[float | None]:
        tests = self.each(lambda report: baseline_test(report, name))
        return [None if test is None else measured_of(test, what)[0] for test in tests]

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
        pairs = list(zip(each, seeds, strict=True))
        general = {one.replace(f"--seed {seed}", "--seed $seed") for one, seed in pairs}
        if len(general) > 1:  # each on a run of its own seed
            general = {_seedless(one.replace(f"--seed {seed}", "--seed $seed"), seed, "$seed") for one, seed in pairs}
        if len(each) == 1 or len(general) > 1 or any("'" in one for one in general):
            return each
        return [f"for seed in {' '.join(map(str, seeds))}; do", f"  {general.pop()}", "done"]


def rows_of(runs: Sequence[Evidence[RunReport]]) -> list[Row]:
    """The runs by row, labelled: ECG's E1, E2 …, masks' M1, M2 …, those of other classes by their task's first letter.

    Rows with most seeds come first. Runs on a grid, or with partners, each of its own seed are one row.

    Raises:
        PathsearchError: the same settings and seed twice in one directory of runs.
    """
    groups: dict[str, list[Evidence[RunReport]]] = {}
    same = Counter(map(_but_for_the_seed, runs))
    for run in runs:
        key = _but_for_the_seed(run)
        groups.setdefault(key if same[key] > 1 else _but_for_the_seed(run, whole=True), []).append(run)
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


def own_network(rows: Sequence[Row], article: str = "") -> str:
    """What the own network of each row is called, where it is the same in all; see `called`."""
    names = {called(row.report, article) for row in rows}
    return names.pop() if len(names) == 1 else f"{article}own network"


def _letter(run: Evidence[RunReport]) -> str:
    report = run.report
    if letter := LETTERS.get(report.get("target", DEFAULT)):
        return letter
    if is_ecg(report["test"]["classes"]):
        return "E"
    first = report["task"][0].upper()
    taken = {*"EJC", *LETTERS.values()}
    return first if first.isascii() and first.isalpha() and first not in taken else "T"


def _but_for_the_seed(run: Evidence[RunReport], *, whole: bool = False) -> str:
    """What runs of one row have in common; `whole`: but for the seed in the names of other runs, too."""
    config: dict[str, Any] = {key: value for key, value in run.config.items() if key not in ("seed", "encoder_key")}
    if whole:
        names = {key: config.pop(key, None) for key in ANCESTORS}
        config["ancestors"] = _seedless(json.dumps(names), run.report["seed"])
    asked = run.report["test"].get("classes", run.report.get("target"))
    return json.dumps([run.runs_dir, run.report["encoder"]["key"], asked, config])


def _seedless(text: str, seed: int, instead: str = "") -> str:
    """Names of runs in a text without their seed, or with a word for it."""
    return re.sub(rf"(?<=-s){seed}(?![\w.])", lambda found: instead, text)


def digits_of(measure: str) -> int:
    """Digits after the point."""
    return 2 if measure in COARSE else 4


def seeds_in_words(seeds: Sequence[int]) -> str:
    """`0`, `0 and 3`, `0 to 4`."""
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    return " and ".join(filter(None, [", ".join(map(str, ordered[:-1])), str(ordered[-1])])) if ordered else DASH


def spread(values: Sequence[float | None], interval: Sequence[float] | None = None, digits: int = 4) -> str:
    """Mean ± standard deviation of several values; one with its interval, if it has one."""
    known = [value for value in values if value is not None]
    if len(known) > 1:
        return f"{statistics.fmean(known):.{digits}f} ± {statistics.stdev(known):.{digits}f}"
    if not known:
        return DASH
    pair = f" ({interval[0]:.{digits}f}, {interval[1]:.{digits}f})" if interval and len(values) == 1 else ""
    return f"{known[0]:.{digits}f}{pair}"


def encoder_in_words(encoder: Identity) -> str:
    """Name, weights, image size and maps; of a weights file only that it is one: what is in it, its name may say."""
    weights, shape = str(encoder["weights"]), encoder.get("feature_shape")
    size = f"{encoder['image_size']} px"
    if not has_weights(encoder):  # the pixels themselves
        return f"{escaped(encoder['name'])}, {size}"
    kinds = {"random": "random weights", "ImageNet": "ImageNet weights", "file": "weights from a file"}
    words = [encoder["name"], kinds.get(weights.split(" ")[0], f"weights {escaped(weights)}")]
    if encoder.get("sizes") == "own":  # the maps of several stages, one after another
        size += f", maps of {len(encoder['taps'])} stages" if "taps" in encoder else ", maps"
        words.append(f"{size} at their own sizes")
    else:
        words.append(size + (f", {shape[1]}×{shape[2]} maps" if shape else ""))
    if encoder.get("precision", "float32") != "float32":
        words.append(encoder["precision"])
    return ", ".join(words)


def has_weights(encoder: Identity) -> bool:
    """Whether an encoder is more than the pixels."""
    return encoder["name"] != PIXELS
