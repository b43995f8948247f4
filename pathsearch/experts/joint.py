"""The joint evaluation: all tasks' test images mixed, routed without their labels, answered by the experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import numpy as np

from data_prep.errors import PathsearchError
from data_prep.manifest import Task, load_task
from data_prep.temporary import remove_litter
from data_prep.whole_files import file_sha256, write_json
from pathsearch.encoders.features import encode
from pathsearch.encoders.split import Split
from pathsearch.experts.calibration import calibration
from pathsearch.experts.expert import Expert
from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.mixture import CHUNK, Answers, answer
from pathsearch.experts.model import Model, check_unchanged
from pathsearch.experts.reuse import matrix
from pathsearch.experts.router import FALSE_REJECTION
from pathsearch.measures import confusions
from pathsearch.measures.clusters import clusters
from pathsearch.measures.intervals import WORDS, rate_interval
from pathsearch.measures.metrics import UNKNOWN, evaluate
from pathsearch.run.place import Place
from pathsearch.run.runs import Run, environment, saved_report
from pathsearch.run.sums import DUE, SUMS, write_sums
from pathsearch.run.threads import choose_threads, keeps_threads
from pathsearch.targets.mistakes import most_confident, together
from pathsearch.training.cost import answering_work

SAVED = ("env.json", "report.json")  # what the digests of a saved evaluation are of


@keeps_threads()
def joint_evaluate(
    runs: Sequence[Run],
    data_dir: Path,
    place: Place,
    seed: int,
    false_rejection: float = FALSE_REJECTION,
    left_out: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Answer the mixed test images of several finished runs and report routed beside oracle-routed results.

    Args:
        runs: one finished run a task, all on one encoder.
        data_dir: where the prepared tasks lie.
        place: cache, device of the encoder, if anything must still be encoded, and progress.
        seed: of the order of the mixture (which changes no answer) and of the bootstrap.
        false_rejection: share of each task's own validation images that the router may call unknown.
        left_out: runs that are not among `runs`, and why, for the report.

    Returns:
        The report; nothing is fitted or chosen here.

    Raises:
        PathsearchError: runs of one task twice, of different encoders, or unfinished; an encoder or a task that
            is not what it was.
    """
    tell = place.tell
    model = Model.of(runs, place.device, false_rejection)
    experts, encoder = model.experts, model.encoder
    tests: dict[str, Split] = {}
    tasks: dict[str, Task] = {}
    for run, (name, expert) in zip(runs, experts.items(), strict=True):
        task = tasks[name] = load_task(data_dir, name)
        check_unchanged(run, expert, task, encoder)
        tell.stage("encode", 0)
        tests[name] = encode(task, encoder, place.cache_dir, 1, tell.count).test()
    work = max(answering_work(one.network, one.facts.shapes[0], CHUNK) for one in experts.values())
    threads = choose_threads(work, tell)
    answers = answer(tests, experts, model.router, seed, tell)
    report = _report(tests, experts, answers, seed)
    reports = {task: run.report() for task, run in zip(experts, runs, strict=True)}
    digests = _digests(experts, runs)
    report["runs"] = {task: run.name for task, run in zip(experts, runs, strict=True)}
    report["left_out"] = dict(left_out or {})
    report["splits"] = {task: own["split_in_words"] for task, own in reports.items()}
    report["reuse"] = matrix(reports, {task: each["expert"] for task, each in digests.items()})
    report["encoder"] = {**encoder.identity, "key": encoder.key}
    report["data"] = {name: task.fingerprint for name, task in tasks.items()}
    report["mistakes"] = _mistakes(tasks, tests, answers, report["confusion"]["rows"])
    report["seed"] = seed
    report["threads"] = threads
    report["false_rejection_on_validation"] = false_rejection
    report["thresholds"] = thresholds(model)
    report["sha256"] = digests
    report[DUE] = SUMS
    views, groups = {n: test.pooled() for n, test in tests.items()}, {n: test.groups for n, test in tests.items()}
    report["calibration"] = calibration(model.router.territories, views, groups)
    return report


