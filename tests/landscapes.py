"""Fitnesses that need no training, whose best path and front exhaustive search knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pathsearch.grid.path import Path, Space
from pathsearch.grid.recipe import CHOICES, Recipe
from pathsearch.run.settings import SearchSettings
from pathsearch.run.streams import derive
from pathsearch.search.search import SearchState
from pathsearch.targets.target import Fitness

SPACE = Space(2, 4, 2)  # 100 paths
WAYS: dict[str, dict[str, Any]] = {
    "generational": {},
    "pathnet": {"preset": "pathnet"},
    "pareto": {"pareto": True},
    "random": {"preset": "random"},
}
every_way = pytest.mark.parametrize("way", WAYS)

Worth = Callable[[Path, int], Fitness]


def settings_of(way: str, **options: Any) -> SearchSettings:
    chosen: dict[str, Any] = {"population": 16, "generations": 25, "warmup": 0, "steps": 4, "batch_size": 32}
    chosen["plateau"] = None  # planted landscapes are searched to the end
    return SearchSettings(**(chosen | WAYS[way] | options))


def size_of(path: Path) -> int:
    return 10 + sum((1 + 3 * index) ** (1 + number) for number, layer in enumerate(path.layers) for index in layer)


def rugged(seed: int) -> Worth:
    """A fitness without any pattern: a number for each path."""

    def worth(path: Path, generation: int) -> Fitness:
        number = derive(seed, "worth", path) % 1000
        return Fitness(number / 1000, -1 + number / 10_000)

    return worth


def smooth(seed: int) -> Worth:
    """A fitness that is a sum over modules, less a price for each, so that neighbours are alike."""

    gains = [[derive(seed, n, m) % 100 - 30 for m in range(8)] for n in range(3)]

    def worth(path: Path, generation: int) -> Fitness:
        gain = sum(gains[n][m] for n, layer in enumerate(path.layers) for m in layer)
        return Fitness(1 / (1 + math.exp(-gain / 100)), -1.0)

    return worth


BEST = Recipe(4e-3, 0.3, 0.25)


def seasoned(seed: int) -> Worth:
    """As `smooth`, less a price for each step of a recipe's genes away from `BEST`; without a recipe, for the most."""

    def steps(name: str, choices: tuple[float, ...], recipe: Recipe | None) -> int:
        best = choices.index(getattr(BEST, name))
        return abs(choices.index(getattr(recipe, name)) - best) if recipe else len(choices)

    def worth(path: Path, generation: int) -> Fitness:
        away = sum(steps(name, choices, path.recipe) for name, choices in CHOICES.items())
        return Fitness(smooth(seed)(path.bare, generation).score - 0.02 * away, -1.0)

    return worth


def value(path: Path, worth: Worth, pareto: bool) -> tuple[float, float]:
    score, likelihood = worth(path, 0)
    return (score, -size_of(path)) if pareto else (score, likelihood)


def assert_finds_the_best(state: SearchState, space: Space, worth: Worth, pareto: bool = False) -> None:
    best = max(value(path, worth, pareto) for path in space.all_paths())
    found = value(Path.parse(state.hall_of_fame[0]), worth, pareto)
    assert found == best, f"found {state.hall_of_fame[0]} with {found}, but the best has {best}"


def true_front(space: Space, worth: Worth) -> set[tuple[float, float]]:
    """The values that none beats in one aim without losing in the other, by comparing all with all."""
    values = {value(path, worth, True) for path in space.all_paths()}
    return {v for v in values if not any(w != v and w[0] >= v[0] and w[1] >= v[1] for w in values)}


def assert_finds_the_front(state: SearchState, space: Space, worth: Worth) -> None:
    found = {value(Path.parse(text), worth, True) for text in state.parents}
    assert true_front(space, worth) <= found


def without_times(state: SearchState) -> dict[str, Any]:
    plain = state.to_dict()
    plain["log"] = [{key: v for key, v in row.items() if key != "seconds"} for row in plain["log"]]
    return plain


def assert_same_end(first: Any, second: Any) -> None:
    assert without_times(first[0]) == without_times(second[0])
    one, other = first[1].state(), second[1].state()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    weights, others = first[1].grid.state_dict(), second[1].grid.state_dict()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
