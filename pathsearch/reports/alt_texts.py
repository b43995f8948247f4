"""What a figure shows, in a sentence with its numbers: for whoever does not see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.run_report import (
    PathCard,
    RunReport,
    called,
    chosen_by,
    distinct,
    learned_by,
    named,
    searched_together,
)
from pathsearch.grid.path import PROBE
from pathsearch.measures.confusions import largest, table_of
from pathsearch.measures.measure import NAMES, MeasureName
from pathsearch.measures.rates import measured_of, other_target
from pathsearch.search.comparison_report import ComparisonReport, SplitName

MOST = 30  # rows of a table: above it the figure shows its largest confusions
BASELINES = {"linear_probe": "linear probe", "random_path": "random paths (mean)", "full_grid": "full grid"}


class Texts(NamedTuple):
    """The files of a folder; what is missing is empty."""

    report: Any  # of a run, a joint evaluation or a comparison: each function says which
    log: Sequence[Mapping[str, str]]
    training: Sequence[Mapping[str, str]]
    path: PathCard


def fitness_curve(files: Texts) -> str:
    """How validation fitness moved over the generations."""
    first, last = files.log[0], files.log[-1]
    best = max(files.log, key=lambda row: float(row["best"]))
    return (
        f"Validation fitness against generation. Best path: {_r(first['best'])} in generation {first['generation']}, "
        f"highest {_r(best['best'])} in generation {best['generation']}, {_r(last['best'])} in the last, "
        f"{last['generation']}. Mean of the population: from {_r(first['mean'])} to {_r(last['mean'])}. "
        f"Distinct paths: from {first['distinct_paths']} to {last['distinct_paths']}."
    )


def training_curve(files: Texts) -> str:
    """How the last training went."""
    rows, measure = files.training, learned_by(files.report)
    best = max(rows, key=lambda row: float(row["val_accuracy"]))
    whose = called(files.report, "the ") if files.report.get("given") else "the chosen path"
    return (
        f"Training of {whose} over {len(rows)} epochs. Training {measure} from {_r(rows[0]['train_accuracy'])} to "
        f"{_r(rows[-1]['train_accuracy'])}; validation {measure} from {_r(rows[0]['val_accuracy'])} to "
        f"{_r(rows[-1]['val_accuracy'])}, highest {_r(best['val_accuracy'])} in epoch {best['epoch']}."
    )


def training_caption(files: Texts) -> str:
    """Whose training it is."""
    given = files.report.get("given")
    return f"The training of {called(files.report, 'the ')}" if given else "The chosen path's own training"


def grid_caption(files: Texts) -> str:
    """Which network the grid shows."""
    return f"{called(files.report, 'The ')} on the grid"


def path_on_grid(files: Texts) -> str:
    """Which modules the path has."""
    path = files.path
    layers = "; ".join(
        f"layer {n}: {', '.join(path['modules'][n - 1][i] for i in layer)}"
        for n, layer in enumerate(path["layers"], 1)
        if layer
    )
    layers = layers or "No module: it is the linear probe"
    return (
        f"{grid_caption(files)} of {len(path['modules'])} layers by {len(path['modules'][0])} modules. {layers}. "
        f"{path['parameters']:,} of the full grid's {path['full_grid_parameters']:,} parameters."
    )


def paths(files: Texts) -> str:
    """All paths on one grid."""
    layers = files.path.get("paths", {})
    each = "; ".join(f"{task} {_path(rows)}" for task, rows in layers.items())
    return f"Paths of {len(layers)} tasks on one grid, modules by layer: {each}."


def confusion_of(split: SplitName, name: str) -> Callable[[Texts], str]:
    """The words for the confusion of a split."""

    def words(files: Texts) -> str:
        report: RunReport = files.report
        part = report[split]
        told = _confusion(part["classes"], part["columns"], part)
        return f"Confusion on {name} images, n = {part['n']:,}. {told}"

    return words


def baselines(files: Texts) -> str:
    """Accuracy, or another target's measure, beside that of the baselines."""
    report: RunReport = files.report
    measure = report.get("measure", "accuracy") if other_target(report["test"]) else "accuracy"
    own, pair = measured_of(report["test"], measure)
    low, high = pair or (None, None)
    others = "; ".join(
        f"{BASELINES.get(name, name)} {_r(measured_of(row['test'], measure)[0])}"
        for name, row in distinct(report, report["baselines"]).items()
        if row["test"]["n"]
    )
    return (
        f"Test {NAMES[measure]}, n = {report['test']['n']:,}: {named(report)} {_r(own)}, 95 % interval "
        f"{_r(low)} to {_r(high)}; {others}."
    )


