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
from pathsearch.search import nearest
from pathsearch.search.arena import Arena, Budget, Entry, until_spent, weights_of
from pathsearch.search.choice import choose_path, scores_of
from pathsearch.training import baselines
from pathsearch.training.last_training import Trained, refit


class Candidate(NamedTuple):
    """A path, and the seed of its initial weights: the run's own, or another where the path comes again."""

    path: Path
    seed: int


def random_paths(arena: Arena, seed: int, budget: Budget) -> Entry:
    """Paths drawn as a search draws its first ones; the same rule chooses among them."""
    paths = baselines.draws(arena.grid(seed), seed, arena.settings.search.recipes)
    return with_front(arena, *_choose(arena, seed, budget, restarted(paths, seed)))


def ladder(arena: Arena, seed: int, budget: Budget) -> Entry:
    """One module a layer, ever larger ones, and again from other initial weights: only a choice of width."""
    rungs = arena.grid(seed).rungs(arena.candidates(budget))
    return with_front(arena, *_choose(arena, seed, budget, restarted(cycle(rungs), seed)))


def full_grid(arena: Arena, seed: int, budget: Budget) -> Entry:
    """Every module at once, from several initial weights; the best of them on validation."""
    full = arena.grid(seed).space.full_path()
    several = (Candidate(replace(full, recipe=recipe), own) for own, recipe in restarts(arena, seed))
    entry, candidates, _ = _choose(arena, seed, budget, several)
    return _with_recipes(entry, [one.path.recipe for one in candidates])


def linear_probe(arena: Arena, seed: int, budget: Budget) -> Entry:
    """One linear layer on the features, from several initial weights; the best of them on validation."""
    classes, grid, both = len(arena.task.classes), arena.grid(seed), (arena.training, arena.validation)

    def trainings() -> Iterator[tuple[tuple[int, Recipe | None], Trained]]:
        for own, recipe in restarts(arena, seed):
            last = replace(followed(arena.settings.training, recipe), refit=False)
            yield (own, recipe), baselines.linear_probe(grid, classes, *both, last, own)

    found = until_spent(budget, trainings(), arena)
    results = [trained for _, trained in found]
    at = int(np.argmax(scores_of(results, arena.validation, arena.settings)))
    (own, recipe), best = found[at]
    last = followed(arena.settings.training, recipe)
    if last.refit:
        fresh = baselines.probe_network(grid, classes, own)
        best = refit(best, fresh, [], *both, last, derive(own, "probe"))
    entry = Entry.of(arena, results, at, best, path=None)
    return _with_recipes(entry, [recipe for (_, recipe), _ in found])


def neighbours(arena: Arena, seed: int, budget: Budget) -> Entry:
    """k-nearest neighbours; nothing in it is random or trained, so every seed gives the same, for nothing."""
    return Entry(*nearest.choose(arena.training, arena.validation, arena.settings), {})


def restarted(paths: Iterable[Path], seed: int) -> Iterator[Candidate]:
    """Paths as candidates, each the first time from the seed's initial weights and then from ever other ones."""
    times: Counter[Path] = Counter()
    for path in paths:
        yield Candidate(path, derive(seed, "restart", times[path]) if times[path] else seed)
        times[path] += 1


def restarts(arena: Arena, seed: int) -> Iterator[tuple[int, Recipe | None]]:
    """Seeds of initial weights without an end, and how each training is done: the first as the settings say."""
    rng = python_stream(seed, "restart recipes")
    yield seed, None
    for i in count_up(1):
        yield derive(seed, "restart", i), random_recipe(rng) if arena.settings.search.recipes else None


def with_front(arena: Arena, entry: Entry, candidates: list[Candidate], results: list[Trained]) -> Entry:
    """An entry whose candidates differ in size: each one's path and threshold, and the networks of their front."""
    rows = entry.facts["candidates"]
    for row, candidate, trained in zip(rows, candidates, results, strict=True):
        row |= {"path": str(candidate.path), "threshold": arena.threshold(trained.log_p)}
        row |= {"weights_seed": candidate.seed}
    kept = front([row["parameters"] for row in rows], [row["validation_accuracy"] for row in rows])
    facts = {**entry.facts, "front": kept}
    return replace(entry, facts=facts, front={i: weights_of(results[i].network) for i in kept})


def choose(
    arena: Arena, seed: int, candidates: list[Candidate], results: list[Trained]
) -> tuple[Entry, list[Candidate], list[Trained]]:
    """The selection rule among trained candidates; the chosen one is refitted from its own initial weights."""
    plain = replace(arena.settings, seed=seed, training=replace(arena.settings.training, refit=False))
    name, both, ready = arena.task.name, (arena.training, arena.validation), iter(results)
    paths = [one.path for one in candidates]
    choice = choose_path(arena.grid(seed), name, paths, *both, plain, lambda *_: next(ready))
    path, own = candidates[choice.chosen]
    best = baselines.refit_path(
        results[choice.chosen], arena.grid(own), name, path, *both, arena.settings.training, own
    )
    return Entry.of(arena, results, choice.chosen, best, path=str(path)), candidates, results


def _choose(
    arena: Arena, seed: int, budget: Budget, candidates: Iterator[Candidate]
) -> tuple[Entry, list[Candidate], list[Trained]]:
    def trainings() -> Iterator[tuple[Candidate, Trained]]:
        grid: Grid = arena.grid(seed)  # trainings leave it as it is
        for one in candidates:
            yield one, arena.alone(grid if one.seed == seed else arena.grid(one.seed), one.path, one.seed)

    found = until_spent(budget, trainings(), arena)
    return choose(arena, seed, [one for one, _ in found], [trained for _, trained in found])


def _with_recipes(entry: Entry, recipes: Iterable[Recipe | None]) -> Entry:
    """The same, saying which recipe each of its candidates followed, where one did."""
    for row, recipe in zip(entry.facts["candidates"], recipes, strict=True):
        row |= {} if recipe is None else {"recipe": str(recipe)}
    return entry
