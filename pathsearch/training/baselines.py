"""What every searched result is measured against: same features, same training, no search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from math import prod

from torch import nn

from pathsearch.grid import modules
from pathsearch.grid.grid import Grid, PathNetwork
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import followed
from pathsearch.run.streams import derive, python_stream, torch_stream
from pathsearch.training.bench import Bench
from pathsearch.training.last_training import Trained, refit, train


def linear_probe(bench: Bench) -> Trained:
    """One linear layer on the flattened features: the paper's "no path selection network"."""
    trained = train(bench.at(_probe_seed(bench)), probe_network(bench), [])
    return refit_probe(bench, trained)


def refit_probe(bench: Bench, trained: Trained) -> Trained:
    """What `linear_probe` adds to a probe that was trained without a refit, if the settings ask for one."""
    return refit(bench.at(_probe_seed(bench)), trained, probe_network(bench), []) if bench.last.refit else trained


def probe_network(bench: Bench) -> PathNetwork:
    """The untrained linear probe of the features."""
    head, out_shape = bench.target.head((prod(bench.shape),))
    layer = modules.build(head, (prod(bench.shape),), out_shape, torch_stream(bench.seed, "probe"))
    return PathNetwork([], nn.Sequential(nn.Flatten(), layer)).to(bench.device)


def train_path(bench: Bench, grid: Grid, path: Path) -> Trained:
    """The last training of one path of a grid, from the grid's present weights; by its recipe if it has one."""
    trained = train(_of_path(bench, path), grid.network(path, bench.task), grid.shapes[1:])
    return refit_path(bench, grid, path, trained)


def refit_path(bench: Bench, grid: Grid, path: Path, trained: Trained) -> Trained:
    """What `train_path` adds to a path that was trained without a refit, if the settings ask for one."""
    if not bench.last.refit:
        return trained
    return refit(_of_path(bench, path), trained, grid.network(path, bench.task), grid.shapes[1:])


def _of_path(bench: Bench, path: Path) -> Bench:
    own = derive(bench.seed, "path", path.bare)  # one draw whatever the recipe
    return bench.trained_by(followed(bench.last, path.recipe)).at(own)


def _probe_seed(bench: Bench) -> int:
    return derive(bench.seed, "probe")


def random_paths(grid: Grid, number: int, seed: int, recipes: bool = False) -> list[Path]:
    """The first of `draws`."""
    return list(islice(draws(grid, seed, recipes), number))


def draws(grid: Grid, seed: int, recipes: bool = False) -> Iterator[Path]:
    """Paths drawn as the search draws its first ones, with or without recipes, without an end."""
    rng, space = python_stream(seed, "random baseline"), replace(grid.space, recipes=recipes)
    while True:
        yield space.random_path(rng)
