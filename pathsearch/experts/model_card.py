"""The model card of a bundle: what it answers, on which data it was made, its numbers and its limits, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence

from data_prep.manifest import Task
from pathsearch.experts.joint import newest
from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.markdown import escaped, inline_code
from pathsearch.experts.model import Model
from pathsearch.experts.pictures import Preparation
from pathsearch.experts.router import FALSE_REJECTION
from pathsearch.experts.run_report import RunReport, report_of
from pathsearch.experts.run_verdict import run_verdict
from pathsearch.grid.path import Path
from pathsearch.measures.rates import ClassRates, MeanRates, RateName, interval_of, spread_of
from pathsearch.run.runs import Run

BASELINES = {"linear_probe": "linear probe", "random_path": "random paths (mean)", "full_grid": "full grid"}
RATES: tuple[RateName, ...] = ("accuracy", "balanced_accuracy", "auc")


def card(model: Model, runs: Sequence[Run], tasks: Sequence[Task], preparation: Preparation, *, onnx: bool) -> str:
    """The card as text; every number comes from the runs' reports."""
    reports = [report_of(run) for run in runs]
    first = "one frozen encoder" if model.encoder.has_trunk else "no encoder (the networks read pixels)"
    parts = [
        f"# Model card: {', '.join(model.router.tasks)}",
        f"A pathsearch bundle: {first}, a router, and one expert a task (a small path of modules). "
        'An image is routed to the task whose images it looks most like and answered by its expert, or "unknown".',
        "## What it answers\n\n" + _answers(model, reports),
        "## Data\n\n" + "\n\n".join(_data(*each) for each in zip(tasks, reports, strict=True)),
        "## Encoder and preprocessing\n\n" + _encoder(model, preparation),
        "## Numbers\n\n" + _numbers(reports, newest(runs, model)),
        "## Limits\n\n" + _limits(reports, tasks),
        "## Use\n\n" + _use(model, onnx),
    ]
    return "\n\n".join(parts) + "\n"


def _answers(model: Model, reports: Sequence[RunReport]) -> str:
    rows = ["| task | classes | decision | parameters of the expert |", "| --- | --- | --- | --- |"]
    for task, report in zip(model.router.tasks, reports, strict=True):
        facts = model.experts[task].facts
        rule = "the most probable class"
        if facts.threshold is not None:
            name = report["threshold"]["rule"]
            rule = (
                f"{escaped(facts.classes[1])} at a probability of {facts.threshold:.4g} or more ({name} on validation)"
            )
        classes = ", ".join(escaped(name) for name in facts.classes)
        size = f"{model.experts[task].n_parameters():,}{', a linear probe' if Path.parse(facts.path).is_probe else ''}"
        rows.append(f"| {task} | {classes} | {rule} | {size} |")
    return "\n".join(rows)


def _data(task: Task, report: RunReport) -> str:
    counts = {split: sum(row.values()) for split, row in task.info["counts"].items()}
    images = ", ".join(f"{split} {n:,}" for split, n in counts.items())
    lines = [
        f"**{task.name}.** {escaped(task.info['source'])}. Licence: {escaped(task.info['licence'])}.",
        f"Split: {escaped(report['split_in_words'])}. Images: {images}.",
        f"Preparation: {inline_code(json.dumps(task.info['options'], ensure_ascii=False))}.",
        *(f"Note: {escaped(note)}." for note in task.info["notes"]),
    ]
    return "\n".join(lines)


def _encoder(model: Model, preparation: Preparation) -> str:
    about = model.encoder.identity
    if not model.encoder.has_trunk:
        read = f"{about['preprocessing']}, {about['image_size']} px"
        return f"No encoder: the networks read pixels, {read}.\n\nNew images: {preparation.in_words()}."
    maps = f"maps of the last {len(about['taps'])} stages" if "taps" in about else "maps"
    return (
        f"{escaped(about['name'])}, {escaped(about['weights'])}, {about['image_size']} px, {maps} averaged to at most "
        f"{about['map_size']} × {about['map_size']}; SHA-256 of the weights `{about['weights_sha256']}`.\n\n"
        f"New images: {preparation.in_words()}. Then the encoder's own: {about['preprocessing']}."
    )


