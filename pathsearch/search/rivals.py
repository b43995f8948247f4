"""The evolved path and its controls, each at the same budget and under the same selection rule, one seed at a time.

The budget is the path-images (see `cost`) that the evolved path spent at the same seed: searches go on until they have
spent those of its search, and then train as many finalists; methods without a search train candidates alone until they
have spent those of its search and its finalists together. Each ends with the generation or training that reaches the
budget, so that no control gets less, and none more than one of these. One refit each is not counted into it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from pathsearch.encoders.features import Split
from pathsearch.grid.grid import PathNetwork
from pathsearch.grid.path import Path
from pathsearch.measures.statistics import rank_agreement
from pathsearch.run.settings import RunSettings, SearchSettings
from pathsearch.run.streams import python_stream
from pathsearch.search import drawing, nearest
from pathsearch.search.arena import Arena, Budget, Entry, by_stage
from pathsearch.search.choice import scores_of
from pathsearch.search.finalists import finalists
from pathsearch.search.search import SearchState, search
from pathsearch.training import baselines
from pathsearch.training.cost import Cost
from pathsearch.training.fitness import Evaluator, SharedWeights, log_probabilities
from pathsearch.training.folds import labels_scored
from pathsearch.training.fresh import FreshWeights
from pathsearch.training.last_training import Trained
from pathsearch.training.sequential import SequentialWeights

SAMPLE = 12  # visited paths trained to the end, beyond the budget, to ask whether fitness ranks them truly
WITHOUT_END = 1_000_000_000  # generations of a control's search, which its budget ends

Way = Callable[..., Evaluator]


def enter(arena: Arena, method: str, seed: int, budget: Budget | None = None) -> Entry:
    """Let a method choose and train at one seed; validation images are all it sees beside the training ones.

    Args:
        arena: what all methods share.
        method: a key of `METHODS`.
        seed: of everything random.
        budget: what the evolved path spent at this seed; by default the most that it may. It does not bind the evolved
            path itself.
    """
    started = time.perf_counter()
    entry = METHODS[method](arena, seed, budget or arena.most)
    spent = time.perf_counter() - started - entry.facts.get("fidelity", {}).get("seconds", 0.0)
    facts = {"method": method, "seed": seed, "threshold": arena.threshold(entry.log_p), "seconds": spent}
    return replace(entry, facts={**facts, **by_stage(), **entry.facts})


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


def _evolved(arena: Arena, seed: int, budget: Budget) -> Entry:
    """What `pathsearch evolve` does, to its own end."""
    return _searched(arena, seed, arena.settings.search, _way(arena), None)


def _random_search(arena: Arena, seed: int, budget: Budget) -> Entry:
    """The same search, in which every generation is drawn at random; known paths come first here too."""
    how = replace(arena.settings.search, preset="random", pareto=False)
    return _searched(arena, seed, how, _way(arena), budget)


def _pathnet(arena: Arena, seed: int, budget: Budget) -> Entry:
    """PathNet's own: pairs compete, scored by the last weights alone, and each path trains in turn."""
    plain = replace(
        arena.settings.search,
        preset="pathnet",
        pareto=False,
        weights="shared",
        recipes=False,
        warmup=0,
        rungs=0,
        snapshots=1,
        folds=1,
        average=0.0,
    )
    return _searched(arena, seed, plain, SequentialWeights, budget)


def _way(arena: Arena) -> Way:
    return SharedWeights if arena.settings.search.weights == "shared" else FreshWeights


def _searched(arena: Arena, seed: int, how: SearchSettings, way: Way, budget: Budget | None) -> Entry:
    """Search to the settings' own end or, with a budget, until it is spent; then train the finalists."""
    grid, name = arena.grid(seed), arena.task.name
    start = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    if budget is not None:
        how = replace(how, generations=WITHOUT_END, target=None, plateau=None)
    evaluator = way(grid, name, arena.training, arena.validation, how, seed)
    space = replace(grid.space, recipes=how.recipes)

    def size_of(path: Path) -> int:
        return grid.count_parameters(path, name)

    def on_generation(state: SearchState) -> None:
        done, whole = len(state.log), how.generations
        if budget is not None:
            done, whole = evaluator.cost.path_images, budget.search
            if done >= whole:
                state.stopped = f"spent its budget in generation {len(state.log)}"
            elif len(state.visited) == space.n_paths and evaluator.cost.path_images == spent[-1]:
                state.stopped = "knows every path"  # under fresh weights there is nothing left to train
            spent.append(done)
        arena.tell.count(min(done, whole), whole)

    # 1. the search, counted
    spent = [0]
    state = search(evaluator, grid.space, how, seed, size_of, None, on_generation, grid.rungs(how.rungs))
    cost = evaluator.cost
    # 2. finalists from what it visited; controls pick as evolved does
    settings = replace(arena.settings, seed=seed, search=replace(how, pareto=arena.settings.search.pareto))
    labels = labels_scored(how, arena.training, arena.validation)
    candidates = [drawing.Candidate(path, seed) for path in finalists(evaluator, state, size_of, settings, labels)]
    sample = _sample(state, seed) if budget is None else []
    scores = evaluator.score(sample) if sample else []
    # 3. their last trainings, from the initial weights
    grid.load_state_dict(start)
    results = [arena.alone(grid, one.path, seed) for one in candidates]
    entry = drawing.with_front(arena, *drawing.choose(arena, seed, candidates, results))
    entry.facts["evaluations"] = len(state.log) * how.population
    entry.facts["stopped"] = state.stopped
    _count_search(entry, cost)
    if sample:
        entry.facts["fidelity"] = _fidelity(arena, grid, sample, scores, settings)
    return entry


def _count_search(entry: Entry, cost: Cost) -> None:
    for kind, stages in by_stage(cost).items():
        entry.facts[kind]["search"] = stages["search"]


def _sample(state: SearchState, seed: int) -> list[Path]:
    """Some of the visited paths, drawn at random: the best ones alone would hide how well bad ones are told."""
    rng = python_stream(seed, "fidelity")
    return [Path.parse(text) for text in rng.sample(state.visited, min(SAMPLE, len(state.visited)))]


def _fidelity(
    arena: Arena, grid: Any, sample: list[Path], scores: Sequence[Sequence[float]], settings: RunSettings
) -> dict[str, Any]:
    """Do the search's last scores rank paths as their own training does?"""
    started = time.perf_counter()
    trained: list[Trained] = [arena.alone(grid, path, settings.seed) for path in sample]
    finals = scores_of(trained, arena.validation, settings, sample)
    return {
        **rank_agreement(scores, finals),
        "paths": [str(path) for path in sample],
        "fitness": [score[0] for score in scores],
        "final": finals,
        "seconds": time.perf_counter() - started,
    }


METHODS: dict[str, Callable[[Arena, int, Budget], Entry]] = {
    "evolved": _evolved,
    "random_search": _random_search,
    "pathnet": _pathnet,
    "random_paths": drawing.random_paths,
    "ladder": drawing.ladder,
    "full_grid": drawing.full_grid,
    "linear_probe": drawing.linear_probe,
    "nearest": drawing.neighbours,
}
