"""The evolved path and its controls, each at the same budget and under the same selection rule, one seed at a time.

The budget is the path-images (see `cost`) that the evolved path spent at the same seed: searches go on until they have
spent those of its search, and then train their finalists, and these again from other initial weights, until they have
spent those of its finalists too; methods without a search train candidates alone until they have spent both. Each ends
with the generation or training that reaches the budget, so that no control gets less, but for a search that knows every
path and stops; all finalists are trained, even where that is more. One refit each is not counted into it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

from torch import Tensor

from pathsearch.encoders.split import Split
from pathsearch.grid.grid import Grid, PathNetwork
from pathsearch.grid.path import Path
from pathsearch.measures.statistics import rank_agreement
from pathsearch.run.search_settings import WITHOUT_END
from pathsearch.run.streams import python_stream
from pathsearch.search import drawing, nearest
from pathsearch.search.arena import Budget, Entry, by_stage, most, threshold, until_spent
from pathsearch.search.choice import scores_of
from pathsearch.search.finalists import finalists
from pathsearch.search.search import Ground, SearchState, search
from pathsearch.targets.target import Said
from pathsearch.training import baselines
from pathsearch.training.batches import said_to
from pathsearch.training.bench import Bench
from pathsearch.training.cost import Cost
from pathsearch.training.fitness import Evaluator
from pathsearch.training.fresh import evaluator
from pathsearch.training.sequential import SequentialWeights

SAMPLE = 12  # visited paths trained to the end, beyond the budget, to ask whether fitness ranks them truly

Way = Callable[[Bench, Grid], Evaluator]


def enter(bench: Bench, method: str, budget: Budget | None = None) -> Entry:
    """Let a method choose and train on a bench; validation images are all it sees beside the training ones.

    Args:
        bench: what all methods share, at one seed.
        method: a key of `METHODS`.
        budget: what the evolved path spent at this seed; by default the most that it may. It does not bind the evolved
            path itself.
    """
    started = time.perf_counter()
    entry = METHODS[method](bench, budget or most(bench))
    spent = time.perf_counter() - started - entry.facts.get("fidelity", {}).get("seconds", 0.0)
    facts = {"method": method, "seed": bench.seed, "threshold": threshold(bench, entry.said), "seconds": spent}
    return replace(entry, facts={**facts, **by_stage(), **entry.facts})


def answers(bench: Bench, entry: Entry, split: Split) -> Said:
    """What a fixed entry says to a split's images."""
    split = bench.seen(split)
    if entry.facts["method"] == "nearest":
        return nearest.answers(bench, split, entry.facts["k"])
    network = baselines.network_of(bench, bench.grid(), Path.parse(entry.facts["path"]))
    return _said(bench, network, entry.weights, split)


def front_answers(bench: Bench, entry: Entry, split: Split) -> dict[int, Said]:
    """The same of each candidate on its validation front, by the candidate's number, smallest first."""
    grid, split = bench.grid(), bench.seen(split)
    paths = {i: Path.parse(entry.facts["candidates"][i]["path"]) for i in entry.front}
    return {i: _said(bench, baselines.network_of(bench, grid, paths[i]), entry.front[i], split) for i in entry.front}


def _said(bench: Bench, network: PathNetwork, weights: dict[str, Tensor], split: Split) -> Said:
    network.load_state_dict(weights)
    return said_to(bench.target, network, split)


# --- with a search --------------------------------------------------------------------------------------------------


def _evolved(bench: Bench, budget: Budget) -> Entry:
    """What `pathsearch evolve` does, to its own end."""
    return _searched(bench, evaluator, None)


def _random_search(bench: Bench, budget: Budget) -> Entry:
    """The same search, in which every generation is drawn at random; known paths come first here too."""
    how = replace(bench.search, preset="random", pareto=False)
    return _searched(bench.searched_by(how), evaluator, budget, pareto=bench.search.pareto)


