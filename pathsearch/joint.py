"""The joint evaluation: all tasks' test images mixed, routed without their labels, answered by the experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_prep.manifest import Task, load_task
from data_prep.whole_files import file_sha256, write_json
from pathsearch import confusions
from pathsearch.calibration import calibration
from pathsearch.clusters import clusters
from pathsearch.expert import Expert
from pathsearch.features import Split, encode
from pathsearch.intervals import WORDS, rate_interval
from pathsearch.metrics import UNKNOWN, evaluate
from pathsearch.mistakes import most_confident, together
from pathsearch.model import Model, check_unchanged
from pathsearch.reuse import matrix
from pathsearch.router import FALSE_REJECTION, Router, pooled
from pathsearch.runs import Run, environment
from pathsearch.teller import Teller

CHUNK = 512  # images of the mixed stream that are answered together


@dataclass(frozen=True)
class Answers:
    """What the model says to the mixed stream, sorted back by task.

    Attributes:
        routed: for each task, (n,) index of the task that each of its test images was sent to, or -1.
        probabilities: for each task, (n, all classes of all tasks): the answering expert's, in its own columns.
        predictions: for each task, (n,) index into all classes of all tasks, or -1 for unknown.
        oracle: for each task, (n, its own classes) probabilities of its own expert for all its images.
    """

    routed: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]
    predictions: dict[str, np.ndarray]
    oracle: dict[str, np.ndarray]


def joint_evaluate(
    runs: Sequence[Run],
    data_dir: Path,
    cache_dir: Path,
    device: torch.device,
    seed: int,
    tell: Teller,
    false_rejection: float = FALSE_REJECTION,
) -> dict[str, Any]:
    """Answer the mixed test images of several finished runs and report routed beside oracle-routed results.

    Args:
        runs: one finished run a task, all on one encoder.
        data_dir: where the prepared tasks lie.
        cache_dir: of the encoded features.
        device: of the encoder, if anything must still be encoded.
        seed: of the order of the mixture (which changes no answer) and of the bootstrap.
        tell: progress.
        false_rejection: share of each task's own validation images that the router may call unknown.

    Returns:
        The report; nothing is fitted or chosen here.

    Raises:
        PathsearchError: runs of one task twice, of different encoders, or unfinished; an encoder or a task that
            is not what it was.
    """
    model = Model.of(runs, device, false_rejection)
    experts, encoder = model.experts, model.encoder
    tests: dict[str, Split] = {}
    tasks: dict[str, Task] = {}
    for run, (name, expert) in zip(runs, experts.items(), strict=True):
        task = tasks[name] = load_task(data_dir, name)
        check_unchanged(run, expert, task, encoder)
        tell.stage("encode", 0)
        tests[name] = encode(task, encoder, cache_dir, 1, tell.count).test()
    answers = answer(tests, experts, model.router, seed, tell)
    report = _report(tests, experts, answers, seed)
    report["runs"] = {task: run.name for task, run in zip(experts, runs, strict=True)}
    report["splits"] = {task: run.report()["split_in_words"] for task, run in zip(experts, runs, strict=True)}
    reports = {task: run.report() for task, run in zip(experts, runs, strict=True)}
    digests = {task: file_sha256(run.expert_file) for task, run in zip(experts, runs, strict=True)}
    report["reuse"] = matrix(reports, digests)
    report["encoder"] = {**encoder.identity, "key": encoder.key}
    report["data"] = {name: task.fingerprint for name, task in tasks.items()}
    report["mistakes"] = _mistakes(tasks, tests, answers, report["confusion"]["rows"])
    report["seed"] = seed
    report["false_rejection_on_validation"] = false_rejection
    views, groups = {n: test.pooled() for n, test in tests.items()}, {n: test.groups for n, test in tests.items()}
    report["calibration"] = calibration(model.router.territories, views, groups)
    return report


def answer(
    tests: dict[str, Split],
    experts: dict[str, Expert],
    router: Router,
    seed: int,
    tell: Teller,
) -> Answers:
    """Mix the images of all tasks, route and answer them, and sort the answers back."""
    names = list(tests)
    first_class = dict(zip(names, np.cumsum([0, *[len(experts[n].facts.classes) for n in names]]), strict=False))
    n_classes = sum(len(experts[n].facts.classes) for n in names)
    sizes = {n: len(tests[n]) for n in names}
    routed = {n: np.full(sizes[n], UNKNOWN) for n in names}
    probabilities = {n: np.zeros((sizes[n], n_classes)) for n in names}
    predictions = {n: np.full(sizes[n], UNKNOWN) for n in names}
    oracle = {n: np.zeros((sizes[n], len(experts[n].facts.classes))) for n in names}

    # 1. one stream of (task, position), in random order
    stream = torch.tensor([(t, i) for t, n in enumerate(names) for i in range(sizes[n])])
    stream = stream[torch.randperm(len(stream), generator=torch.Generator().manual_seed(seed))]
    tell.stage("answer", len(stream))
    done = 0
    for chunk in stream.split(CHUNK):
        maps = torch.empty(len(chunk), *tests[names[0]].views[0].shape[1:], dtype=torch.float16)
        for t, n in enumerate(names):
            maps[chunk[:, 0] == t] = tests[n].raw(chunk[chunk[:, 0] == t, 1])
        # 2. the router sees features only
        sent, _ = router.route(pooled(maps))
        # 3. each image by the expert that it was sent to, and by its own task's for the oracle
        for k, n in enumerate(router.tasks):
            here = torch.from_numpy(sent == k)
            if here.any():
                own = experts[n].probabilities(maps[here])
                said = experts[n].classify(own) + first_class[n]
                for (t, i), row, prediction in zip(chunk[here].tolist(), own, said, strict=True):
                    columns = slice(first_class[n], first_class[n] + own.shape[1])
                    probabilities[names[t]][i, columns] = row
                    predictions[names[t]][i] = prediction
        for t, n in enumerate(names):
            own_rows = chunk[:, 0] == t
            where = chunk[own_rows, 1].numpy()
            routed[n][where] = sent[own_rows.numpy()]
            if own_rows.any():
                oracle[n][where] = experts[n].probabilities(maps[own_rows])
        done += len(chunk)
        tell.advance(done)
    return Answers(routed, probabilities, predictions, oracle)


def _report(tests: dict[str, Split], experts: dict[str, Expert], answers: Answers, seed: int) -> dict[str, Any]:
    names = list(tests)
    all_classes = [f"{n}: {c}" for n in names for c in experts[n].facts.classes]
    offset, tasks = 0, {}
    every_label, every_p, every_said = [], [], []
    for number, n in enumerate(names):
        labels, classes = tests[n].labels.numpy(), experts[n].facts.classes
        own = slice(offset, offset + len(classes))
        # an image sent elsewhere is as unanswered by this task as an unknown one
        at_home = answers.routed[n] == number
        said = np.where(at_home, answers.predictions[n] - offset, UNKNOWN)
        said_oracle = experts[n].classify(answers.oracle[n])
        routed = evaluate(labels, answers.probabilities[n][:, own], classes, said, seed, tests[n].groups)
        oracle = evaluate(labels, answers.oracle[n], classes, said_oracle, seed, tests[n].groups)
        lost = int(((said != labels) & (said_oracle == labels)).sum())
        tasks[n] = {
            "routed": {**routed, "unknown": int((answers.routed[n] == UNKNOWN).sum())},
            "oracle": oracle,
            "lost_by_routing": {
                "images": lost,
                "of_them_unknown": int(
                    ((answers.routed[n] == UNKNOWN) & (said_oracle == labels)).sum()
                ),
            },
        }  # fmt: skip
        every_label.append(labels + offset)
        every_p.append(answers.probabilities[n])
        every_said.append(answers.predictions[n])
        offset += len(classes)
    labels, said = np.concatenate(every_label), np.concatenate(every_said)
    groups = _groups(tests)
    overall = evaluate(labels, np.concatenate(every_p), all_classes, said, seed, groups)
    oracle_right = sum(round(t["oracle"]["accuracy"] * t["oracle"]["n"]) for t in tasks.values())
    return {
        "overall": {**overall, "oracle_accuracy": oracle_right / overall["n"]},
        "tasks": tasks,
        "intervals": {**overall["intervals"], "in_words": WORDS[overall["intervals"]["method"]]},
        "routing": _routing(names, answers, groups),
        "confusion": {
            "rows": all_classes,
            "columns": [*all_classes, "unknown"],
            **_all_counts(labels, said, len(all_classes)),
        },
    }


def _mistakes(
    tasks: dict[str, Task], tests: dict[str, Split], answers: Answers, all_classes: list[str]
) -> dict[str, Any]:
    parts, offset = [], 0
    for name, task in tasks.items():
        true = tests[name].labels.numpy() + offset
        said, probabilities = answers.predictions[name], answers.probabilities[name]
        parts.append(most_confident(task, said, probabilities, all_classes, true))
        offset += len(task.classes)
    return together(parts)


def _groups(tests: dict[str, Split]) -> np.ndarray:
    """(n,) groups of the mixed images, each a task's own: two tasks' patients of one name are two; "" where unknown."""
    none = {n: np.full(len(test), "") for n, test in tests.items()}
    named = {n: none[n] if test.groups is None else test.groups.astype(str) for n, test in tests.items()}
    return np.concatenate([np.where(own == "", "", np.char.add(f"{n}/", own)) for n, own in named.items()])


def _routing(names: list[str], answers: Answers, groups: np.ndarray) -> dict[str, Any]:
    """How the images were sent.

    `accuracy` is over the images that were sent to some task; `accuracy_unknown_wrong` counts an unknown as
    wrong; `unknown` is how many images were answered so.
    """
    truth = np.concatenate([np.full(len(answers.routed[n]), k) for k, n in enumerate(names)])
    sent = np.concatenate([answers.routed[n] for n in names])
    known = sent != UNKNOWN
    right, n_known, n = int((sent == truth).sum()), int(known.sum()), len(truth)
    numbers, ends = clusters(groups[known], n_known), np.cumsum([0, *(len(answers.routed[name]) for name in names)])
    own = {name: groups[ends[k] : ends[k + 1]] for k, name in enumerate(names)}
    return {
        "tasks": names,
        "n": n,
        "accuracy": right / n_known if n_known else None,
        "ci95": {"accuracy": rate_interval((sent == truth)[known], numbers)},
        "accuracy_unknown_wrong": right / n,
        "unknown": n - n_known,
        "unknown_share": (n - n_known) / n,
        "rejected": {name: _rejected(answers.routed[name], own[name]) for name in names},
        "columns": [*names, "unknown"],
        "confusion": _counts(truth, sent, len(names)).tolist(),
    }


def _rejected(routed: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    unknown = routed == UNKNOWN
    interval = rate_interval(unknown, clusters(groups, len(routed)))
    return {"share": float(unknown.mean()) if len(routed) else None, "ci95": interval}


def _counts(truth: np.ndarray, said: np.ndarray, k: int) -> np.ndarray:
    """Confusion counts, k rows of truth, k columns of answers and one of unknown."""
    table = np.zeros((k, k + 1), dtype=np.int64)
    np.add.at(table, (truth, np.where(said == UNKNOWN, k, said)), 1)
    return table


def _all_counts(truth: np.ndarray, said: np.ndarray, k: int) -> dict[str, Any]:
    """The same as fields of the report: `counts`, or of many classes `cells`."""
    found = confusions.fields(_counts(truth, said, k))
    return {"counts": found.pop("confusion"), **found}


def save(report: dict[str, Any], runs_dir: Path) -> Path:
    """Write a joint report into a directory of its own under `runs_dir` and return that directory."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    name = f"joint-{'+'.join(report['tasks'])}-{stamp}"
    folder, number = runs_dir / name, 1
    while folder.exists():
        number += 1
        folder = runs_dir / f"{name}_{number}"
    write_json(folder / "env.json", environment())
    write_json(folder / "report.json", report)
    return folder
