"""Mutation alone leaves the distribution that paths are drawn from: exactly on small spaces, by simulation on a large.

The exact test walks through every random decision that `mutate` can make, with its probability, and so needs no sample.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from math import comb, sqrt
from typing import Any

import numpy as np
import pytest

from pathsearch.grid.path import Path, Space, mutate

Mutation = Callable[[Path, Space, Any], Path]


def drifting(path: Path, space: Space, rng: Any) -> Path:
    """What `mutate` was before: an empty place is filled every time, a gene is dropped one time in four."""
    rate, layers = 1 / (space.n_layers * space.max_active), []
    for layer in path.layers:
        genes = set(layer)
        for place in range(space.max_active):
            if not rng.random() < rate:
                continue
            if place >= len(layer):
                genes.add(rng.choice(range(space.n_modules)))
            elif len(genes) > 1 and rng.random() < 0.25:
                genes.discard(layer[place])
            else:
                moved = (layer[place] + rng.choice((-2, -1, 1, 2))) % space.n_modules
                if layer[place] in genes and moved not in genes:
                    genes.remove(layer[place])
                    genes.add(moved)
        layers.append(sorted(genes))
    return Path.of(layers)


# --- every decision -------------------------------------------------------------------------------------------------


class Decisions:
    """A generator that takes given decisions and then first ones, and remembers what else it could have taken."""

    def __init__(self, given: Sequence[int]) -> None:
        self.given, self.taken, self.options = list(given), [], []
        self.probability = 1.0

    def take(self, shares: Sequence[float]) -> int:
        number = len(self.taken)
        chosen = self.given[number] if number < len(self.given) else 0
        self.taken.append(chosen)
        self.options.append(len(shares))
        self.probability *= shares[chosen]
        return chosen

    def choice(self, values: Sequence[Any]) -> Any:
        return values[self.take([1 / len(values)] * len(values))]

    def random(self) -> Any:
        return Coin(self)


class Coin:
    """A number in [0, 1) of which only one thing is asked: whether it is below another."""

    def __init__(self, owner: Decisions) -> None:
        self.owner = owner

    def __lt__(self, rate: float) -> bool:
        return self.owner.take([1 - rate, rate]) == 1


def children(mutation: Mutation, path: Path, space: Space) -> Iterator[tuple[Path, float]]:
    """Every way that a mutation can go, and its probability."""
    given: list[int] = []
    while True:
        decisions = Decisions(given)
        yield mutation(path, space, decisions), decisions.probability
        given = decisions.taken
        while given and given[-1] + 1 == decisions.options[len(given) - 1]:
            given.pop()
        if not given:
            return
        given[-1] += 1


def matrix(mutation: Mutation, space: Space) -> np.ndarray:
    """(n, n) probabilities of each path of a space to become each other."""
    place = {path: i for i, path in enumerate(space.all_paths())}
    found = np.zeros((len(place), len(place)))
    for path, row in place.items():
        for child, probability in children(mutation, path, space):
            found[row, place[child]] += probability
    return found


def drawn(space: Space) -> np.ndarray:
    """(n,) probabilities of `random_path`: a number of modules, then as many of them, layer by layer."""
    shares = []
    for path in space.all_paths():
        each = [1 / (space.max_active * comb(space.n_modules, len(layer))) for layer in path.layers]
        shares.append(np.prod(each))
    return np.array(shares)


SPACES = [
    Space(1, 5, 2),
    Space(1, 4, 3),
    Space(1, 3, 3),
    Space(1, 2, 2),
    Space(1, 4, 1),
    Space(2, 3, 1),
    Space(1, 1, 1),
]
spaces = pytest.mark.parametrize("space", SPACES, ids=str)


@spaces
def test_mutation_leaves_the_drawn_distribution_exactly(space):
    shares, moves = drawn(space), matrix(mutate, space)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(moves.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(shares @ moves, shares, atol=1e-12)
    flow = shares[:, None] * moves
    np.testing.assert_allclose(flow, flow.T, atol=1e-12, err_msg="as often there as back")


@spaces
def test_mutation_alone_reaches_every_path(space):
    """So the distribution is the only one that mutation leaves."""
    np.testing.assert_array_less(0, np.linalg.matrix_power(matrix(mutate, space) + np.eye(len(drawn(space))), 12))


def test_a_mutation_that_drifts_is_seen():
    space = Space(1, 4, 3)
    shares = drawn(space)
    assert np.abs(shares @ matrix(drifting, space) - shares).max() > 0.01


def test_the_walk_meets_every_decision():
    """Its probabilities are those that a sample of mutations shows."""
    space, path, n = Space(1, 5, 2), Path.parse("1+3"), 20_000
    exact: dict[Path, float] = defaultdict(float)
    for child, probability in children(mutate, path, space):
        exact[child] += probability
    assert sum(exact.values()) == pytest.approx(1)
    rng = random.Random(0)
    sample = [mutate(path, space, rng) for _ in range(n)]
    for child, share in exact.items():
        assert sample.count(child) / n == pytest.approx(share, abs=5 * sqrt(share * (1 - share) / n))
    assert set(sample) <= set(exact)


# --- a large space --------------------------------------------------------------------------------------------------


def sizes_after(mutation: Mutation, space: Space, n: int, times: int) -> np.ndarray:
    """Active modules a layer of n drawn paths, mutated so often, without selection: (n * L,) numbers."""
    rng = random.Random(0)
    found = []
    for _ in range(n):
        path = space.random_path(rng)
        for _ in range(times):
            path = mutation(path, space, rng)
        found += [len(layer) for layer in path.layers]
    return np.array(found)


def drift(mutation: Mutation) -> float:
    """Mean number of active modules less the drawn one (2), in standard errors; layers are independent."""
    sizes = sizes_after(mutation, Space(3, 10, 3), 1000, 30)
    return float((sizes.mean() - 2) / (sqrt(2 / 3) / sqrt(len(sizes))))  # the spread of one, two, three


def test_the_number_of_modules_does_not_drift():
    assert abs(drift(mutate)) < 4


def test_the_old_drift_is_seen():
    assert drift(drifting) > 10


def test_sizes_of_a_large_space_stay_uniform():
    counts = np.bincount(sizes_after(mutate, Space(3, 10, 3), 1000, 30), minlength=4)[1:]
    assert np.abs(counts - 1000).max() < 4 * sqrt(3000 * (1 / 3) * (2 / 3))