def _by(report: RunReport) -> tuple[Literal["score", "validation_accuracy"], MeasureName]:
    """By which field the finalists were compared, and of which measure that is."""
    if all("below_best_error" in row for row in report["finalists"]):
        return "score", report.get("measure", "accuracy")
    return "validation_accuracy", "accuracy"  # so earlier reports do, whatever was searched for


def finalists_caption(files: Texts) -> str:
    """The measure by which finalists were compared."""
    return f"Finalists: size against {chosen_by(files.report).lower()} {NAMES[_by(files.report)[1]]}"


def finalists(files: Texts) -> str:
    """Size and validation score of the finalists."""
    report: RunReport = files.report
    rows, (key, measure) = report["finalists"], _by(report)
    chosen = next(row for row in rows if row["chosen"])
    best = max(rows, key=lambda row: row[key])
    rule = "by all tasks together" if searched_together(report) else "the smallest within one standard error of it"
    return (
        f"{chosen_by(report)} {NAMES[measure]} against size of {len(rows)} finalists. Highest: {_r(best[key])} with "
        f"{best['parameters']:,} parameters. Chosen, {rule}: {_r(chosen[key])} with {chosen['parameters']:,}."
    )


def answers(files: Texts) -> str:
    """Which test images are shown, and how good their answers are."""
    report: RunReport = files.report
    shown = report["shown"]
    forms = {
        "outlines": "the outline of the truth (light blue) and of the answer (red, dashed)",
        "boxes": "the true box (light blue) and the answered one (red, dashed)",
        "pictures": "what was true, what was answered, and how far they are apart",
    }
    ends = (("Worst", shown["worst"]), ("Between", shown["between"]), ("Best", shown["best"]))
    each = "; ".join(
        f"{end}: " + ", ".join(f"{row['file']} {_r(row['value'])}" for row in rows) for end, rows in ends if rows
    )
    return f"Test images with {forms[shown['form']]}, by {NAMES[shown['measure']]}. {each}."


def against_size(files: Texts) -> str:
    """How good answers to small and to large ones are."""
    found = files.report["against_size"]
    size, value = found["size"], found["value"]
    half = len(size) // 2
    small, large = (f"{np.mean(part):.4f}" if part else "undefined" for part in (value[:half], value[half:]))
    return (
        f"{NAMES[found['measure']]} against the size of what was to be found, {found['n']:,} test images, sizes "
        f"{size[0]:.1%} to {size[-1]:.1%} of the image. Mean over the smaller half {small}, over the larger {large}."
    )


def confusion_joint(files: Texts) -> str:
    """Confusion over the classes of all tasks."""
    report: JointReport = files.report
    table = report["confusion"]
    told = _confusion(table["rows"], table["columns"], table, "counts")
    return f"Confusion over the classes of all tasks, mixed test images. {told}"


def routing(files: Texts) -> str:
    """Where the router sent the images."""
    report: JointReport = files.report
    table = report["routing"]
    columns = [*table["tasks"], "unknown"]
    return f"Where the router sent the mixed test images. {_confusion(table['tasks'], columns, table)}"


def joint_accuracy(files: Texts) -> str:
    """Routed beside oracle-routed accuracy."""
    report: JointReport = files.report
    each = []
    for name, row in report["tasks"].items():
        measure = row.get("measure", "accuracy")
        routed, oracle = (measured_of(one, measure)[0] for one in (row["routed"], row["oracle"]))
        by = f", {NAMES[measure]}," if "measure" in row else ""
        each.append(f"{name}{by} {_r(routed)} routed, {_r(oracle)} with the true task given")
    if "overall" not in report:
        return f"On test: {'; '.join(each)}."
    over = "tasks of classes" if "tasks" in report["overall"] else "overall"
    return f"Test accuracy: {'; '.join(each)}; {over} {_r(report['overall']['accuracy'])} routed."


def reuse(files: Texts) -> str:
    """Whose modules each path has."""
    report: JointReport = files.report
    table = report["reuse"]
    if table is None:
        raise ValueError("a figure of reuse, and no reuse")
    each = "; ".join(
        f"{task}: " + ", ".join(f"{n:,} of {owner}" for owner, n in zip(table["owners"], row, strict=True) if n)
        for task, row in zip(table["tasks"], table["parameters"], strict=True)
    )
    return f"Parameters of each path by the task that trained them. {each}."


def rejection(files: Texts) -> str:
    """Promised against observed share of unknown."""
    report: JointReport = files.report
    rows = {task: row for task, row in report["calibration"].items() if row}
    each = "; ".join(
        f"{task}: "
        + ", ".join(f"{p:.1%} promised, {o:.1%} met" for p, o in zip(row["promised"], row["observed"], strict=True))
        for task, row in rows.items()
    )
    return f"Share of test images that their own task rejects, against the share fixed on validation. {each}."


