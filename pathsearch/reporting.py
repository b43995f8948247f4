"""What a finished run says of itself: every number with its split, encoder, baselines and interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from data_prep.manifest import Task
from pathsearch import metrics
from pathsearch.config import RunSettings
from pathsearch.decision import decide, fix_threshold
from pathsearch.encoder import Encoder
from pathsearch.expert import Expert
from pathsearch.features import Features, Split, augmentation
from pathsearch.finalists import standard_error
from pathsearch.fitness import log_probabilities
from pathsearch.grid import Grid, count
from pathsearch.heritage import Heritage
from pathsearch.path import Path
from pathsearch.reuse import of_run
from pathsearch.search import SearchState
from pathsearch.training import Trained


@dataclass(frozen=True)
class Outcome:
    """Everything that was fixed before the test images were read."""

    task: Task
    encoder: Encoder
    settings: RunSettings
    features: Features
    grid: Grid
    state: SearchState
    candidates: list[Path]  # the finalists, by size
    results: list[Trained]  # theirs
    chosen: int  # which of them became the expert
    rivals: dict[str, list[tuple[str, Trained]]]  # baselines by name
    expert: Expert
    heritage: Heritage  # earlier experts on the grid


def report(outcome: Outcome) -> dict[str, Any]:
    """The run's report; reads the test images, once, for the expert and its baselines together."""
    validation, test = outcome.features.validation(), outcome.features.test()
    threshold = outcome.expert.facts.threshold
    on_validation = _validation_probabilities(outcome.results[outcome.chosen])
    rivals = sorted(outcome.rivals.items())
    result = {
        **_circumstances(outcome),
        "validation": _assess(on_validation, validation, threshold, outcome.task),
        "test": _assess(_expert_probabilities(outcome.expert, test), test, threshold, outcome.task),
        "baselines": {name: _baseline(several, outcome, validation, test) for name, several in rivals},
        "finalists": _finalists(outcome, len(validation)),
    }
    return {**result, "verdict": verdict(result)}


def _circumstances(outcome: Outcome) -> dict[str, Any]:
    """What the numbers stand on."""
    task, grid, training = outcome.task, outcome.grid, outcome.settings.training
    full = grid.count_parameters(grid.space.full_path(), task.name)
    own = outcome.expert.n_parameters()
    paths = {**outcome.heritage.paths(), task.name: Path.parse(outcome.expert.facts.path)}
    whose = of_run(paths, grid.module_parameters(), task.name, own)
    joined = "on training and validation images together, after path, epochs and threshold were fixed on validation"
    return {
        "task": task.name,
        "split": task.split_name,
        "split_in_words": task.split_in_words,
        "data": outcome.settings.data,
        "encoder": {**outcome.encoder.identity, "key": outcome.encoder.key},
        "seed": outcome.settings.seed,
        "views": f"{training.views} a training image" + (f": {augmentation(task)}" if training.views > 1 else ""),
        "refit": joined if training.refit else "none",
        "threshold": {"rule": training.threshold, "value": outcome.expert.facts.threshold},
        "images_encoded_now": outcome.features.encoded,
        "path": outcome.expert.facts.path,
        "parameters": {"expert": own, "full_grid": full, "share": own / full, **whose["parameters"]},
        "reuse": whose["reuse"],
        "search": {
            "stopped": outcome.state.stopped,
            "generations": len(outcome.state.log),
            "paths_visited": len(outcome.state.visited),
        },
    }


def _finalists(outcome: Outcome, n: int) -> list[dict[str, Any]]:
    return [
        {
            "path": str(path),
            "parameters": outcome.grid.count_parameters(path, outcome.task.name),
            "validation_accuracy": result.accuracy,
            "validation_log_likelihood": result.log_likelihood,
            "standard_error": standard_error(result.accuracy, n),
            "epochs": result.best_epoch,
            "chosen": i == outcome.chosen,
        }
        for i, (path, result) in enumerate(zip(outcome.candidates, outcome.results, strict=True))
    ]


def _expert_probabilities(expert: Expert, split: Split) -> np.ndarray:
    """(n, K) from the raw maps, as the joint evaluation asks an expert."""
    parts = torch.arange(len(split)).split(512)
    return np.concatenate([expert.probabilities(split.raw(positions)) for positions in parts])


def _assess(probabilities: np.ndarray, split: Split, threshold: float | None, task: Task) -> dict[str, Any]:
    return metrics.evaluate(split.labels.numpy(), probabilities, task.classes, decide(probabilities, threshold))


def _baseline(several: list[tuple[str, Trained]], outcome: Outcome, validation: Split, test: Split) -> dict[str, Any]:
    """One baseline's numbers; for several networks their mean, the spread between them and each one's own."""
    each: list[dict[str, Any]] = []
    for name, trained in several:
        on_validation = _validation_probabilities(trained)
        rule = outcome.settings.training.threshold
        threshold = fix_threshold(rule, validation.labels.numpy(), on_validation)
        on_test = log_probabilities(trained.network, test).double().exp().numpy()
        each.append(
            {
                "path": name,
                "parameters": count(trained.network),
                "validation": _assess(on_validation, validation, threshold, outcome.task),
                "test": _assess(on_test, test, threshold, outcome.task),
            }
        )
    if len(each) == 1:
        return each[0]
    rates = ("accuracy", "balanced_accuracy", "recall", "auc", "log_likelihood")
    sizes = [one["parameters"] for one in each]
    summary: dict[str, Any] = {"parameters": float(np.mean(sizes)) if sizes else None, "each": each}
    for split in ("validation", "test"):
        summary[split] = {"n": each[0][split]["n"] if each else 0}
        for rate in rates:
            values = [one[split][rate] for one in each if one[split][rate] is not None]
            summary[split][rate] = float(np.mean(values)) if values else None
            summary[split][f"{rate}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return summary


def _validation_probabilities(trained: Trained) -> np.ndarray:
    return trained.log_p.double().exp().numpy()


def verdict(report: dict[str, Any]) -> list[str]:
    """Plain sentences on the expert's test accuracy beside each baseline's."""
    own = report["test"]["accuracy"]
    low, high = report["test"]["ci95"]["accuracy"]
    lines = []
    for name, baseline in report["baselines"].items():
        other = baseline["test"]["accuracy"]
        if other is None:
            continue
        words = {
            "linear_probe": "the linear probe",
            "random_path": "the mean random path",
            "full_grid": "the full grid",
        }
        if own > other:
            relation = "beats" if other < low else "is above, but within its interval of,"
        else:
            relation = "does not beat"
        lines.append(
            f"The evolved path {relation} {words[name]} on test: {own:.4f} (95 % {low:.4f} to {high:.4f}) "
            f"against {other:.4f}."
        )
    return lines
