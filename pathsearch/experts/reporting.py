"""What a finished run says of itself: every number with its split, encoder, baselines and interval."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import numpy as np
import torch

from data_prep.manifest import Task
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import Features, split_in_words
from pathsearch.encoders.noise import Noise
from pathsearch.encoders.split import Split
from pathsearch.encoders.views import Style
from pathsearch.experts import answers
from pathsearch.experts.expert import Expert
from pathsearch.experts.heritage import Heritage
from pathsearch.experts.reuse import of_run
from pathsearch.experts.run_report import WithoutNetwork
from pathsearch.experts.run_verdict import run_verdict
from pathsearch.grid.grid import Grid, count
from pathsearch.grid.path import Path
from pathsearch.measures.intervals import WORDS
from pathsearch.measures.statistics import mcnemar
from pathsearch.run.settings import RunSettings
from pathsearch.search.choice import Choice
from pathsearch.search.search import SearchState
from pathsearch.targets.target import DEFAULT, Said, Target
from pathsearch.training.batches import joined, said_to
from pathsearch.training.bench import Bench
from pathsearch.training.last_training import Trained

AT_ONCE = 16  # images that an answer without a network is measured of at once


@dataclass(frozen=True)
class Ready:
    """A run whose trainings are done."""

    task: Task
    encoder: Encoder
    settings: RunSettings
    features: Features
    bench: Bench
    grid: Grid  # at its initial weights, but for earlier experts
    state: SearchState
    choice: Choice  # the finalists, by size, and which of them becomes the expert
    best: Trained  # that one, refitted if the settings ask for it
    rivals: dict[str, list[tuple[str, Trained]]]  # baselines by name
    heritage: Heritage  # earlier experts on the grid


@dataclass(frozen=True)
class Outcome(Ready):
    """Everything that was fixed before the test images were read."""

    expert: Expert


class _Answers(NamedTuple):
    """What one network said to the validation and the test images."""

    name: str
    parameters: int
    validation: Said  # before any refit
    test: Said
    fixed: float | None  # on validation: a threshold, where there is one

    def assessed(self, target: Target, validation: Split, test: Split) -> dict[str, dict[str, Any]]:
        """The rates of both splits."""
        each = (("validation", self.validation, validation), ("test", self.test, test))
        return {name: target.assess(said, split.truth, self.fixed, split.groups) for name, said, split in each}


def report(outcome: Outcome, answers_file: FilePath) -> dict[str, Any]:
    """The run's report; reads the test images, once, for the expert and its baselines together.

    What a person is shown of its answers is kept in `answers_file`, where the target shows any.
    """
    target, training, validation = outcome.expert.target, outcome.bench.training, outcome.bench.validation
    test = outcome.features.test()
    own = _expert_answers(outcome, test)
    rivals = {
        name: [_beside(own, _rival_answers(label, trained, outcome, validation, test), outcome, validation, test)
               for label, trained in several]
        for name, several in sorted(outcome.rivals.items())
    }  # fmt: skip
    assessed = own.assessed(target, validation, test)
    intervals = assessed["test"]["intervals"]
    shown = answers.choose(outcome.expert, outcome.task, test, own.test)
    if shown:
        answers.keep(answers_file, shown, outcome.expert, outcome.task, test)
    truth = {"train": training.truth, "val": validation.truth, "test": test.truth}
    result = {
        **_circumstances(outcome),
        "measure": target.measure(outcome.settings.search.fitness),
        "intervals": {**intervals, "in_words": WORDS[intervals["method"]]},
        **{split: target.placed(rates) for split, rates in assessed.items()},
        "baselines": {name: _baseline(target, [one.rates for one in several]) for name, several in rivals.items()},
        "paired": {name: _one_or_each([one.paired for one in several]) for name, several in rivals.items()},
        **(
            {"mcnemar": {name: _one_or_each([one.mcnemar for one in several]) for name, several in rivals.items()}}
            if target.all_or_nothing
            else {}
        ),
        **({} if (trivial := _without_network(outcome, own, test)) is None else {"without_network": trivial}),
        **({"shown": shown} if shown else {}),
        **target.more(outcome.task, {"val": own.validation, "test": own.test}, truth, own.fixed),
        "choice": {
            "folds": outcome.choice.n_folds,
            "images": outcome.choice.n_images,
            "in_words": outcome.choice.in_words,
        },
        "finalists": _finalists(outcome),
    }
    return {**result, "verdict": run_verdict(result)}


def _circumstances(outcome: Outcome) -> dict[str, Any]:
    """What the numbers stand on."""
    task, grid, training = outcome.task, outcome.grid, outcome.settings.training
    full = grid.count_parameters(grid.space.full_path(), task.name)
    own = outcome.expert.n_parameters()
    path = Path.parse(outcome.expert.facts.path)
    paths = {**outcome.heritage.paths(grid), task.name: path.over(len(grid.layers))}
    whose = of_run(paths, grid.module_parameters(), task.name, own)
    fixed = "path, epochs and threshold were fixed on validation"
    if outcome.settings.path:
        fixed = "epochs and threshold were fixed on validation"
    elif outcome.choice.n_folds > 1:
        fixed = "the path was fixed by cross-validation over them, epochs and threshold on validation"
    along = " along a cosine that ends at the best epoch" if training.schedule == "cosine" else ""
    joined = f"on training and validation images together{along}, after {fixed}"
    target = outcome.expert.facts.target
    return {
        "task": task.name,
        **({} if target == DEFAULT else {"target": target}),
        "split": task.split_name,
        "split_in_words": split_in_words(task, training.images_per_class),
        "data": outcome.settings.data,
        "encoder": {**outcome.encoder.identity, "key": outcome.encoder.key},
        "seed": outcome.settings.seed,
        "views": f"{training.views} a training image"
        + (f": {Style.of(task, training.augmentation).in_words}" if training.views > 1 else ""),
        **({} if (noise := Noise.of(training.noise)) is None else {"noise": noise.in_words}),
        "refit": joined if training.refit else "none",
        "threshold": {"rule": training.threshold, "value": outcome.expert.facts.threshold},
        "images_encoded_now": outcome.features.encoded,
        "path": outcome.expert.facts.path,
        **({"given": outcome.settings.path} if outcome.settings.path else {}),
        **({} if path.recipe is None else {"recipe": path.recipe.as_dict()}),
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
    likely = "log_likelihood" in outcome.bench.target.rates  # not of every target

    def tie_break(value: float) -> dict[str, float]:
        return {"validation_log_likelihood": value} if likely else {"validation_loss": -value}

    return [
        {
            "path": str(path),
            "parameters": choice.sizes[i],
            "validation_accuracy": result.score,
            **tie_break(result.log_likelihood),
            "score": choice.scores[i],  # of the measure that the search maximises; so are the errors
            "standard_error": choice.errors[i],
            "below_best": best - choice.scores[i],
            "below_best_error": choice.gaps[i],
            "epochs": result.best_epoch,
            "chosen": i == choice.chosen,
        }
        for i, (path, result) in enumerate(zip(choice.candidates, choice.results, strict=True))
    ]


def _expert_answers(outcome: Outcome, test: Split) -> _Answers:
    """The expert's answers, from the raw maps, as the joint evaluation asks an expert."""
    expert = outcome.expert
    parts = torch.arange(len(test)).split(expert.at_once)
    on_test = joined([expert.said(test.raw(positions), test.truth[positions], in_full=True) for positions in parts])
    return _Answers("expert", expert.n_parameters(), outcome.choice.best.said, on_test, expert.facts.threshold)


