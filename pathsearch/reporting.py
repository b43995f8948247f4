"""What a finished run says of itself: every number with its split, encoder, baselines and interval."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from data_prep.manifest import Task
from pathsearch import metrics
from pathsearch.choice import Choice
from pathsearch.config import RunSettings
from pathsearch.decision import decide, fix_threshold
from pathsearch.encoder import Encoder
from pathsearch.expert import Expert
from pathsearch.features import Features, Split, augmentation, split_in_words
from pathsearch.fitness import log_probabilities
from pathsearch.grid import Grid, count
from pathsearch.heritage import Heritage
from pathsearch.intervals import WORDS
from pathsearch.mistakes import most_confident
from pathsearch.paired import paired
from pathsearch.path import Path
from pathsearch.reliability import calibration
from pathsearch.reuse import of_run
from pathsearch.run_verdict import run_verdict
from pathsearch.search import SearchState
from pathsearch.statistics import mcnemar, prior_shift
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
    choice: Choice  # the finalists, by size, and which of them became the expert
    rivals: dict[str, list[tuple[str, Trained]]]  # baselines by name
    expert: Expert
    heritage: Heritage  # earlier experts on the grid


class _Said(NamedTuple):
    """What one network said to the validation and the test images."""

    name: str
    parameters: int
    validation: np.ndarray  # (n_val, K) probabilities, before any refit
    test: np.ndarray  # (n_test, K)
    threshold: float | None

    def answers(self) -> np.ndarray:
        """(n_test,) the class that each test image got."""
        return decide(self.test, self.threshold)


def report(outcome: Outcome) -> dict[str, Any]:
    """The run's report; reads the test images, once, for the expert and its baselines together."""
    training, validation, test = outcome.features.train(), outcome.features.validation(), outcome.features.test()
    own = _expert_said(outcome, test)
    rivals = {
        name: [_rival_said(label, trained, outcome, validation, test) for label, trained in several]
        for name, several in sorted(outcome.rivals.items())
    }
    y_validation, y_test = validation.labels.numpy(), test.labels.numpy()
    said = decide(own.test, own.threshold)
    sure = own.test[np.arange(len(said)), said]
    labels = {"train": training.labels.numpy(), "val": y_validation, "test": y_test}
    assessed = _assess(own.test, test, own.threshold, outcome.task)
    measure = outcome.settings.search.fitness
    result = {
        **_circumstances(outcome),
        "measure": measure,
        "intervals": {**assessed["intervals"], "in_words": WORDS[assessed["intervals"]["method"]]},
        "validation": _assess(own.validation, validation, own.threshold, outcome.task),
        "test": assessed,
        "baselines": {name: _baseline(several, outcome, validation, test) for name, several in rivals.items()},
        "paired": {name: _paired(measure, own, several, test) for name, several in rivals.items()},
        "mcnemar": {name: _mcnemar(own, several, test) for name, several in rivals.items()},
        "calibration": calibration((y_validation, own.validation), (y_test, own.test)),
        "prior_shift": prior_shift(labels, outcome.task.classes),
        "mistakes": most_confident(outcome.task, said, sure, outcome.task.classes, y_test),
        "finalists": _finalists(outcome),
    }
    return {**result, "verdict": run_verdict(result)}


def _circumstances(outcome: Outcome) -> dict[str, Any]:
    """What the numbers stand on."""
    task, grid, training = outcome.task, outcome.grid, outcome.settings.training
    full = grid.count_parameters(grid.space.full_path(), task.name)
    own = outcome.expert.n_parameters()
    path = Path.parse(outcome.expert.facts.path)
    paths = {**outcome.heritage.paths(), task.name: path}
    whose = of_run(paths, grid.module_parameters(), task.name, own)
    joined = "on training and validation images together, after path, epochs and threshold were fixed on validation"
    return {
        "task": task.name,
        "split": task.split_name,
        "split_in_words": split_in_words(task, training.images_per_class),
        "data": outcome.settings.data,
        "encoder": {**outcome.encoder.identity, "key": outcome.encoder.key},
        "seed": outcome.settings.seed,
        "views": f"{training.views} a training image" + (f": {augmentation(task)}" if training.views > 1 else ""),
        "refit": joined if training.refit else "none",
        "threshold": {"rule": training.threshold, "value": outcome.expert.facts.threshold},
        "images_encoded_now": outcome.features.encoded,
        "path": outcome.expert.facts.path,
        **({} if path.recipe is None else {"recipe": asdict(path.recipe)}),
        "parameters": {"expert": own, "full_grid": full, "share": own / full, **whose["parameters"]},
        "reuse": whose["reuse"],
        "search": {
            "stopped": outcome.state.stopped,
            "generations": len(outcome.state.log),
            "paths_visited": len(outcome.state.visited),
        },
    }


