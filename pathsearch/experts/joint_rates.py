"""The rates of a joint evaluation: each task by its own measures, all tasks of classes together, the routing."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.table_words import by_folder
from pathsearch.encoders.split import Split
from pathsearch.experts.expert import Expert
from pathsearch.experts.mixture import Answers
from pathsearch.measures import confusions
from pathsearch.measures.clusters import clusters
from pathsearch.measures.intervals import WORDS, rate_interval
from pathsearch.measures.metrics import UNKNOWN, evaluate


def rates(tests: dict[str, Split], experts: dict[str, Expert], answers: Answers, seed: int) -> dict[str, Any]:
    """The fields of a joint report that follow from the answers.

    Args:
        tests: the test images of each task.
        experts: of each task.
        answers: to all of them.
        seed: of the bootstrap.

    Returns:
        `tasks`, `routing` and `intervals`; where there are tasks of classes also `overall`, over their images, and
        `confusion`, over their classes. A class image that was sent to a folder without classes has no class, which
        counts, and stands in the last column of the confusion, as if it were unknown; `routing` tells them apart. It
        is over folders: tasks of one share their images.
    """
    of_classes = list(answers.oracle)
    tasks = {
        n: _class_task(n, test, experts[n], answers, seed)
        if n in answers.oracle
        else _other_task(n, test, experts[n], answers)
        for n, test in tests.items()
    }
    others = [row.pop("intervals") for row in tasks.values() if "intervals" in row]
    whole: dict[str, Any] = {}
    if of_classes:
        whole = _overall({n: tests[n] for n in of_classes}, experts, answers, tasks, seed)
        if others:
            whole["overall"]["tasks"] = of_classes
    intervals = whole["overall"]["intervals"] if whole else others[0]
    return {
        **{key: whole[key] for key in ("overall",) if whole},
        "tasks": tasks,
        "intervals": {**intervals, "in_words": WORDS[intervals["method"]]},
        "routing": _routing(answers, _groups({folder: tests[own[0]] for folder, own in by_folder(tests).items()})),
        **{key: whole[key] for key in ("confusion",) if whole},
    }


def _class_task(n: str, test: Split, expert: Expert, answers: Answers, seed: int) -> dict[str, Any]:
    labels, classes = test.truth.numpy(), expert.facts.classes
    # an image sent elsewhere is as unanswered by this task as an unknown one
    at_home = answers.at_home(n)
    said = np.where(at_home, answers.predictions[n] - answers.first[n], UNKNOWN)
    said_oracle = expert.classify(answers.oracle[n])
    routed = evaluate(labels, np.where(at_home[:, None], answers.oracle[n], 0), classes, said, seed, test.groups)
    oracle = evaluate(labels, answers.oracle[n], classes, said_oracle, seed, test.groups)
    lost = (said != labels) & (said_oracle == labels)
    return {
        "routed": {**routed, "unknown": int((answers.sent(n) == UNKNOWN).sum())},
        "oracle": oracle,
        "lost_by_routing": _lost(lost, answers.sent(n)),
    }


def _other_task(n: str, test: Split, expert: Expert, answers: Answers) -> dict[str, Any]:
    """A task of another target: an image that did not get to its expert is worth nothing, as to who asked."""
    target, said, fixed = expert.target, answers.said[n], expert.facts.threshold
    at_home = answers.at_home(n)
    routed = target.assess_answered(said, test.truth, fixed, test.groups, at_home)
    oracle = target.assess(said, test.truth, fixed, test.groups)
    return {
        "target": target.kind,
        "measure": target.measures[0],
        "routed": {**target.placed(routed), "unknown": int((answers.sent(n) == UNKNOWN).sum())},
        "oracle": target.placed(oracle),
        "lost_by_routing": _lost(~at_home, answers.sent(n)),
        "intervals": oracle["intervals"],
    }


def _lost(lost: np.ndarray, routed: np.ndarray) -> dict[str, int]:
    return {"images": int(lost.sum()), "of_them_unknown": int((lost & (routed == UNKNOWN)).sum())}


def _overall(
    tests: dict[str, Split], experts: dict[str, Expert], answers: Answers, tasks: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Accuracy and confusion over the images of the tasks of classes, and all their classes."""
    all_classes = [f"{n}: {c}" for n in tests for c in experts[n].facts.classes]
    labels = np.concatenate([test.truth.numpy() + answers.first[n] for n, test in tests.items()])
    said = np.concatenate([answers.predictions[n] for n in tests])
    found = evaluate(labels, answers.probabilities(len(all_classes)), all_classes, said, seed, _groups(tests))
    oracle_right = sum(round((tasks[n]["oracle"]["accuracy"] or 0) * tasks[n]["oracle"]["n"]) for n in tests)
    return {
        "overall": {**found, "oracle_accuracy": oracle_right / found["n"]},
        "confusion": {
            "rows": all_classes,
            "columns": [*all_classes, "unknown" if len(tests) == len(answers.routed) else "no class"],
            **_all_counts(labels, said, len(all_classes)),
        },
    }


def _groups(tests: dict[str, Split]) -> np.ndarray:
    """(n,) groups of the mixed images, each a task's own: two tasks' patients of one name are two; "" where unknown."""
    none = {n: np.full(len(test), "") for n, test in tests.items()}
    named = {n: none[n] if test.groups is None else test.groups.astype(str) for n, test in tests.items()}
    return np.concatenate([np.where(own == "", "", np.char.add(f"{n}/", own)) for n, own in named.items()])


def _routing(answers: Answers, groups: np.ndarray) -> dict[str, Any]:
    """How the images were sent, by folder.

    `accuracy` is over the images that were sent to some task; `accuracy_unknown_wrong` counts an unknown as
    wrong; `unknown` is how many images were answered so.
    """
    names = list(answers.routed)
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
