"""What every searched result is measured against: same features, same training, no search."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from pathsearch.grid.blueprint import FEATURES
from pathsearch.grid.grid import Grid, PathNetwork, probe
from pathsearch.grid.modules import Shape
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import followed
from pathsearch.run.settings import TrainingSettings
from pathsearch.run.streams import derive, python_stream, torch_stream
from pathsearch.training.bench import Bench
from pathsearch.training.fixed_layers import shortened
from pathsearch.training.last_training import Trained, refit, train

PROBE_RATE = 10  # times that of the settings, for a probe of few weights
PROBE_STEPS = 1_000  # at least, of the same


def network_of(bench: Bench, grid: Grid, path: Path) -> PathNetwork:
    """A path's network at the present weights of the grid; the probe's, of which the grid knows nothing, untrained."""
    if not path.is_probe:
        return grid.network(path, bench.task)
    places = bench.places or {FEATURES: bench.shape}
    return probe(bench.target, places, torch_stream(bench.seed, "probe")).to(bench.device)


def train_path(bench: Bench, grid: Grid, path: Path) -> Trained:
    """The last training of one path of a grid, from the grid's present weights; by its recipe if it has one."""
    network = network_of(bench, grid, path)
    with shortened(_of_path(bench, path), network) as (own, rest):
        trained = train(own, rest, _shapes(grid, path))
    return refit_path(bench, grid, path, replace(trained, network=network.eval()))


def refit_path(bench: Bench, grid: Grid, path: Path, trained: Trained) -> Trained:
    """What `train_path` adds to a path that was trained without a refit, if the settings ask for one."""
    if not bench.last.refit:
        return trained
    network = network_of(bench, grid, path)
    with shortened(_of_path(bench, path), network) as (own, rest):
        trained = refit(own, trained, rest, _shapes(grid, path))
    return replace(trained, network=network.eval())


def _shapes(grid: Grid, path: Path) -> list[Shape]:
    """Of the outputs of a path's layers."""
    return [] if path.is_probe else grid.shapes[1:]


def _of_path(bench: Bench, path: Path) -> Bench:
    name = ("probe",) if path.is_probe else ("path", path.bare)  # one draw whatever the recipe
    last = followed(bench.last, path.recipe)
    if path.is_probe and bench.target.reads_maps:
        last = _of_few_weights(last, len(bench.training))
    return bench.trained_by(last).at(derive(bench.seed, *name))


def _of_few_weights(last: TrainingSettings, n: int) -> TrainingSettings:
    """The training of a probe at every position, which has a weight a channel: at a network's rate it hardly moves."""
    steps = math.ceil(n / last.batch_size)
    times = max(1, math.ceil(PROBE_STEPS / (steps * last.epochs)))
    return replace(
        last,
        learning_rate=PROBE_RATE * last.learning_rate,
        epochs=times * last.epochs,
        patience=times * last.patience,
    )


def random_paths(grid: Grid, number: int, seed: int, recipes: bool = False) -> list[Path]:
    """The first of `draws`."""
    return list(islice(draws(grid, seed, recipes), number))


def draws(grid: Grid, seed: int, recipes: bool = False) -> Iterator[Path]:
    """Paths drawn as the search draws its first ones, with or without recipes, without an end."""
    rng, space = python_stream(seed, "random baseline"), replace(grid.space, recipes=recipes)
    while True:
        yield space.random_path(rng)