def _numbers(reports: Sequence[RunReport], joint: JointReport | None) -> str:
    parts = ["On test images, which each run read once, at its end, with everything fixed; in brackets 95 % intervals."]
    for report in reports:
        is_probe = Path.parse(report["path"]).is_probe  # one network, and one row
        own = "this expert, the linear probe" if is_probe else "this expert"
        rows = [
            f"**{report['task']}**, split {escaped(report['split'])}, n = {report['test']['n']:,}, "
            f"seed {report['seed']}:\n",
            "| | accuracy | balanced accuracy | AUC |",
            "| --- | --- | --- | --- |",
            f"| {own} | " + " | ".join(_rate(report["test"], rate) for rate in RATES) + " |",
        ]
        for key, row in report["baselines"].items():
            if row["test"]["n"] and not (is_probe and key == "linear_probe"):
                rows.append(f"| {BASELINES[key]} | " + " | ".join(_rate(row["test"], rate) for rate in RATES) + " |")
        recalls = report["test"]["recall_per_class"].items()
        rows.append(f"\nRecall: {', '.join(f'{escaped(name)} {_number(value)}' for name, value in recalls)}.")
        parts += ["\n".join(rows), "\n".join(map(escaped, run_verdict(report)))]
    if joint is not None:
        overall, routing = joint["overall"], joint["routing"]
        parts.append(
            f"**All test images mixed**, n = {overall['n']:,}: accuracy {_rate(overall, 'accuracy')}, "
            f"{overall['oracle_accuracy']:.4f} if the task were given; routing accuracy "
            f"{_number(routing['accuracy'])} over the images that were routed; {routing['unknown']:,} "
            f'({routing["unknown_share"]:.1%}) answered "unknown".'
        )
    elif len(reports) > 1:
        parts.append("No joint evaluation of these runs was at hand: the router's errors are not in these numbers.")
    return "\n\n".join(parts)


def _limits(reports: Sequence[RunReport], tasks: Sequence[Task]) -> str:
    lines = [
        "For research. Not a medical device; no answer of it may decide on a person's care.",
        "The numbers hold for images like the test images, made in the same way. Other devices, hospitals, ages or "
        "ways of drawing an image were not tested.",
        f'"Unknown" is a distance that {FALSE_REJECTION:.0%} of a task\'s own validation images exceed. How many '
        "foreign images it catches was not measured; one that lies near a task's images is answered like them.",
        "Probabilities are not calibrated. A heat map shows which places moved an answer, not that it is right.",
    ]
    for report, task in zip(reports, tasks, strict=True):
        worst = min(
            ((value, name) for name, value in report["test"]["recall_per_class"].items() if value is not None),
            default=None,
        )
        if worst is not None:
            lines.append(f"{task.name}: of {escaped(worst[1])}, the class found least, {1 - worst[0]:.1%} are missed.")
        apart = task.info["split"].get("groups_apart", True) and bool((task.table["group"] != "").any())
        if not apart:
            lines.append(
                f"{task.name}: the split does not keep groups (patients) apart, as far as it is known: its numbers "
                "flatter, for images of one group may stand in training and test."
            )
    return "\n".join(f"* {line}" for line in lines)


def _use(model: Model, onnx: bool) -> str:
    text = (
        "```\npathsearch predict BUNDLE IMAGE_OR_FOLDER …\n```\n\n"
        '```python\nimport pathsearch\n\nanswers = pathsearch.load("BUNDLE").predict(["image.png"])\n```'
    )
    if not onnx:
        return text
    size = model.encoder.settings.image_size
    names = {task: model.experts[task].facts.classes for task in model.router.tasks}
    return (
        f"{text}\n\n"
        "Without pathsearch and torch, with ONNX Runtime; prepare other images as said above first:\n\n"
        "```python\nimport numpy as np\nimport onnxruntime\nfrom PIL import Image\n\n"
        f"TASKS = {json.dumps(names, ensure_ascii=False)}\n"
        'session = onnxruntime.InferenceSession("model.onnx")\n'
        'image = Image.open("image.png").convert("RGB")\n'
        f"image = image.resize(({size}, {size}), Image.Resampling.BILINEAR)\n"
        "batch = np.asarray(image, np.float32).transpose(2, 0, 1)[None]  # (1, 3, S, S), 0 to 255\n"
        'task, label, distance, *probabilities = session.run(None, {"images": batch})\n'
        "if task[0] < 0:\n"
        '    print("unknown", distance[0])\n'
        "else:\n"
        "    name = list(TASKS)[task[0]]\n"
        "    print(name, TASKS[name][label[0]], probabilities[task[0]][0], distance[0])\n```"
    )


def _rate(row: ClassRates | MeanRates, name: RateName) -> str:
    value = row.get(name)
    if value is None:
        return "–"
    interval, spread = interval_of(row, name), spread_of(row, name)
    if interval is not None:
        return f"{value:.4f} ({interval[0]:.4f}, {interval[1]:.4f})"
    return f"{value:.4f}" + ("" if spread is None else f" ± {spread:.4f}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
