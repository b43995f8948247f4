"""The search for several tasks at once: one path where they share layers, a branch for each, chosen by all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count as count_from
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor

from pathsearch.experts.finishing import Clock
from pathsearch.experts.group import Group, Paths
from pathsearch.grid.grid import count
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import followed_together
from pathsearch.measures.one_error import choose_smallest
from pathsearch.run.log_table import write_table
from pathsearch.run.settings import RunSettings, SearchSettings
from pathsearch.run.streams import python_stream
from pathsearch.run.together_settings import TogetherSettings
from pathsearch.search.choice import Ballot, Choice
from pathsearch.search.finalists import finalists
from pathsearch.search.search import Ground, SearchState, row_of, search
from pathsearch.targets.target import Fitness
from pathsearch.training.branch_weights import TogetherEvaluator, combined, evaluator_of_branches, weights_of
from pathsearch.training.cost import Cost
from pathsearch.training.fitness import Progress
from pathsearch.training.folds import truth_scored
from pathsearch.training.last_training import Trained

GIVEN, REFIT = 98, 99  # numbers of trainings in a run's checkpoint; the probe's begin at 1
FIRST = 100  # of those that a search asks for, however many they are

Rivals = dict[str, list[tuple[str, Trained]]]


@dataclass(frozen=True)
class Outcome:
    """What became of all tasks, in their order.

    Attributes:
        states: of each one's search: the part of the paths that is its own, and its own measure.
        choices: of each one's path; which candidate it is was chosen by all.
        best: networks of the chosen one, refitted if the settings ask for that.
        rivals: baselines of each, by name.
        together: how the chosen one was trained.
        path: that was found, of all; None where a path was given.
    """

    states: list[SearchState]
    choices: list[Choice]
    best: list[Trained]
    rivals: list[Rivals]
    together: TogetherSettings
    path: Path | None = None


def given(group: Group, paths: Paths) -> Outcome:
    """Of paths that need no search."""
    tell, refit = group.benches[0].tell, group.settings.training.refit
    tell.stage("train", 1 + refit)
    trained = group.trained(GIVEN, "together", paths)
    tell.advance(1, "together")
    best = group.refitted(REFIT, trained, paths)
    if refit:
        tell.advance(2, "refit")
    choices = [
        Ballot.of(bench).choose([path], [alone], [count(alone.network)], [alone.said])
        for bench, path, alone in zip(group.benches, paths, trained, strict=True)
    ]
    empty = [SearchState([]) for _ in paths]
    return Outcome(empty, choices, best, [{} for _ in paths], group.settings.together)


def searched(group: Group, clock: Clock) -> Outcome:
    """Of a search; candidates and baselines are trained alike, from the same initial weights."""
    settings, branches, first = group.settings, group.branches, group.benches[0]
    start = group.start()
    ground = Ground(branches.space, branches.size_of, branches.rungs(settings.search.rungs))
    evaluator = _Heard(evaluator_of_branches(group.benches, branches), settings.together)
    state, states = _search(group, ground, evaluator)
    clock.lap("search")
    several = finalists(first, ground, evaluator, state, lambda path, _: _error(group, evaluator, path))
    group.restart(start)
    drawn = _random_paths(group)
    first.tell.stage("train", len(several) + len(drawn) + 1 + settings.training.refit)
    # 1. the finalists, and which of them all together do best with
    numbers = count_from(FIRST)
    trained = []
    for done, path in enumerate(several, 1):
        trained.append(group.trained(next(numbers), f"finalist {path}", _parts(group, path)))
        group.restart(start)
        first.tell.advance(done, f"finalist {path}")
    choices = _choose(group, several, trained)
    chosen = choices[0].chosen
    # 2. the baselines, as many epochs as they want
    rivals: list[Rivals] = [{"random_path": [], "full_grid": []} for _ in group.seats]
    full = [grid.space.full_path() for grid in branches.grids]
    others = [("random_path", _parts(group, path)) for path in drawn] + [("full_grid", full)]
    for done, (name, paths) in enumerate(others, len(several) + 1):
        alone = group.trained(next(numbers), name, paths)
        group.restart(start)
        fixed = group.refitted(next(numbers), alone, paths)
        group.restart(start)
        first.tell.advance(done, name.replace("_", " "))
        for own, path, one in zip(rivals, paths, fixed, strict=True):
            own[name].append((str(path) if name == "random_path" else "full grid", one))
    # 3. the chosen one, with the validation images
    best = group.refitted(REFIT, trained[chosen], _parts(group, several[chosen]))
    group.restart(start)
    path = several[chosen]
    return Outcome(states, choices, best, rivals, followed_together(settings.together, path.recipe), path)


class _Heard:
    """An evaluator that remembers what it said last of each task's part of the paths."""

    def __init__(self, within: TogetherEvaluator, together: TogetherSettings) -> None:
        self.within, self.together = within, together
        self.paths: Sequence[Path] = ()
        self.said: list[list[Fitness]] = []

    @property
    def cost(self) -> Cost:
        return self.within.cost

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        return self.within.train(paths, generation)

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        self.paths, self.said = paths, self.within.each(paths)
        return combined(self.together, self.said)

    def state(self) -> dict[str, Tensor]:
        return self.within.state()

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        self.within.load_state(tensors)