def _rival_answers(name: str, trained: Trained, outcome: Outcome, validation: Split, test: Split) -> _Answers:
    """A baseline's answers, by the same threshold rule."""
    target = outcome.expert.target
    fixed = target.fix(outcome.settings.training.threshold, trained.said, validation.truth)
    on_test = said_to(target, trained.network, test, in_full=True)
    return _Answers(name, count(trained.network), trained.said, on_test, fixed)


def _without_network(outcome: Outcome, own: _Answers, test: Split) -> WithoutNetwork | None:
    """The best answer that takes no network, measured like the expert's and tested against it; not of every target."""
    target, pictures = outcome.expert.target, answers.reads_pictures(outcome.expert, test.raw(torch.arange(0)))
    if not len(test) or (found := target.without_network(outcome.bench.training.truth, pictures)) is None:
        return None
    name, says = found
    said = joined([says(test.raw(some), test.truth[some]) for some in torch.arange(len(test)).split(AT_ONCE)])
    rates = target.assess_answered(said, test.truth, None, test.groups, np.ones(len(test), bool))
    measure = target.measure(outcome.settings.search.fitness)
    tested = target.paired(measure, test.truth, (own.test, own.fixed), (said, None), test.groups)
    return {"name": name, "test": target.placed(rates), "paired": tested}


class _Beside(NamedTuple):
    """One baseline network beside the expert; what it said to each image is no longer held."""

    rates: dict[str, Any]
    paired: dict[str, Any]  # by the measure that the search maximised
    mcnemar: dict[str, Any]  # b: only the expert is right, c: only the baseline; empty where answers are neither


def _beside(own: _Answers, other: _Answers, outcome: Outcome, validation: Split, test: Split) -> _Beside:
    target, path = outcome.expert.target, {"path": other.name}
    rates = {**path, "parameters": other.parameters, **other.assessed(target, validation, test)}
    measure, pair = target.measure(outcome.settings.search.fitness), ((own.test, own.fixed), (other.test, other.fixed))
    tested = target.paired(measure, test.truth, *pair, test.groups)
    right = [target.quality(said, test.truth, fixed) == 1 for said, fixed in pair if target.all_or_nothing]
    return _Beside(rates, {**path, **tested}, {**path, **mcnemar(*right)} if right else {})


def _one_or_each(several: list[dict[str, Any]]) -> dict[str, Any]:
    return several[0] if len(several) == 1 else {"each": several}


def _baseline(target: Target, each: list[dict[str, Any]]) -> dict[str, Any]:
    """One baseline's numbers; for several networks their mean, the spread between them and each one's own."""

    def placed(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, **{split: target.placed(row[split]) for split in ("validation", "test")}}

    if len(each) == 1:
        return placed(each[0])
    sizes = [one["parameters"] for one in each]
    mean = float(np.mean(sizes)) if sizes else None
    summary: dict[str, Any] = {"parameters": mean, "each": [placed(one) for one in each]}
    for split in ("validation", "test"):
        found: dict[str, Any] = {"n": each[0][split]["n"] if each else 0}
        for rate in target.summed:
            values = [one[split][rate] for one in each if one[split][rate] is not None]
            found[rate] = float(np.mean(values)) if values else None
            found[f"{rate}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        summary[split] = target.placed(found)
    return summary
