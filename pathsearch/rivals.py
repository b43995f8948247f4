"""The evolved path and its controls, each at the same budget and under the same selection rule, one seed at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from data_prep.manifest import Task
from pathsearch import baselines, nearest
from pathsearch.choice import Choice, choose_path, scores_of
from pathsearch.config import RunSettings, SearchSettings, TrainingSettings
from pathsearch.decision import fix_threshold
from pathsearch.features import Split
from pathsearch.finalists import finalists
from pathsearch.fitness import Evaluator, SharedWeights, log_probabilities
from pathsearch.folds import labels_scored
from pathsearch.fresh import FreshWeights
from pathsearch.fronts import front
from pathsearch.grid import Grid, PathNetwork, count
from pathsearch.modules import Shape
from pathsearch.path import Path
from pathsearch.recipe import Recipe, followed, random_recipe
from pathsearch.search import SearchState, search
from pathsearch.sequential import SequentialWeights
from pathsearch.statistics import rank_agreement
from pathsearch.streams import derive, python_stream
from pathsearch.teller import Teller
from pathsearch.training import Trained, refit

SAMPLE = 12  # visited paths trained to the end, beyond the budget, to ask whether fitness ranks them truly


@dataclass(frozen=True)
class Arena:
    """What all rivals share: features, settings, and thereby the budget."""

    task: Task
    shape: Shape  # of the encoder's maps
    settings: RunSettings
    training: Split
    validation: Split
    device: Any
    tell: Teller
    taps: tuple[int, ...] = ()  # channels of each of the encoder's

    def grid(self, seed: int) -> Grid:
        """A grid at a seed's initial weights, with the task's head."""
        grid = Grid(self.shape, self.settings.grid, seed, self.taps)
        grid.add_head(self.task.name, len(self.task.classes))
        return grid.to(self.device)

    def seen(self, split: Split) -> Split:
        """A split as this arena's networks see it: few training images have a mean and spread of their own."""
        return replace(split, standardise=self.training.standardise)

    @property
    def minibatches(self) -> int:
        """Minibatches that the evolved path's search draws at most; `fresh` weights: for each path, and each fold."""
        one = self.settings.search
        if one.weights == "shared":
            return one.warmup + one.generations * one.steps
        return one.population * one.generations * one.steps * one.folds

    @property
    def candidates(self) -> int:
        """Trainings that a control without a search gets: the finalists', and the search's images as further ones."""
        last = self.settings.training
        images = self.minibatches * self.settings.search.batch_size
        return last.finalists + math.ceil(images / (last.epochs * len(self.training)))


@dataclass(frozen=True)
class Entry:
    """One method at one seed, fixed on validation images: all that the test needs."""

    facts: dict[str, Any]  # plain values: method, seed, parameters, path, threshold, budget spent …
    log_p: Tensor  # (n_val, K) log-probabilities of the validation images, before any refit
    weights: dict[str, Tensor]  # of the fixed network; empty for nearest neighbours
    front: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # by candidate: weights, before any refit


def enter(arena: Arena, method: str, seed: int) -> Entry:
    """Let a method choose and train at one seed; validation images are all it sees beside the training ones."""
    started = time.perf_counter()
    entry = METHODS[method](arena, seed)
    spent = time.perf_counter() - started - entry.facts.get("fidelity", {}).get("seconds", 0.0)
    facts = {"method": method, "seed": seed, "threshold": _threshold(arena, entry.log_p), "seconds": spent}
    return replace(entry, facts={**facts, **entry.facts})


def answers(arena: Arena, entry: Entry, split: Split) -> np.ndarray:
    """(n, K) probabilities that a fixed entry gives to a split's images."""
    split = arena.seen(split)
    method, seed = entry.facts["method"], entry.facts["seed"]
    if method == "nearest":
        return nearest.answers(arena.training, arena.validation, split, entry.facts["k"], arena.settings.training.refit)
    grid = arena.grid(seed)
    if method == "linear_probe":
        network = baselines.probe_network(grid, len(arena.task.classes), seed)
    else:
        network = grid.network(Path.parse(entry.facts["path"]), arena.task.name)
    return _said(network, entry.weights, split)


def front_answers(arena: Arena, entry: Entry, split: Split) -> dict[int, np.ndarray]:
    """The same of each candidate on its validation front, by the candidate's number, smallest first."""
    grid, split = arena.grid(entry.facts["seed"]), arena.seen(split)
    paths = {i: Path.parse(entry.facts["candidates"][i]["path"]) for i in entry.front}
    return {i: _said(grid.network(paths[i], arena.task.name), entry.front[i], split) for i in entry.front}


def _said(network: PathNetwork, weights: dict[str, Tensor], split: Split) -> np.ndarray:
    network.load_state_dict(weights)
    return np.asarray(log_probabilities(network, split).double().exp().numpy())


# --- with a search --------------------------------------------------------------------------------------------------