def reliability(files: Texts) -> str:
    """How far confidence and accuracy are apart."""
    report: RunReport = files.report
    value = report["calibration"]
    test = value["test"]
    if test is None:
        raise ValueError("a figure of reliability, and no test images")
    bins = test["before"]["bins"]
    rows = zip(bins["count"], bins["confidence"], bins["accuracy"], strict=True)
    full = max(rows, key=lambda row: row[0])
    return (
        f"Accuracy against confidence on test images, n = {test['n']:,}. Expected calibration error "
        f"{_r(test['before']['ece'])}, {_r(test['after']['ece'])} at temperature {_r(value['temperature'])}. The "
        f"fullest bin, {full[0]:,} images: confidence {_r(full[1])}, accuracy {_r(full[2])}."
    )


def comparison(files: Texts) -> str:
    """Size and test accuracy of every method."""
    report: ComparisonReport = files.report
    each = "; ".join(
        f"{row['name']} {_r(row['test']['accuracy']['mean'])} with {row['parameters']['mean']:,.0f} parameters"
        for row in report["methods"].values()
    )
    return f"Test accuracy against parameters, mean over {len(report['seeds'])} seeds: {each}."


def fronts(files: Texts) -> str:
    """How much of the plane each front covers, and with what the evolved one reaches the full grid."""
    report: ComparisonReport = files.report
    found = report["fronts"]
    told = []
    for split in found["against"]:
        each = ", ".join(f"{row['name']} {_r(row['hypervolume'][split]['mean'])}" for row in found["methods"].values())
        told.append(f"Hypervolume on {split}: {each}.")
    return f"Accuracy against parameters, each method's front, mean over seeds. {' '.join(told)}"


WORDS: dict[str, tuple[str | Callable[[Texts], str], Callable[[Texts], str]]] = {  # caption, alternative text
    "fitness_curve": ("Validation fitness and diversity over the search", fitness_curve),
    "path_on_grid": (grid_caption, path_on_grid),
    "paths": ("All paths on this grid", paths),
    "finalists": (finalists_caption, finalists),
    "training_curve": (training_caption, training_curve),
    "baselines": ("Test results beside the baselines", baselines),
    "confusion_test": ("Confusion on test images", confusion_of("test", "test")),
    "confusion_validation": ("Confusion on validation images", confusion_of("validation", "validation")),
    "answers": ("Test images and their answers: the worst, some between, the best", answers),
    "against_size": ("How good answers are against the size of what was to be found", against_size),
    "confusion_joint": ("Confusion over the classes of all tasks", confusion_joint),
    "routing": ("Where the router sent the images", routing),
    "joint_accuracy": ("Each task with the router and with the task given", joint_accuracy),
    "reuse": ("Whose modules each path has", reuse),
    "reliability": ("Reliability: confidence against accuracy on test images", reliability),
    "comparison": ("Test accuracy against parameters, every method at every seed", comparison),
    "fronts": ("Fronts: the accuracy that a number of parameters buys", fronts),
    "rejection": ("Answered unknown: promised and met", rejection),
}


def _confusion(
    rows: Sequence[str], columns: Sequence[str], part: Mapping[str, object], counts: str = "confusion"
) -> str:
    """Every row of a small table; of a large one the classes found least; of a very large one its confusions."""
    table = table_of(part, len(rows), len(columns), counts)
    if len(rows) > MOST:
        each = "; ".join(f"{one.images:,} of {rows[one.row]} said {columns[one.column]}" for one in largest(table, 4))
        right = int(np.diag(table).sum())
        return f"{right:,} of {int(table.sum()):,} right" + (f"; largest confusions: {each}." if each else ".")
    told = []
    for number, (name, line) in enumerate(zip(rows, table.tolist(), strict=True)):
        n = sum(line)
        wrong = [f"{c:,} said {columns[j]}" for j, c in enumerate(line) if c and j != number]
        share = line[number] / n if n else 1.0
        told.append((share, f"{name}: {line[number]:,} of {n:,} right" + (f", {', '.join(wrong)}" if wrong else "")))
    if len(told) > 8:
        return f"The four found least, of {len(told)}: {'; '.join(text for _, text in sorted(told)[:4])}."
    return "; ".join(text for _, text in told) + "."


def _path(rows: Sequence[Sequence[int]]) -> str:
    """A path as it is printed; a layer of the grid that is not on it is a hyphen."""
    return "|".join("+".join(map(str, layer)) or "-" for layer in rows) if any(rows) else str(PROBE)


def _r(value: Any) -> str:
    return "undefined" if value is None else f"{float(value):.4f}"
