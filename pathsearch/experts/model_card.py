"""The model card of a bundle: what it answers, on which data it was made, its numbers and its limits, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.manifest import Task
from data_prep.table_words import by_folder
from pathsearch.experts.expert import Expert
from pathsearch.experts.joint import newest
from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.markdown import escaped, inline_code
from pathsearch.experts.model import Model
from pathsearch.experts.pictures import Preparation
from pathsearch.experts.router import FALSE_REJECTION
from pathsearch.experts.run_report import RunReport, distinct, is_probe, report_of
from pathsearch.experts.run_verdict import run_verdict
from pathsearch.experts.seen import seen_in_words
from pathsearch.grid.path import Path
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import (
    ClassRates,
    MeanRates,
    RateName,
    interval_of,
    measured_of,
    other_target,
    over_of,
    spread_of,
)
from pathsearch.run.runs import Run

BASELINES = {"linear_probe": "linear probe", "random_path": "random paths (mean)", "full_grid": "full grid"}
RULES = {  # how an answer is decided, by its form
    "class": "the most probable class",
    "mask": "the most probable label of each pixel, drawn at the size of the image; numbers are grey levels",
    "box": "the network's own, in pixels of the image",
    "image": "the network's own, drawn at the size of the image",
}
RATES: tuple[RateName, ...] = ("accuracy", "balanced_accuracy", "auc")


def card(model: Model, runs: Sequence[Run], tasks: Sequence[Task], preparation: Preparation, *, onnx: bool) -> str:
    """The card as text; every number comes from the runs' reports."""
    reports = [report_of(run) for run in runs]
    parts = [
        f"# Model card: {', '.join(model.router.tasks)}",
        f"A pathsearch bundle: {_trunk(model)}, a router, and {_experts(model)} (a path of modules, evolved or given). "
        'An image is routed to the task whose images it looks most like and answered by its expert, or "unknown".',
        "## What it answers\n\n" + _answers(model, reports, tasks),
        *(["## Answers by rule\n\n" + _rules(model, onnx)] if model.rules else []),
        "## Data\n\n" + "\n\n".join(_data(*each) for each in _each_folder(tasks, reports)),
        "## Encoder and preprocessing\n\n" + _encoder(model, preparation),
        "## Numbers\n\n" + _numbers(reports, newest(runs, model)),
        "## Limits\n\n" + _limits(model, reports, tasks),
        "## Use\n\n" + _use(model, onnx),
    ]
    return "\n\n".join(parts) + "\n"


def _trunk(model: Model) -> str:
    return "one frozen encoder" if model.encoder.has_trunk else "no encoder (the networks read pixels)"


def _experts(model: Model) -> str:
    """How many there are, and which of them answer together."""
    together = [" and ".join(names) for names in by_folder(model.experts).values() if len(names) > 1]
    return "one expert a task" + "".join(f", of which {names} answer together" for names in together)


def _each_folder(tasks: Sequence[Task], reports: Sequence[RunReport]) -> list[tuple[Task, RunReport]]:
    """The tasks that see other images than those before them, with their reports."""
    first: dict[str, tuple[Task, RunReport]] = {}
    for task, report in zip(tasks, reports, strict=True):
        first.setdefault(task.folder, (task, report))
    return list(first.values())


def _answers(model: Model, reports: Sequence[RunReport], tasks: Sequence[Task]) -> str:
    others = any(expert.target.gives != "class" for expert in model.experts.values())
    heads = f"| task | {'answers' if others else 'classes'} | decision | parameters of the expert |"
    rows = [heads, "| --- | --- | --- | --- |"]
    for prepared, (task, expert), report in zip(tasks, model.experts.items(), reports, strict=True):
        facts = expert.facts
        rule = RULES[expert.target.gives]
        if facts.threshold is not None:
            name = report["threshold"]["rule"]
            rule = (
                f"{escaped(facts.classes[1])} at a probability of {facts.threshold:.4g} or more ({name} on validation)"
            )
        classes = _names(expert, prepared)
        size = f"{model.experts[task].n_parameters():,}{', a linear probe' if Path.parse(facts.path).is_probe else ''}"
        rows.append(f"| {task} | {classes} | {rule} | {size} |")
    return "\n".join(rows)


def _rules(model: Model, onnx: bool) -> str:
    lines = [f"* {inline_code(rule.text)}" for rule in model.rules]
    told = (
        "Made of the answers above, and neither learned nor measured: true, false, or empty where an expert that a "
        "rule needs did not answer. An image is answered by the experts of one task, unless several are given: "
        f"`predict --task A --task B`.{' `model.onnx` has no rules.' if onnx else ''}"
    )
    return "\n".join(lines) + f"\n\n{told}"