def _search(group: Group, ground: Ground, evaluator: _Heard) -> tuple[SearchState, list[SearchState]]:
    """The search's last state, and each task's."""
    settings, tell, kept = group.settings, group.benches[0].tell, group.kept
    logs: list[list[dict[str, Any]]] = [[] for _ in group.seats]
    state = None
    if saved := kept.generation():
        facts = dict(saved[0])
        logs = facts.pop("logs")
        state = SearchState(**facts)
        evaluator.load_state(saved[1])
    tell.stage("search", settings.search.generations)

    def write() -> None:
        for seat, log in zip(group.seats, logs, strict=True):
            if not seat.member.run.finished:
                write_table(seat.member.run.log_file, log)

    parents = state.parents if state else []  # of the generation that comes

    def on_generation(state: SearchState) -> None:
        nonlocal parents
        population = evaluator.paths[: settings.search.population]
        lessons = evaluator.within.lessons(population)
        rivals = [path for path in map(Path.parse, parents) if path not in population]
        for number, log in enumerate(logs):
            log.append(_row(group, state, evaluator, [*population, *rivals], number, lessons[number]))
        parents = state.parents
        kept.save_generation({**state.to_dict(), "logs": logs}, evaluator.state())
        write()
        row = state.log[-1]
        tell.advance(len(state.log), f"best {row['best']:.4f}  mean {row['mean']:.4f}  {row['best_path']}")

    if state:  # a kill may have come between the generation and its log
        write()
        tell.advance(len(state.log), "resumed")
    state = search(evaluator, ground, _ended(settings), settings.seed, state, on_generation)
    return state, [_part_of(group, state, number, log) for number, log in enumerate(logs)]


def _ended(settings: RunSettings) -> SearchSettings:
    """How the search goes; a rank, which some path has in every generation, says nothing of when to end."""
    ranked = settings.together.fitness == "rank"
    return replace(settings.search, target=None, plateau=None) if ranked else settings.search


def _row(
    group: Group, state: SearchState, evaluator: _Heard, paths: Paths, number: int, lesson: Progress
) -> dict[str, Any]:
    """A generation in one task's own measure, of all that compete; its best path is that of all together."""
    whole, grid, task = state.log[-1], group.branches.grids[number], group.branches.tasks[number]
    # by whole paths: trained beside other branches, one part may have other scores
    said = dict(zip(evaluator.paths, evaluator.said[number], strict=True))
    best = Path.parse(whole["best_path"])
    own = group.branches.of(best, number)

    def size_of(path: Path) -> int:
        return grid.count_parameters(group.branches.of(path, number), task)

    return {
        **whole,
        **row_of(whole["generation"], paths, said, lesson, size_of),
        "best": said[best].score,
        "best_log_likelihood": said[best].log_likelihood,
        "best_path": str(own),
        "best_parameters": size_of(best),
        "best_together": whole["best"],
    }


def _part_of(group: Group, state: SearchState, number: int, log: list[dict[str, Any]]) -> SearchState:
    """One task's part of where the search stands."""

    def own(paths: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(str(group.branches.of(Path.parse(path), number)) for path in paths))

    return SearchState(
        [], hall_of_fame=own(state.hall_of_fame), visited=own(state.visited), log=log, stopped=state.stopped
    )


def _parts(group: Group, path: Path) -> list[Path]:
    return [group.branches.of(path, number) for number in range(len(group.seats))]


def _random_paths(group: Group) -> list[Path]:
    """Drawn as the search draws its first ones."""
    settings = group.settings
    rng = python_stream(settings.seed, "random baseline")
    space = replace(group.branches.space, recipes=settings.search.recipes)
    return list(islice(iter(lambda: space.random_path(rng), None), settings.training.random_paths))


def _error(group: Group, evaluator: _Heard, path: Path) -> float:
    """Standard error of a path's fitness, of those of its parts; of mean ranks none is known."""
    if group.settings.together.fitness == "rank":
        return math.inf
    weights = weights_of(group.settings.together, len(group.seats))
    each = zip(group.benches, evaluator.within.each([path]), weights, strict=True)
    return math.hypot(*(w * b.target.error_of(b.measure, own[0].score, truth_scored(b)) for b, own, w in each))


def _choose(group: Group, several: Sequence[Path], trained: Sequence[Sequence[Trained]]) -> list[Choice]:
    """The smallest candidate within one standard error (of the difference) of the best, all tasks taken together.

    Where ranks are what counts, the best; of several, the smallest.
    """
    settings, weights = group.settings.together, weights_of(group.settings.together, len(group.seats))
    ballots = [Ballot(bench, ()) for bench in group.benches]
    each = [[one[number] for one in trained] for number in range(len(ballots))]
    choices = []
    for number, (ballot, own) in enumerate(zip(ballots, each, strict=True)):
        paths = [group.branches.of(path, number) for path in several]
        choices.append(ballot.choose(paths, own, [count(one.network) for one in own], [one.said for one in own]))
    fitness = combined(
        settings,
        [[Fitness(score, one.log_likelihood) for score, one in zip(c.scores, c.results, strict=True)] for c in choices],
    )
    best = max(range(len(several)), key=lambda i: (fitness[i].score, fitness[i].log_likelihood))
    gaps = np.zeros(len(several))
    if settings.fitness != "rank":
        for ballot, own, weight in zip(ballots, each, weights, strict=True):
            beside = [max(ballot.errors([one.said, own[best].said])[1]) for one in own]
            gaps += (weight * np.array(beside)) ** 2
        gaps[best] = 0.0
    sizes = [group.branches.size_of(path) for path in several]
    chosen = choose_smallest([one.score for one in fitness], sizes, np.sqrt(gaps).tolist())
    others = "; all tasks together chose, see together"
    return [replace(one, chosen=chosen, in_words=f"{one.in_words}{others}") for one in choices]