def _finalists(outcome: Outcome) -> list[dict[str, Any]]:
    choice, best = outcome.choice, max(outcome.choice.scores)
    return [
        {
            "path": str(path),
            "parameters": outcome.grid.count_parameters(path, outcome.task.name),
            "validation_accuracy": result.accuracy,
            "validation_log_likelihood": result.log_likelihood,
            "score": choice.scores[i],  # of the measure that the search maximises; so are the errors
            "standard_error": choice.errors[i],
            "below_best": best - choice.scores[i],
            "below_best_error": choice.gaps[i],
            "epochs": result.best_epoch,
            "chosen": i == choice.chosen,
        }
        for i, (path, result) in enumerate(zip(choice.candidates, choice.results, strict=True))
    ]


def _expert_said(outcome: Outcome, test: Split) -> _Said:
    """The expert's answers, from the raw maps, as the joint evaluation asks an expert."""
    expert = outcome.expert
    parts = torch.arange(len(test)).split(512)
    on_test = np.concatenate([expert.probabilities(test.raw(positions)) for positions in parts])
    on_validation = _validation_probabilities(outcome.choice.best)
    return _Said("expert", expert.n_parameters(), on_validation, on_test, expert.facts.threshold)


def _rival_said(name: str, trained: Trained, outcome: Outcome, validation: Split, test: Split) -> _Said:
    """A baseline's answers, by the same threshold rule."""
    on_validation = _validation_probabilities(trained)
    threshold = fix_threshold(outcome.settings.training.threshold, validation.labels.numpy(), on_validation)
    on_test = log_probabilities(trained.network, test).double().exp().numpy()
    return _Said(name, count(trained.network), on_validation, on_test, threshold)


def _paired(measure: str, own: _Said, several: list[_Said], test: Split) -> dict[str, Any]:
    """The expert against one baseline, or against each of several, by the measure that the search maximised."""
    first, labels = (own.test, own.answers()), test.labels.numpy()
    each = [
        {"path": other.name, **paired(measure, labels, first, (other.test, other.answers()), test.groups)}
        for other in several
    ]
    return each[0] if len(each) == 1 else {"each": each}


def _mcnemar(own: _Said, several: list[_Said], test: Split) -> dict[str, Any]:
    """McNemar's test of the expert (b: only it is right) against one baseline (c), or against each of several."""
    labels = test.labels.numpy()
    right = own.answers() == labels
    each = [{"path": other.name, **mcnemar(right, other.answers() == labels)} for other in several]
    return each[0] if len(each) == 1 else {"each": each}


def _assess(probabilities: np.ndarray, split: Split, threshold: float | None, task: Task) -> dict[str, Any]:
    answers = decide(probabilities, threshold)
    return metrics.evaluate(split.labels.numpy(), probabilities, task.classes, answers, groups=split.groups)


def _baseline(several: list[_Said], outcome: Outcome, validation: Split, test: Split) -> dict[str, Any]:
    """One baseline's numbers; for several networks their mean, the spread between them and each one's own."""
    each: list[dict[str, Any]] = [
        {
            "path": one.name,
            "parameters": one.parameters,
            "validation": _assess(one.validation, validation, one.threshold, outcome.task),
            "test": _assess(one.test, test, one.threshold, outcome.task),
        }
        for one in several
    ]
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
