"""Controls without a search: candidates are drawn and trained alone until the evolved path's path-images are spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, cycle
from itertools import count as count_up
from typing import NamedTuple

from pathsearch.grid.path import PROBE, Path
from pathsearch.grid.recipe import Recipe, random_recipe
from pathsearch.measures.fronts import front
from pathsearch.run.streams import derive, python_stream
from pathsearch.search import nearest
from pathsearch.search.arena import Budget, Entry, Tried, cost, n_candidates, threshold, until_spent
from pathsearch.search.choice import Ballot
from pathsearch.training import baselines
from pathsearch.training.bench import Bench
from pathsearch.training.cost import Cost


class Candidate(NamedTuple):
    """A path, and the seed of its initial weights: the run's own, or another where the path comes again."""

    path: Path
    seed: int


def random_paths(bench: Bench, budget: Budget) -> Entry:
    """Paths drawn as a search draws its first ones; the same rule chooses among them."""
    paths = chain(probes(bench), baselines.draws(bench.grid(), bench.seed, bench.search.recipes))
    return with_front(bench, *_choose(bench, budget, restarted(paths, bench.seed)))


def ladder(bench: Bench, budget: Budget) -> Entry:
    """One module a layer, ever larger ones, and again from other initial weights: only a choice of width."""
    rungs = [*probes(bench), *bench.grid().rungs(n_candidates(bench, budget))]
    return with_front(bench, *_choose(bench, budget, restarted(cycle(rungs), bench.seed)))


def full_grid(bench: Bench, budget: Budget) -> Entry:
    """Every module at once, from several initial weights; the best of them on validation."""
    return _one_path(bench.grid().space.full_path(), bench, budget)


def linear_probe(bench: Bench, budget: Budget) -> Entry:
    """One linear layer on the features, from several initial weights; the best of them on validation."""
    return _one_path(PROBE, bench, budget)


def _one_path(path: Path, bench: Bench, budget: Budget) -> Entry:
    several = (Candidate(replace(path, recipe=recipe), own) for own, recipe in restarts(bench))
    entry, candidates, _ = _choose(bench, budget, several)
    for row, one in zip(entry.facts["candidates"], candidates, strict=True):
        row |= {} if one.path.recipe is None else {"recipe": str(one.path.recipe)}
    return entry


def neighbours(bench: Bench, budget: Budget) -> Entry:
    """k-nearest neighbours; nothing in it is random or trained, so every seed gives the same, for nothing."""
    return Entry(*nearest.choose(bench), {})


def probes(bench: Bench) -> list[Path]:
    """The linear probe, where it is one of those that paths are chosen from: it is in every space."""
    return [PROBE] * bench.last.probe


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


def with_front(bench: Bench, entry: Entry, candidates: list[Candidate], results: list[Tried]) -> Entry:
    """An entry whose candidates differ in size: each one's path and threshold, and the networks of their front."""
    rows = entry.facts["candidates"]
    for row, candidate, tried in zip(rows, candidates, results, strict=True):
        row |= {"path": str(candidate.path), "threshold": threshold(bench, tried.trained.said)}
        row |= {"weights_seed": candidate.seed}
    kept = front([row["parameters"] for row in rows], [row["validation_accuracy"] for row in rows])
    return replace(entry, facts={**entry.facts, "front": kept}, front={i: results[i].weights or {} for i in kept})


def choose(
    bench: Bench, candidates: list[Candidate], results: list[Tried]
) -> tuple[Entry, list[Candidate], list[Tried]]:
    """The selection rule among trained candidates; the chosen one is refitted from its own initial weights."""
    ballot = Ballot.of(bench)
    paths, trained = [one.path for one in candidates], [one.trained for one in results]
    at = ballot.choose(paths, trained, [one.parameters for one in results], [one.said for one in results]).chosen
    path, own = candidates[at].path, bench.at(candidates[at].seed)
    grid = own.grid()
    if own.last.refit:
        best = baselines.refit_path(own, grid, path, results[at].trained)
    else:  # the weights of one that others beat in accuracy were let go: the same training gives them again
        best = results[at].fixed(baselines.network_of(own, grid, path)) or baselines.train_path(own, grid, path)
    return Entry.of(bench, results, at, best, path=str(path)), candidates, results


def trainings(bench: Bench, candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, Tried]]:
    """Each candidate with its last training, without a refit, from its own initial weights; and those in parts."""
    grid = bench.grid()  # trainings leave it as it is
    ballot = Ballot.of(bench)
    for one in candidates:
        own = bench.without_refit().at(one.seed)
        trained = baselines.train_path(own, grid if one.seed == bench.seed else own.grid(), one.path)
        parts = ballot.parts
        if one.seed != bench.seed:
            parts = [part.at(derive(one.seed, "part", k)) for k, part in enumerate(parts)]
        folded = [baselines.train_path(part, part.grid(), one.path) for part in parts]
        spent = sum(
            (cost(each, its.network, len(its.history)) for each, its in zip(parts, folded, strict=True)), Cost()
        )
        yield one, Tried.of(bench, trained, ballot.said(trained, folded), spent)


def _choose(
    bench: Bench, budget: Budget, candidates: Iterator[Candidate]
) -> tuple[Entry, list[Candidate], list[Tried]]:
    return choose(bench, *until_spent(bench, budget.total, trainings(bench, candidates)))
