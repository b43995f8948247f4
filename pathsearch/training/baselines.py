"""What every searched result is measured against: same features, same training, no search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from math import prod

from torch import nn

from pathsearch.encoders.features import Split
from pathsearch.grid import modules
from pathsearch.grid.grid import Grid, PathNetwork, device_of
from pathsearch.grid.modules import Shape
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import followed
from pathsearch.run.settings import TrainingSettings
from pathsearch.run.streams import derive, python_stream, torch_stream
from pathsearch.training.last_training import Trained, refit, train


def linear_probe(
    grid: Grid, n_classes: int, training: Split, validation: Split, settings: TrainingSettings, seed: int
) -> Trained:
    """One linear layer on the flattened features: the paper's "no path selection network"."""
    return _train(
        lambda: probe_network(grid, n_classes, seed), [], training, validation, settings, derive(seed, "probe")
    )


def probe_network(grid: Grid, n_classes: int, seed: int) -> PathNetwork:
    """The untrained linear probe of a grid's features."""
    layer = modules.build("linear", (prod(grid.shapes[0]),), (n_classes,), torch_stream(seed, "probe"))
    return PathNetwork([], nn.Sequential(nn.Flatten(), layer)).to(device_of(grid))


def train_path(
    grid: Grid, task: str, path: Path, training: Split, validation: Split, settings: TrainingSettings, seed: int
) -> Trained:
    """The last training of one path of a grid, from the grid's present weights; by its recipe if it has one."""
    last, own = followed(settings, path.recipe), derive(seed, "path", path.bare)  # one draw whatever the recipe
    return _train(lambda: grid.network(path, task), grid.shapes[1:], training, validation, last, own)


def refit_path(
    trained: Trained,
    grid: Grid,
    task: str,
    path: Path,
    training: Split,
    validation: Split,
    settings: TrainingSettings,
    seed: int,
) -> Trained:
    """What `train_path` would have added to a path trained without a refit, if the settings ask for one."""
    if not settings.refit:
        return trained
    last, own = followed(settings, path.recipe), derive(seed, "path", path.bare)
    return refit(trained, grid.network(path, task), grid.shapes[1:], training, validation, last, own)


def _train(
    fresh: Callable[[], PathNetwork],
    shapes: list[Shape],
    training: Split,
    validation: Split,
    settings: TrainingSettings,
    seed: int,
) -> Trained:
    trained = train(fresh(), shapes, training, validation, settings, seed)
    return refit(trained, fresh(), shapes, training, validation, settings, seed) if settings.refit else trained


def random_paths(grid: Grid, number: int, seed: int, recipes: bool = False) -> list[Path]:
    """The first of `draws`."""
    return list(islice(draws(grid, seed, recipes), number))


def draws(grid: Grid, seed: int, recipes: bool = False) -> Iterator[Path]:
    """Paths drawn as the search draws its first ones, with or without recipes, without an end."""
    rng, space = python_stream(seed, "random baseline"), replace(grid.space, recipes=recipes)
    while True:
        yield space.random_path(rng)
