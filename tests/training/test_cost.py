"""What training costs: by hand on small modules, one pass against its paths alone, and every evaluator's count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benches import bench
from evaluators import PATHS, SETTINGS, fresh, shared
from populations import converged, grid_of
from torch import nn

from pathsearch.grid import population
from pathsearch.grid.path import Path
from pathsearch.training.cost import Cost, Meter, epoch_images, multiply_adds
from pathsearch.training.sequential import SequentialWeights


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


# --- multiply-adds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.Linear(16, 3), (16,), 16 * 3),
        (nn.Conv2d(8, 4, 3, padding=1), (8, 5, 6), 8 * 4 * 9 * 5 * 6),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (8, 5, 6), 8 * 9 * 5 * 6),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 2), nn.GELU(), nn.Linear(2, 5)), (3, 2, 2), 12 * 2 + 2 * 5),
        (nn.Identity(), (7,), 0),
    ],
)
def test_multiply_adds_by_hand(module, shape, expected):
    assert multiply_adds(module, shape) == expected


def test_measuring_leaves_a_module_alone():
    module = nn.BatchNorm1d(4).train()
    multiply_adds(module, (4,))
    assert module.training
    assert int(module.num_batches_tracked) == 0


@pytest.mark.parametrize("kinds", ["mixed", "paper"])
def test_every_module_of_a_vocabulary_is_counted(kinds):
    grid = grid_of(kinds)
    meter = Meter(grid, "planted")
    for n, layer in enumerate(grid.specifications):
        for i, kind in enumerate(layer):
            learns = any(p.dim() > 1 for p in grid.module(n, i).parameters())
            assert (meter.modules[n][i] > 0) == learns, kind
    path = Path.parse("0+3|1|2+4")
    assert meter.path(path) == multiply_adds(grid.network(path, "planted"), grid.shapes[0])


def test_a_pass_counts_what_paths_share_once():
    grid = grid_of("mixed")
    meter = Meter(grid, "planted")
    path = Path.parse("0+3|1|2+4")
    assert meter.together(population.plan([path])) == meter.path(path)
    assert meter.together(population.plan([path] * 9)) == meter.path(path)
    first, second = Path.parse("0|1|2"), Path.parse("0|1|3")  # the same but for the last layer and the head
    both = meter.together(population.plan([first, second]))
    assert both == meter.path(first) + meter.modules[2][3] + meter.head
    several = converged(grid, 20, 0)
    assert meter.together(population.plan(several)) < sum(map(meter.path, several))


# --- evaluators -----------------------------------------------------------------------------------------------------


def test_shared_weights_count_an_image_once_and_for_every_path(make_grid, splits):
    one = shared(make_grid, splits)  # 4 warm-up and 6 steps of 32 images
    assert one.cost == Cost()
    one.train(PATHS, -1)
    forward = one.meter.together(population.plan(PATHS))
    assert one.cost == Cost(4 * 32, 4 * 32 * len(PATHS), 3 * 4 * 32 * forward)
    one.train([*PATHS, PATHS[0]], 1)
    assert one.cost.images == 10 * 32
    assert one.cost.path_images == 4 * 32 * 4 + 6 * 32 * 5, "a copy is one of the paths whose loss is the mean"
    before = one.cost
    one.score(PATHS)
    assert one.cost == before, "scoring is not training"


def test_sequential_weights_count_each_path_by_itself(make_grid, splits):
    one = SequentialWeights(bench(splits, SETTINGS), make_grid())
    one.train(PATHS, 1)
    n = 6 * 32 * len(PATHS)
    assert one.cost == Cost(n, n, 3 * 6 * 32 * sum(map(one.meter.path, PATHS)))


@pytest.mark.parametrize("folds", [1, 3])
def test_fresh_weights_count_what_they_train(make_grid, splits, folds):
    one = fresh(make_grid, splits, replace(SETTINGS, weights="fresh", folds=folds))
    one.train(PATHS, 1)
    forward = sum(map(one.meter.path, PATHS))
    once = Cost(6 * 32 * folds, 6 * 32 * folds * len(PATHS), 3 * 6 * 32 * folds * forward)
    assert one.cost == once
    one.train(PATHS[:2], 2)
    assert one.cost == once, "looked up"


def test_few_images_make_small_minibatches(make_grid, make_splits):
    few = make_splits(n_train=12, n_val=12)
    one = shared(make_grid, few)
    one.train(PATHS, 1)
    assert one.cost.images == 6 * 12, "not of the 32 that the settings ask for"


@pytest.mark.parametrize(("n", "size", "expected"), [(72, 32, 96), (64, 32, 64), (10, 32, 10), (33, 32, 64)])
def test_images_of_an_epoch(n, size, expected):
    assert epoch_images(n, size) == expected


def test_costs_add_up():
    assert Cost(1, 2, 3) + Cost(10, 20, 30) == Cost(11, 22, 33)
    assert Cost.alone(10, 7) == Cost(10, 10, 210)