def _pathnet(bench: Bench, budget: Budget) -> Entry:
    """PathNet's own: pairs compete, scored by the last weights alone, and each path trains in turn."""
    plain = replace(
        bench.search,
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
    return _searched(bench.searched_by(plain), SequentialWeights, budget, pareto=bench.search.pareto)


def _searched(bench: Bench, way: Way, budget: Budget | None, pareto: bool | None = None) -> Entry:
    """Search to the settings' own end or, with a budget, until it is spent; then train the finalists.

    `pareto` says how finalists are picked where the search's own setting does not: controls pick as evolved does.
    """
    grid, how = bench.grid(), bench.search
    if budget is not None:
        how = replace(how, generations=WITHOUT_END, target=None, plateau=None)
    scorer = way(bench.searched_by(how), grid)
    space = replace(grid.space, recipes=how.recipes)

    def on_generation(state: SearchState) -> None:
        done, whole = len(state.log), how.generations
        if budget is not None:
            done, whole = scorer.cost.path_images, budget.search
            if done >= whole:
                state.stopped = f"spent its budget in generation {len(state.log)}"
            elif len(state.visited) == space.n_paths and scorer.cost.path_images == spent[-1]:
                state.stopped = "knows every path"  # under fresh weights there is nothing left to train
            spent.append(done)
        bench.tell.count(min(done, whole), whole)

    # 1. the search, counted
    spent = [0]
    ground = Ground.of(grid, bench.task, how.rungs)
    state = search(scorer, ground, how, bench.seed, None, on_generation)
    cost = scorer.cost
    # 2. finalists from what it visited; controls pick as evolved does
    picking = bench if pareto is None else bench.searched_by(replace(how, pareto=pareto))
    paths = [*drawing.probes(bench), *finalists(picking, ground, scorer, state)]
    sample = _sample(state, bench.seed) if budget is None else []
    scores = scorer.score(sample) if sample else []
    # 3. their last trainings, from the initial weights; controls then train them again from others, until all is spent
    again = drawing.restarted(paths if budget is None else cycle(paths), bench.seed)
    left = most(bench).last if budget is None else budget.total - max(budget.search, cost.path_images)
    found = until_spent(bench, left, drawing.trainings(bench, again), len(paths))
    entry = drawing.with_front(bench, *drawing.choose(bench, *found))
    entry.facts["evaluations"] = len(state.log) * how.population
    entry.facts["stopped"] = state.stopped
    _count_search(entry, cost)
    if sample:
        entry.facts["fidelity"] = _fidelity(bench, sample, scores)
    return entry


def _count_search(entry: Entry, cost: Cost) -> None:
    for kind, stages in by_stage(cost).items():
        entry.facts[kind]["search"] = stages["search"]


def _sample(state: SearchState, seed: int) -> list[Path]:
    """Some of the visited paths, drawn at random: the best ones alone would hide how well bad ones are told."""
    rng = python_stream(seed, "fidelity")
    return [Path.parse(text) for text in rng.sample(state.visited, min(SAMPLE, len(state.visited)))]


def _fidelity(bench: Bench, sample: list[Path], scores: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Do the search's last scores rank paths as their own training does?"""
    started, grid = time.perf_counter(), bench.grid()
    trained = [baselines.train_path(bench.without_refit(), grid, path) for path in sample]
    finals = scores_of(bench, trained)
    return {
        **rank_agreement(scores, finals),
        "paths": [str(path) for path in sample],
        "fitness": [score[0] for score in scores],
        "final": finals,
        "seconds": time.perf_counter() - started,
    }


METHODS: dict[str, Callable[[Bench, Budget], Entry]] = {
    "evolved": _evolved,
    "random_search": _random_search,
    "pathnet": _pathnet,
    "random_paths": drawing.random_paths,
    "ladder": drawing.ladder,
    "full_grid": drawing.full_grid,
    "linear_probe": drawing.linear_probe,
    "nearest": drawing.neighbours,
}