def _data(task: Task, report: RunReport) -> str:
    counts = {split: sum(row.values()) for split, row in task.info["counts"].items()}
    images = ", ".join(f"{split} {n:,}" for split, n in counts.items())
    lines = [
        f"**{task.folder}.** {escaped(task.info['source'])}. Licence: {escaped(task.info['licence'])}.",
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
    maps += f" of its first {about['stages']}" if "stages" in about else ""
    side = f"averaged to at most {about['map_size']} × {about['map_size']}"
    return (
        f"{escaped(about['name'])}, {escaped(about['weights'])}, {about['image_size']} px, {maps} "
        f"{'at their own sizes' if about.get('sizes') == 'own' else side}; "
        f"SHA-256 of the weights `{about['weights_sha256']}`.\n\n"
        f"New images: {preparation.in_words()}. Then the encoder's own: {about['preprocessing']}."
    )


def _numbers(reports: Sequence[RunReport], joint: JointReport | None) -> str:
    parts = ["On test images, which each run read once, at its end, with everything fixed; in brackets 95 % intervals."]
    for report in reports:
        if other_target(report["test"]) is not None:
            parts += [_other_numbers(report), "\n".join(map(escaped, run_verdict(report)))]
            continue
        rows = [
            f"**{report['task']}**, split {escaped(report['split'])}, n = {report['test']['n']:,}, "
            f"seed {report['seed']}:\n",
            "| | accuracy | balanced accuracy | AUC |",
            "| --- | --- | --- | --- |",
            f"| {_own(report)} | " + " | ".join(_rate(report["test"], rate) for rate in RATES) + " |",
        ]
        for key, row in distinct(report, report["baselines"]).items():
            if row["test"]["n"]:
                rows.append(f"| {BASELINES[key]} | " + " | ".join(_rate(row["test"], rate) for rate in RATES) + " |")
        recalls = report["test"]["recall_per_class"].items()
        rows.append(f"\nRecall: {', '.join(f'{escaped(name)} {_number(value)}' for name, value in recalls)}.")
        parts += ["\n".join(rows), "\n".join(map(escaped, run_verdict(report)))]
    if joint is not None:
        parts.append(_mixed(joint))
    elif len(reports) > 1:
        parts.append("No joint evaluation of these runs was at hand: the router's errors are not in these numbers.")
    return "\n\n".join(parts)


def _mixed(joint: JointReport) -> str:
    """The joint evaluation: accuracy over the tasks of classes, each other task by its own measure, and the routing."""
    routing = joint["routing"]
    lines = []
    if (overall := joint.get("overall")) is not None:
        over = f" over the tasks of classes, {', '.join(overall['tasks'])}" if "tasks" in overall else ""
        lines.append(
            f"**All test images mixed**, n = {overall['n']:,}{over}: accuracy {_rate(overall, 'accuracy')}, "
            f"{overall['oracle_accuracy']:.4f} if the task were given; routing accuracy"
        )
    else:
        lines.append(f"**All test images mixed**, n = {routing['n']:,}: routing accuracy")
    lines[0] += (
        f" {_number(routing['accuracy'])} over the images that were routed; {routing['unknown']:,} "
        f'({routing["unknown_share"]:.1%}) answered "unknown".'
    )
    for name, row in joint["tasks"].items():
        if "measure" in row:
            told = [with_interval_of(row[kind], row["measure"]) for kind in ("routed", "oracle")]
            lines.append(f"{name}: {NAMES[row['measure']]} {told[0]}, {told[1]} if the task were given.")
    return "\n".join(lines)


def _other_numbers(report: RunReport) -> str:
    """Every measure of a task that asks for no class, the expert's and its baselines'."""
    test: Mapping[str, Any] = report["test"]
    part = test[other_target(test) or ""]
    measures = [name for name in part["ci95"] if part.get(name) is not None]
    named = {
        _own(report): test,
        **{BASELINES[key]: row["test"] for key, row in distinct(report, report["baselines"]).items()},
    }
    return "\n".join(
        [
            f"**{report['task']}**, {other_target(test)}, split {escaped(report['split'])}, n = {test['n']:,}, seed "
            f"{report['seed']}, mean over images{'; hausdorff95 in pixels' * ('hausdorff95' in measures)}:\n",
            f"| | {' | '.join(NAMES[name] for name in measures)} |",
            "| --- |" + " --- |" * len(measures),
            *(
                f"| {name} | {' | '.join(with_interval_of(row, one) for one in measures)} |"
                for name, row in named.items()
                if row["n"]
            ),
        ]
    )


def _own(report: RunReport) -> str:
    """What the expert's row is named."""
    return "this expert, the linear probe" if is_probe(report) else "this expert"


def with_interval_of(split: Mapping[str, Any], measure: str) -> str:
    """A measure of a report's split, whatever its target, with its 95 % interval where there is one."""
    value, pair = measured_of(split, measure)
    between = "" if value is None or pair is None else f" ({pair[0]:.4f}, {pair[1]:.4f})"
    return _number(value) + between + over_of(split, measure)


def _names(expert: Expert, task: Task) -> str:
    """What answers are made of; of a mask each name with its grey level."""
    names = [escaped(name) for name in expert.facts.classes]
    if expert.target.gives == "mask" and "masks" in task.info:
        names = [f"{name} {level}" for name, level in zip(names, task.info["masks"]["levels"], strict=True)]
    return {"box": "one box", "image": "an image"}.get(expert.target.gives, ", ".join(names))


def _limits(model: Model, reports: Sequence[RunReport], tasks: Sequence[Task]) -> str:
    forms = {expert.target.gives for expert in model.experts.values()}
    lines = [
        "For research. Not a medical device; no answer of it may decide on a person's care.",
        "The numbers hold for images like the test images, made in the same way. Other devices, hospitals, ages or "
        "ways of drawing an image were not tested.",
        f'"Unknown" is a distance that {FALSE_REJECTION:.0%} of a task\'s own validation images exceed. How many '
        "foreign images it catches was not measured; one that lies near a task's images is answered like them.",
    ]
    if "class" in forms:
        lines.append(
            "Probabilities are not calibrated. A heat map shows which places moved an answer, not that it is right."
        )
    if forms & {"mask", "image"}:
        side = model.encoder.settings.image_size
        lines.append(
            f"Networks see every image at {side} × {side} pixels. Masks and images are drawn at the size of the image "
            "that was given, and are no finer for that."
        )
    for report in reports:
        recalls = report["test"].get("recall_per_class") or {}
        found = [(value, name) for name, value in recalls.items() if value is not None]
        if worst := min(found, default=None):
            told = f"of {escaped(worst[1])}, the class found least, {1 - worst[0]:.1%} are missed"
            lines.append(f"{report['task']}: {told}.")
    for task, _ in _each_folder(tasks, reports):
        apart = task.info["split"].get("groups_apart", True) and bool((task.table["group"] != "").any())
        if not apart:
            lines.append(
                f"{task.folder}: the split does not keep groups (patients) apart, as far as it is known: its numbers "
                "flatter, for images of one group may stand in training and test."
            )
        lines += [f"{task.name}: {escaped(line)}" for line in seen_in_words(report)]
    return "\n".join(f"* {line}" for line in lines)


def _use(model: Model, onnx: bool) -> str:
    text = (
        "```\npathsearch predict BUNDLE IMAGE_OR_FOLDER …\n```\n\n"
        '```python\nimport pathsearch\n\nanswers = pathsearch.load("BUNDLE").predict(["image.png"])\n```'
    )
    if not onnx:
        return text
    size = model.encoder.settings.image_size
    classed = {task: model.giving(task, "class") for task in model.router.tasks}
    names = {task: model.experts[name].facts.classes if name else [] for task, name in classed.items()}
    return (
        f"{text}\n\n"
        "Without pathsearch and torch, with ONNX Runtime; prepare other images as said above first:\n\n"
        "```python\nimport numpy as np\nimport onnxruntime\nfrom PIL import Image\n\n"
        f"CLASSES = {json.dumps(names, ensure_ascii=False)}  # of each task, in the order of `task`\n"
        'session = onnxruntime.InferenceSession("model.onnx")\n'
        'image = Image.open("image.png").convert("RGB")\n'
        f"image = image.resize(({size}, {size}), Image.Resampling.BILINEAR)\n"
        "batch = np.asarray(image, np.float32).transpose(2, 0, 1)[None]  # (1, 3, S, S), 0 to 255\n"
        "names = [one.name for one in session.get_outputs()]\n"
        'said = dict(zip(names, session.run(None, {"images": batch})))  # of every task, in rows as the batch\n'
        'task, label, distance = (said[name][0] for name in ("task", "class", "distance"))\n'
        "if task < 0:\n"
        '    print("unknown", distance)\n'
        "else:\n"
        "    name = list(CLASSES)[task]\n"
        '    print(name, CLASSES[name][label] if label >= 0 else "no class", distance)\n'
        "    # probabilities of classes, those of a mask's pixels (K, h, w), a box in shares, or an image\n"
        '    for form in ("probabilities", "mask", "box", "image"):\n'
        '        if f"{form}_{name}" in said:\n'
        '            print(form, said[f"{form}_{name}"][0])\n```'
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
