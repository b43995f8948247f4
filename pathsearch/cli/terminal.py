"""What a person sees: progress bars with time left, tables of results, one line for an error."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from pathsearch.experts.joint_report import JointReport
    from pathsearch.experts.run_report import RunReport
    from pathsearch.measures.rates import ClassRates, MeanRates
    from pathsearch.measures.statistics import Spread
    from pathsearch.search.comparison_report import ComparisonReport

IMBALANCED = 3  # times as many images: above, a path can score well and miss most of the smallest class
LISTED = 20  # classes that are counted each in one line
BASELINES = {"linear_probe": "linear probe", "random_path": "random paths (mean)", "full_grid": "full grid"}
COUNTS_EVERY = 10  # seconds between two lines of a count, where lines stand for bars

errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class Terminal:
    """Progress on standard error, results on standard output; with `--json` all but the one object on the former.

    On a terminal progress is bars, elsewhere plain lines: one a stage, one a noted step, and counts now and then.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.results = errors if as_json else Console(highlight=False, soft_wrap=True, emoji=False)
        self._progress: Progress | None = None
        self._bar: Any = None
        self._began = self._line_at = time.monotonic()
        self._stage, self._total = "", 0
        self._held = ""  # the first line, until something is done: most mistakes are found before, and are one line

    @contextmanager
    def progress(self) -> Iterator[Terminal]:
        """Tell of stages and steps while the block runs."""
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=errors, disable=not errors.is_terminal) as self._progress:
            yield self
        self._progress = self._bar = None

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of so many steps (0 if not yet known), ending the one before."""
        if self._progress is None:
            return
        if self._bar is not None:
            before = self._progress.tasks[self._bar]
            self._progress.update(self._bar, completed=before.total or before.completed, total=before.total or 1)
        self._bar = self._progress.add_task(name, total=total or None, note="")
        first, self._stage, self._total = not self._stage, name, total
        self._line(held=first)

    def advance(self, done: int, note: str = "") -> None:
        """Set the steps done in the stage; a noted step is always told."""
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, completed=done, note=note)
            self._release()
            if note or self._due():
                self._line(done, note)

    def count(self, done: int, total: int, note: str = "") -> None:
        """Set steps done and their number at once, for stages that learn it on the way; told now and then."""
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, completed=done, total=total or None, note=note)
            self._total = total
            self._release()
            if self._due():
                self._line(done, note)

    def note(self, text: str) -> None:
        """Say where the present step is; told now and then."""
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, note=text)
            self._release()
            if self._due():
                self._line(int(self._progress.tasks[self._bar].completed), text)

    def _due(self) -> bool:
        return time.monotonic() - self._line_at >= COUNTS_EVERY

    def _release(self) -> None:
        if self._held:
            errors.print(self._held, markup=False)
        self._held = ""

    def _line(self, done: int | None = None, note: str = "", held: bool = False) -> None:
        """One line for a log file: time so far, stage, steps done, note."""
        if errors.is_terminal:
            return
        self._release()
        self._line_at = time.monotonic()
        so_far = timedelta(seconds=int(self._line_at - self._began))
        steps = "" if done is None else f"{done} of {self._total}" if self._total else f"{done}"
        self._held = f"{so_far}  {self._stage:<10}  {steps:<9}  {note}".rstrip()
        if not held:
            self._release()

    def say(self, line: str = "") -> None:
        """Print one line for a person."""
        self.results.print(line, markup=False)

    def emit(self, value: Mapping[str, object]) -> None:
        """Print the result as one JSON object on standard output, if `--json` asked for it."""
        if self.as_json:
            print(json.dumps(value, allow_nan=False))

    def figures(self, files: list[Path]) -> None:
        """Name the figures that were written, one line each."""
        for file in files:
            if file.suffix == ".png":
                self.say(f"figure  {file}  (and .svg)")

    def run_table(self, found: Mapping[str, Any]) -> None:
        """One run's result, from its report, beside its baselines, and what it stands on."""
        from pathsearch.experts.run_report import distinct, named  # imports scipy
        from pathsearch.measures.rates import interval_of, other_target, spread_of

        report = cast("RunReport", found)
        if other_target(report["test"]):
            self._other_table(report)
            return
        about = report["encoder"]
        trunk = f"{about['name']}, {about['weights']}, {about['image_size']} px"
        table = Table(
            title=escape(f"{report['task']}: {trunk}, seed {report['seed']}"),
            caption=escape(f"split: {report['split_in_words']}"),
        )
        for name, side in (("", "left"), ("parameters", "right"), ("validation", "right")):
            table.add_column(name, justify=side)  # type: ignore[arg-type]
        for name in ("test accuracy (95 %)", "balanced", "AUC"):
            table.add_column(name, justify="right")
        rows: list[tuple[str, float, ClassRates | MeanRates, ClassRates | MeanRates]] = [
            (named(report), report["parameters"]["expert"], report["validation"], report["test"])
        ]
        for key, row in distinct(report, report["baselines"]).items():
            if row["test"]["n"] and row["parameters"] is not None:
                rows.append((BASELINES[key], row["parameters"], row["validation"], row["test"]))
        for name, parameters, validation, test in rows:
            interval, deviation = interval_of(test, "accuracy"), spread_of(test, "accuracy")
            spread = "" if interval is None else " ({:.4f}, {:.4f})".format(*interval)
            spread += "" if deviation is None else f" ± {deviation:.4f}"
            table.add_row(
                name,
                f"{parameters:,.0f}",
                rate(validation["accuracy"]),
                rate(test["accuracy"]) + spread,
                rate(test["balanced_accuracy"]),
                rate(test["auc"]),
            )
        self.results.print(table)
        self._after_table(report)

    def _other_table(self, report: RunReport) -> None:
        """The same of another target than classes, by the measure that was maximised."""
        from pathsearch.experts.run_report import distinct, named
        from pathsearch.measures.measure import NAMES
        from pathsearch.measures.rates import measured_of, over_of

        measure = str(report["measure"])
        table = Table(title=escape(report["task"]), caption=escape(f"split: {report['split_in_words']}"))
        for name in ("", "parameters", f"validation {NAMES[measure]}", f"test {NAMES[measure]} (95 %)"):
            table.add_column(name, justify="right" if name else "left")
        rows: list[tuple[str, float, Any]] = [(named(report), report["parameters"]["expert"], report)]
        for key, row in distinct(report, report["baselines"]).items():
            if row["parameters"] is not None:
                rows.append((BASELINES[key], row["parameters"], row))
        if plain := report.get("without_network"):
            rows.append((plain["name"].removeprefix("the "), 0, {"validation": {}, "test": plain["test"]}))
        for name, size, own in rows:
            (validation, _), (test, pair) = (measured_of(own[split], measure) for split in ("validation", "test"))
            interval = "" if pair is None else " ({:.4f}, {:.4f})".format(*pair)
            over = [over_of(own[split], measure) for split in ("validation", "test")]
            table.add_row(name, f"{size:,.0f}", rate(validation) + over[0], rate(test) + interval + over[1])
        self.results.print(table)
        self._after_table(report)

    def _after_table(self, report: RunReport) -> None:
        from pathsearch.experts.reuse import together_in_words

        for line in report["verdict"]:
            self.say(line)
        for owner, counts in (report.get("reuse") or {}).items():
            self.say(f"reused of {owner}: {counts['modules']} modules, {counts['parameters']:,} parameters")
        for line in together_in_words(report):
            self.say(line)

    def joint_table(self, found: Mapping[str, Any]) -> None:
        """A joint evaluation's report: routed beside oracle-routed, task by task and overall."""
        from pathsearch.measures.measure import NAMES
        from pathsearch.measures.rates import measured_of, over_of

        report = cast("JointReport", found)
        about, routing = report["encoder"], report["routing"]
        table = Table(
            title=escape(f"Joint test: {about['name']}, {about['weights']}, {about['image_size']} px"),
            caption=escape("; ".join(f"{task}: {words}" for task, words in report["splits"].items())),
        )
        mixed = any("measure" in row for row in report["tasks"].values())
        heads = (
            ("routed (95 %)", "recall", "oracle") if mixed else ("routed accuracy (95 %)", "recall", "oracle accuracy")
        )
        for name in ("", "images", *heads, "unknown"):
            table.add_column(name, justify="left" if not name else "right")
        for name, row in report["tasks"].items():
            if "measure" in row:
                (routed, pair), (oracle, _) = (measured_of(row[kind], row["measure"]) for kind in ("routed", "oracle"))
                between = "" if pair is None else " ({:.4f}, {:.4f})".format(*pair)
                over = [over_of(row[kind], row["measure"]) for kind in ("routed", "oracle")]
                shown = (rate(routed) + between + over[0], "", rate(oracle) + over[1], f"{row['routed']['unknown']:,}")
                table.add_row(f"{name}: {NAMES[row['measure']]}", f"{row['routed']['n']:,}", *shown)
                continue
            table.add_row(
                name,
                f"{row['routed']['n']:,}",
                with_interval(row["routed"]),
                rate(row["routed"]["recall"]),
                rate(row["oracle"]["accuracy"]),
                f"{row['routed']['unknown']:,}",
            )
        if (overall := report.get("overall")) is not None:
            unknown = sum(report["tasks"][name]["routed"]["unknown"] for name in overall.get("tasks", report["tasks"]))
            table.add_row(
                "classes: accuracy" if mixed else "overall",
                f"{overall['n']:,}",
                with_interval(overall),
                rate(overall["recall"]),
                rate(overall["oracle_accuracy"]),
                f"{unknown:,}",
                style="bold",
            )
        self.results.print(table)
        if mixed:
            self.say("An image that does not get to its own task's expert is worth 0 among the routed.")
        self.say(
            f"Routing accuracy {rate(routing['accuracy'])} over the images that were routed; {routing['unknown']} of "
            f"{routing['n']} answered unknown (threshold set for {100 * report['false_rejection_on_validation']:g} % "
            "of validation images)."
        )

    def comparison_table(self, found: Mapping[str, Any]) -> None:
        """Every method's mean and spread over seeds, and how it stands to the evolved path, by what was maximised."""
        from pathsearch.search.verdict import on_measure  # imports torch

        report = cast("ComparisonReport", found)
        about, seeds = report["encoder"], len(report["seeds"])
        table = Table(
            title=escape(
                f"{report['task']}: {about['name']}, {about['weights']}, {about['image_size']} px, {seeds} seeds"
            ),
            caption=escape(f"split: {report['split_in_words']}"),
        )
        measure, tests = on_measure(report)
        short = {"accuracy": "accuracy", "balanced_accuracy": "balanced", "auc": "AUC"}[measure]
        for name in ("", "parameters", "val.", f"test {short}", "gain over", "p"):  # 80 characters wide
            table.add_column(name, justify="left" if not name else "right", no_wrap=True)
        for method, row in report["methods"].items():
            against, test = tests.get(method), row["test"]
            table.add_row(
                row["name"],
                f"{row['parameters']['mean']:,.0f}",
                rate(row["validation"][measure]["mean"]),
                spread(test[measure]),
                f"{against['difference']:+.4f}" if against and test["n"] else "",
                f"{against['p_holm']:.2g}" if against and against["p_holm"] is not None else "",
            )
        self.results.print(table)
        for line in report["verdict"]:
            self.say(line)

    def task_lines(self, task: Any) -> None:
        """What a preparation made."""
        for split, counts in task.info["counts"].items():
            self.say(f"{split:<5}  {in_short(counts)}")
        self.say(f"split  {task.split_in_words}")
        for note in task.info["notes"]:
            self.say(f"note   {note}")
        if task.targets != ("class", "image"):
            self.say(f"truth  {', '.join(task.targets)}; the task asks for the first, unless told otherwise")
        if "imbalance" not in task.info:
            return
        ratio = task.info["imbalance"]
        self.say(f"class  the largest has {ratio:.1f} times the training images of the smallest")
        if ratio > IMBALANCED and task.target == "class":
            self.say(
                "       a search for accuracy may neglect the small ones; to weigh classes alike, evolve with: "
                "--fitness balanced_accuracy --set search.balance=true --set training.balance=true"
            )


def in_short(counts: dict[str, int]) -> str:
    """Images of each class; of more than `LISTED` classes, how many they are, the smallest and the largest."""
    if len(counts) <= LISTED:
        return "  ".join(f"{name} {n}" for name, n in counts.items())
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    total = sum(counts.values())
    return f"{total} images of {len(counts)} classes  smallest {least} {counts[least]}  largest {most} {counts[most]}"


def rate(value: float | None) -> str:
    """A rate as printed in tables; a dash where it is undefined."""
    return "–" if value is None else f"{value:.4f}"


def with_interval(rates: ClassRates) -> str:
    """An accuracy with its 95 % interval."""
    interval = rates["ci95"]["accuracy"]
    return rate(rates["accuracy"]) + ("" if interval is None else " ({:.4f}, {:.4f})".format(*interval))


def spread(values: Spread) -> str:
    """A mean with its standard deviation over seeds, where there is one."""
    return rate(values["mean"]) + (f" ±{values['sd']:.4f}" if values["sd"] is not None else "")