def thresholds(model: Model) -> dict[str, float]:
    """Each task's distance beyond which an image is unknown: what one router differs in from another of these runs."""
    return {task: territory.threshold for task, territory in model.router.territories.items()}


def _report(tests: dict[str, Split], experts: dict[str, Expert], answers: Answers, seed: int) -> dict[str, Any]:
    names = list(tests)
    all_classes = [f"{n}: {c}" for n in names for c in experts[n].facts.classes]
    tasks = {}
    for number, n in enumerate(names):
        labels, classes = tests[n].truth.numpy(), experts[n].facts.classes
        # an image sent elsewhere is as unanswered by this task as an unknown one
        at_home = answers.routed[n] == number
        said = np.where(at_home, answers.predictions[n] - answers.first[n], UNKNOWN)
        said_oracle = experts[n].classify(answers.oracle[n])
        routed = evaluate(
            labels, np.where(at_home[:, None], answers.oracle[n], 0), classes, said, seed, tests[n].groups
        )
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
    labels = np.concatenate([tests[n].truth.numpy() + answers.first[n] for n in names])
    said = np.concatenate([answers.predictions[n] for n in names])
    groups = _groups(tests)
    overall = evaluate(labels, answers.probabilities(len(all_classes)), all_classes, said, seed, groups)
    oracle_right = sum(round((t["oracle"]["accuracy"] or 0) * t["oracle"]["n"]) for t in tasks.values())
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
    parts = [
        most_confident(
            task, answers.predictions[n], answers.sure[n], all_classes, tests[n].truth.numpy() + answers.first[n]
        )
        for n, task in tasks.items()
    ]
    return together(parts)


def _digests(experts: Mapping[str, Expert], runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """SHA-256 of each task's expert and router file."""
    return {
        task: {"expert": file_sha256(run.expert_file), "router": file_sha256(run.router_file)}
        for task, run in zip(experts, runs, strict=True)
    }


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
    """Write a joint report into a directory of its own under `runs_dir` and return that directory.

    What killed evaluations left half written in theirs goes: no later one has their names.
    """
    for earlier in runs_dir.glob("joint-*"):
        remove_litter(earlier)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    name = f"joint-{'+'.join(report['tasks'])}-{stamp}"
    folder, number = runs_dir / name, 1
    while folder.exists():
        number += 1
        folder = runs_dir / f"{name}_{number}"
    write_json(folder / "env.json", environment())
    write_json(folder / "report.json", report)
    write_sums(folder, SAVED)
    return folder


def read(folder: Path) -> JointReport:
    """A saved joint report, verified; one of an earlier version has no digests.

    Raises:
        PathsearchError: a file is missing, damaged or changed; names it.
    """
    return cast("JointReport", saved_report(folder, SAVED, "put a copy back, or make the joint evaluation again"))


def newest(runs: Sequence[Run], model: Model) -> JointReport | None:
    """The newest joint evaluation, beside them, of exactly these runs as they are, by exactly this model's router.

    None if there is none; one that is damaged is none.
    """
    files = {file for run in runs for file in run.folder.absolute().parent.glob("joint-*/report.json")}
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            report = read(file.parent)
        except PathsearchError:
            continue
        if _is_of(report, file, runs, model):
            return report
    return None


def _is_of(report: JointReport, file: Path, runs: Sequence[Run], model: Model) -> bool:
    if report.get("runs") != {task: run.name for task, run in zip(model.experts, runs, strict=True)}:
        return False
    if "sha256" in report:
        return report["sha256"] == _digests(model.experts, runs) and report.get("thresholds") == thresholds(model)
    # one of an earlier version says less of what it stands on
    newer = file.stat().st_mtime >= max(run.report_file.stat().st_mtime for run in runs)
    return newer and bool(report.get("false_rejection_on_validation", FALSE_REJECTION) == FALSE_REJECTION)