def _evolved(arena: Arena, seed: int) -> Entry:
    """What `pathsearch evolve` does."""
    way = SharedWeights if arena.settings.search.weights == "shared" else FreshWeights
    return _searched(arena, seed, arena.settings.search, way, fidelity=True)


def _random_search(arena: Arena, seed: int) -> Entry:
    """The same search, in which every generation is drawn at random; known paths come first here too."""
    way = SharedWeights if arena.settings.search.weights == "shared" else FreshWeights
    return _searched(arena, seed, replace(arena.settings.search, preset="random", pareto=False), way)


def _pathnet(arena: Arena, seed: int) -> Entry:
    """PathNet's own: pairs compete, scored by the last weights alone, and each path trains in turn.

    The budget's minibatches are dealt out to them.
    """
    one, total = arena.settings.search, arena.minibatches
    steps = max(1, total // (one.generations * one.population))
    generations = max(1, total // (steps * one.population))
    plain = replace(
        one, preset="pathnet", pareto=False, weights="shared", recipes=False, warmup=0, rungs=0, snapshots=1, folds=1
    )
    return _searched(arena, seed, replace(plain, steps=steps, generations=generations), SequentialWeights)


def _searched(
    arena: Arena, seed: int, how: SearchSettings, way: Callable[..., Evaluator], fidelity: bool = False
) -> Entry:
    settings, grid = replace(arena.settings, seed=seed, search=how), arena.grid(seed)
    start = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    evaluator = way(grid, arena.task.name, arena.training, arena.validation, how, seed)

    def size_of(path: Path) -> int:
        return grid.count_parameters(path, arena.task.name)

    def on_generation(state: SearchState) -> None:
        arena.tell.count(len(state.log), how.generations)

    state = search(evaluator, grid.space, how, seed, size_of, None, on_generation, grid.rungs(how.rungs))
    alike = replace(settings, search=replace(how, pareto=arena.settings.search.pareto))  # controls pick as evolved does
    labels = labels_scored(how, arena.training, arena.validation)
    candidates = finalists(evaluator, state, size_of, alike, labels)
    sample = _sample(state, seed) if fidelity else []
    scores = evaluator.score(sample) if sample else []
    grid.load_state_dict(start)
    entry = _chosen(arena, grid, candidates, settings)
    each = len(state.visited) if isinstance(evaluator, FreshWeights) else 1  # under `fresh`, each path has its own
    each = how.population if isinstance(evaluator, SequentialWeights) else each
    rounds = 1 if isinstance(evaluator, FreshWeights) else len(state.log)
    warmup = how.warmup if how.weights == "shared" else 0
    entry.facts["images"]["search"] = (warmup + rounds * how.steps * how.folds * each) * how.batch_size
    entry.facts["evaluations"] = len(state.log) * how.population
    if sample:
        entry.facts["fidelity"] = _fidelity(arena, grid, sample, scores, settings)
    return entry


def _sample(state: SearchState, seed: int) -> list[Path]:
    """Some of the visited paths, drawn at random: the best ones alone would hide how well bad ones are told."""
    rng = python_stream(seed, "fidelity")
    return [Path.parse(text) for text in rng.sample(state.visited, min(SAMPLE, len(state.visited)))]


def _fidelity(
    arena: Arena, grid: Grid, sample: list[Path], scores: Sequence[Sequence[float]], settings: RunSettings
) -> dict[str, Any]:
    """Do the search's last scores rank paths as their own training does?"""
    started, last = time.perf_counter(), replace(settings.training, refit=False)
    trained = [_alone(arena, grid, path, last, settings.seed) for path in sample]
    finals = scores_of(trained, arena.validation, settings, sample)
    return {
        **rank_agreement(scores, finals),
        "paths": [str(path) for path in sample],
        "fitness": [score[0] for score in scores],
        "final": finals,
        "seconds": time.perf_counter() - started,
    }


# --- without one ----------------------------------------------------------------------------------------------------


def _random_paths(arena: Arena, seed: int) -> Entry:
    """Paths drawn as a search draws its first ones; the same rule chooses among them."""
    grid = arena.grid(seed)
    recipes = arena.settings.search.recipes
    candidates = list(dict.fromkeys(baselines.random_paths(grid, arena.candidates, seed, recipes)))
    return _chosen(arena, grid, candidates, replace(arena.settings, seed=seed))


def _ladder(arena: Arena, seed: int) -> Entry:
    """One module a layer, ever larger ones: no search, only a choice of width."""
    grid = arena.grid(seed)
    return _chosen(arena, grid, grid.rungs(arena.candidates), replace(arena.settings, seed=seed))


def _full_grid(arena: Arena, seed: int) -> Entry:
    """Every module at once, from several initial weights; the best of them on validation."""
    name, last = arena.task.name, replace(arena.settings.training, refit=False)
    seeds, recipes = _restarts(arena, seed)
    full = arena.grid(seed).space.full_path()
    paths = [replace(full, recipe=recipe) for recipe in recipes]
    results = [_alone(arena, arena.grid(one), path, last, one) for one, path in zip(seeds, paths, strict=True)]
    at = _best(arena, results)
    grid, settings, both = arena.grid(seeds[at]), arena.settings.training, (arena.training, arena.validation)
    best = baselines.refit_path(results[at], grid, name, paths[at], *both, settings, seeds[at])
    return _restarted(_entry(arena, results, at, best, path=str(paths[at])), recipes)


def _linear_probe(arena: Arena, seed: int) -> Entry:
    """One linear layer on the features, from several initial weights; the best of them on validation."""
    k, (seeds, recipes) = len(arena.task.classes), _restarts(arena, seed)
    settings = [followed(arena.settings.training, recipe) for recipe in recipes]
    grid, both = arena.grid(seed), (arena.training, arena.validation)
    results = [
        baselines.linear_probe(grid, k, *both, replace(own, refit=False), one)
        for one, own in zip(seeds, settings, strict=True)
    ]
    at = _best(arena, results)
    best = results[at]
    if settings[at].refit:
        fresh = baselines.probe_network(grid, k, seeds[at])
        best = refit(best, fresh, [], *both, settings[at], derive(seeds[at], "probe"))
    return _restarted(_entry(arena, results, at, best, path=None), recipes)


def _nearest(arena: Arena, seed: int) -> Entry:
    """k-nearest neighbours; nothing in it is random, so every seed gives the same."""
    return Entry(*nearest.choose(arena.training, arena.validation, arena.settings), {})


def _restarts(arena: Arena, seed: int) -> tuple[list[int], list[Recipe | None]]:
    """Seeds of as many trainings as there are candidates, and how each is done: the first as the settings say."""
    later = [derive(seed, "restart", i) for i in range(1, arena.candidates)]
    rng = python_stream(seed, "restart recipes")
    recipes = [random_recipe(rng) if arena.settings.search.recipes else None for _ in later]
    return [seed, *later], [None, *recipes]


def _restarted(entry: Entry, recipes: Sequence[Recipe | None]) -> Entry:
    """The same, saying which recipe each of its candidates followed, where one did."""
    for row, recipe in zip(entry.facts["candidates"], recipes, strict=True):
        row |= {} if recipe is None else {"recipe": str(recipe)}
    return entry


def _best(arena: Arena, results: Sequence[Trained]) -> int:
    """The selection rule among networks of one size: the best."""
    return int(np.argmax(scores_of(results, arena.validation, arena.settings)))


def _alone(arena: Arena, grid: Grid, path: Path, last: TrainingSettings, seed: int) -> Trained:
    return baselines.train_path(grid, arena.task.name, path, arena.training, arena.validation, last, seed)


def _chosen(arena: Arena, grid: Grid, candidates: list[Path], settings: RunSettings) -> Entry:
    def train_alone(path: Path, _label: str, last: TrainingSettings) -> Trained:
        return _alone(arena, grid, path, last, settings.seed)

    name, both = arena.task.name, (arena.training, arena.validation)
    choice: Choice = choose_path(grid, name, candidates, *both, settings, train_alone)
    entry = _entry(arena, choice.results, choice.chosen, choice.best, path=str(choice.path))
    rows = entry.facts["candidates"]
    for row, path, trained in zip(rows, candidates, choice.results, strict=True):
        row |= {"path": str(path), "threshold": _threshold(arena, trained.log_p)}
    kept = front([row["parameters"] for row in rows], [row["validation_accuracy"] for row in rows])
    entry.facts["front"] = kept
    return replace(entry, front={i: _weights(choice.results[i].network) for i in kept})


def _entry(arena: Arena, results: Sequence[Trained], chosen: int, best: Trained, path: str | None) -> Entry:
    n, more = len(arena.training), len(arena.validation)
    network: PathNetwork = best.network
    facts = {
        "path": path,
        "parameters": count(network),
        "candidates": [{"parameters": count(r.network), "validation_accuracy": r.accuracy} for r in results],
        "chosen": chosen,
        "epochs": best.best_epoch,
        "images": {
            "search": 0,
            "candidates": sum(len(r.history) for r in results) * n,
            "refit": best.best_epoch * (n + more) if arena.settings.training.refit else 0,
        },
        "evaluations": 0,
    }
    return Entry(facts, best.log_p, _weights(network))


def _weights(network: PathNetwork) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}


def _threshold(arena: Arena, log_p: Tensor) -> float | None:
    rule, labels = arena.settings.training.threshold, arena.validation.labels.numpy()
    return fix_threshold(rule, labels, log_p.double().exp().numpy())


METHODS: dict[str, Callable[[Arena, int], Entry]] = {
    "evolved": _evolved,
    "random_search": _random_search,
    "pathnet": _pathnet,
    "random_paths": _random_paths,
    "ladder": _ladder,
    "full_grid": _full_grid,
    "linear_probe": _linear_probe,
    "nearest": _nearest,
}
