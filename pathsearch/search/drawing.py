"""Controls without a search: candidates are drawn and trained alone until the evolved path's path-images are spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count as count_up
from itertools import cycle
from typing import NamedTuple

import numpy as np

from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import Recipe, followed, random_recipe
from pathsearch.measures.fronts import front
from pathsearch.run.streams import derive, python_stream
from pathsearch.search import choice, nearest
from pathsearch.search.arena import Budget, Entry, n_candidates, threshold, until_spent, weights_of
from pathsearch.search.choice import scores_of
from pathsearch.training import baselines
from pathsearch.training.bench import Bench
from pathsearch.training.last_training import Trained


class Candidate(NamedTuple):
    """A path, and the seed of its initial weights: the run's own, or another where the path comes again."""

    path: Path
    seed: int


def random_paths(bench: Bench, budget: Budget) -> Entry:
    """Paths drawn as a search draws its first ones; the same rule chooses among them."""
    paths = baselines.draws(bench.grid(), bench.seed, bench.search.recipes)
    return with_front(bench, *_choose(bench, budget, restarted(paths, bench.seed)))


def ladder(bench: Bench, budget: Budget) -> Entry:
    """One module a layer, ever larger ones, and again from other initial weights: only a choice of width."""
    rungs = bench.grid().rungs(n_candidates(bench, budget))
    return with_front(bench, *_choose(bench, budget, restarted(cycle(rungs), bench.seed)))


def full_grid(bench: Bench, budget: Budget) -> Entry:
    """Every module at once, from several initial weights; the best of them on validation."""
    full = bench.grid().space.full_path()
    several = (Candidate(replace(full, recipe=recipe), own) for own, recipe in restarts(bench))
    entry, candidates, _ = _choose(bench, budget, several)
    return _with_recipes(entry, [one.path.recipe for one in candidates])


def linear_probe(bench: Bench, budget: Budget) -> Entry:
    """One linear layer on the features, from several initial weights; the best of them on validation."""

    def trainings() -> Iterator[tuple[Bench, Trained]]:
        for own, recipe in restarts(bench):
            one = bench.trained_by(followed(bench.last, recipe)).at(own)
            yield one, baselines.linear_probe(one.without_refit())

    found = until_spent(bench, budget, trainings())
    results = [trained for _, trained in found]
    at = int(np.argmax(scores_of(bench, results)))
    best = baselines.refit_probe(found[at][0], results[at])
    entry = Entry.of(bench, results, at, best, path=None)
    return _with_recipes(entry, [recipe for _, (_, recipe) in zip(found, restarts(bench), strict=False)])


def neighbours(bench: Bench, budget: Budget) -> Entry:
    """k-nearest neighbours; nothing in it is random or trained, so every seed gives the same, for nothing."""
    return Entry(*nearest.choose(bench), {})


def restarted(paths: Iterable[Path], seed: int) -> Iterator[Candidate]:
    """Paths as candidates, each the first time from the seed's initial weights and then from ever other ones."""
    times: Counter[Path] = Counter()
    for path in paths:
        yield Candidate(path, derive(seed, "restart", times[path]) if times[path] else seed)
        times[path] += 1


def restarts(bench: Bench) -> Iterator[tuple[int, Recipe | None]]:
    """Seeds of initial weights without an end, and how each training is done: the first as the settings say."""
    rng = python_stream(bench.seed, "restart recipes")
    yield bench.seed, None
    for i in count_up(1):
        yield derive(bench.seed, "restart", i), random_recipe(rng) if bench.search.recipes else None


def with_front(bench: Bench, entry: Entry, candidates: list[Candidate], results: list[Trained]) -> Entry:
    """An entry whose candidates differ in size: each one's path and threshold, and the networks of their front."""
    rows = entry.facts["candidates"]
    for row, candidate, trained in zip(rows, candidates, results, strict=True):
        row |= {"path": str(candidate.path), "threshold": threshold(bench, trained.log_p)}
        row |= {"weights_seed": candidate.seed}
    kept = front([row["parameters"] for row in rows], [row["validation_accuracy"] for row in rows])
    facts = {**entry.facts, "front": kept}
    return replace(entry, facts=facts, front={i: weights_of(results[i].network) for i in kept})


def choose(
    bench: Bench, candidates: list[Candidate], results: list[Trained]
) -> tuple[Entry, list[Candidate], list[Trained]]:
    """The selection rule among trained candidates; the chosen one is refitted from its own initial weights."""
    found = choice.choose(bench, bench.grid(), [one.path for one in candidates], results)
    path, own = candidates[found.chosen]
    best = baselines.refit_path(bench.at(own), bench.at(own).grid(), path, found.best)
    return Entry.of(bench, results, found.chosen, best, path=str(path)), candidates, results


def _choose(
    bench: Bench, budget: Budget, candidates: Iterator[Candidate]
) -> tuple[Entry, list[Candidate], list[Trained]]:
    def trainings() -> Iterator[tuple[Candidate, Trained]]:
        grid: Grid = bench.grid()  # trainings leave it as it is
        for one in candidates:
            own = bench.without_refit().at(one.seed)
            yield one, baselines.train_path(own, grid if one.seed == bench.seed else own.grid(), one.path)

    found = until_spent(bench, budget, trainings())
    return choose(bench, [one for one, _ in found], [trained for _, trained in found])


def _with_recipes(entry: Entry, recipes: Iterable[Recipe | None]) -> Entry:
    """The same, saying which recipe each of its candidates followed, where one did."""
    for row, recipe in zip(entry.facts["candidates"], recipes, strict=True):
        row |= {} if recipe is None else {"recipe": str(recipe)}
    return entry
