"""The joint evaluation: all tasks' test images mixed, routed without their labels, answered by the experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from data_prep.errors import PathsearchError
from data_prep.manifest import Task, load_task
from data_prep.table_words import as_file_name, by_folder
from data_prep.temporary import remove_litter
from data_prep.whole_files import file_sha256, write_json
from pathsearch.encoders.features import encode
from pathsearch.encoders.split import Split
from pathsearch.experts.calibration import calibration
from pathsearch.experts.expert import Expert
from pathsearch.experts.joint_rates import rates
from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.mixture import CHUNK, Answers, answer
from pathsearch.experts.model import Model, check_unchanged
from pathsearch.experts.reuse import matrix
from pathsearch.experts.router import FALSE_REJECTION
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
        runs: one finished run a task, all on one encoder; those of one folder are answered together.
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
        features = encode(task, encoder, place.cache_dir, 1, tell.count)
        tests[name] = features.noisy(run.settings().training.noise).test()
    work = max(answering_work(one.network, one.facts.shapes[0], CHUNK) for one in experts.values())
    threads = choose_threads(work, tell)
    answers = answer(tests, experts, model.router, seed, tell)
    report = rates(tests, experts, answers, seed)
    reports = {task: run.report() for task, run in zip(experts, runs, strict=True)}
    digests = _digests(experts, runs)
    report["runs"] = {task: run.name for task, run in zip(experts, runs, strict=True)}
    report["left_out"] = dict(left_out or {})
    report["splits"] = {task: own["split_in_words"] for task, own in reports.items()}
    report["reuse"] = matrix(reports, {task: each["expert"] for task, each in digests.items()})
    report["encoder"] = {**encoder.identity, "key": encoder.key}
    report["data"] = {name: task.fingerprint for name, task in tasks.items()}
    if answers.oracle:
        report["mistakes"] = _mistakes(tasks, tests, answers, report["confusion"]["rows"])
    report["seed"] = seed
    report["threads"] = threads
    report["false_rejection_on_validation"] = false_rejection
    report["thresholds"] = thresholds(model)
    report["sha256"] = digests
    report[DUE] = SUMS
    seen = {folder: tests[names[0]] for folder, names in by_folder(tests).items()}
    views, groups = {n: test.pooled() for n, test in seen.items()}, {n: test.groups for n, test in seen.items()}
    report["calibration"] = calibration(model.router.territories, views, groups)
    return report


def thresholds(model: Model) -> dict[str, float]:
    """Each task's distance beyond which an image is unknown, by folder: what tells routers of these runs apart."""
    return {task: territory.threshold for task, territory in model.router.territories.items()}


def _mistakes(
    tasks: dict[str, Task], tests: dict[str, Split], answers: Answers, all_classes: list[str]
) -> dict[str, Any]:
    parts = [
        most_confident(
            task, answers.predictions[n], answers.sure[n], all_classes, tests[n].truth.numpy() + answers.first[n]
        )
        for n, task in tasks.items()
        if n in answers.oracle
    ]
    return together(parts)


def _digests(experts: Mapping[str, Expert], runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """SHA-256 of each task's expert and router file."""
    return {
        task: {"expert": file_sha256(run.expert_file), "router": file_sha256(run.router_file)}
        for task, run in zip(experts, runs, strict=True)
    }


def save(report: dict[str, Any], runs_dir: Path) -> Path:
    """Write a joint report into a directory of its own under `runs_dir` and return that directory.

    What killed evaluations left half written in theirs goes: no later one has their names.
    """
    for earlier in runs_dir.glob("joint-*"):
        remove_litter(earlier)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    name = f"joint-{'+'.join(map(as_file_name, report['tasks']))}-{stamp}"
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
