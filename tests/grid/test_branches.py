"""The paths of several tasks as one space."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from pathsearch.grid.blueprint import Blueprint, Layer
from pathsearch.grid.branches import Branches, tie
from pathsearch.grid.grid import Grid, common_layers, count
from pathsearch.grid.path import Path, crossover, mutate
from pathsearch.run.settings import GridSettings

SETTINGS = GridSettings(n_layers=2, n_modules=3, max_active=2, width=4)
KINDS = ("double", "strided", "double")
BLUEPRINT = Blueprint(
    {"image": (3, 8, 8)},
    (
        Layer("fine", ("image",), (4, 8, 8), KINDS),
        Layer("coarse", ("fine",), (4, 4, 4), KINDS),
        Layer("pooled", ("coarse",), (4,), ("pool", "pool", "pool")),
        Layer("up", ("coarse", "fine"), (4, 8, 8), KINDS),
    ),
    heads={"class": "pooled"},
)
HEADS = (("mask", "linear", (2,)), ("class", "linear", (3,)), ("image", "linear", (5,)))


def grids(*kinds: str) -> list[Grid]:
    found = []
    for kind in kinds:
        grid = Grid(BLUEPRINT.ending(kind), SETTINGS, 0)
        grid.add_head(kind, *next(rest for name, *rest in HEADS if name == kind))
        found.append(grid)
    tie(found)
    return found


def branches(*kinds: str, shared: int = 0) -> Branches:
    return Branches(grids(*kinds), kinds, shared)


def test_what_leads_to_every_head_is_shared_and_the_rest_is_each_ones_own():
    both = branches("mask", "class")
    assert both.common == ["fine", "coarse"]
    assert both.space.n_layers == 4
    path = Path(((0,), (1, 2), (2,), (0, 1)))
    assert both.of(path, 0) == Path(((0,), (1, 2), (2,)))  # fine, coarse, up
    assert both.of(path, 1) == Path(((0,), (1, 2), (0, 1)))  # fine, coarse, pooled


def test_two_of_the_same_layers_share_all_of_them_or_as_many_as_asked():
    assert branches("mask", "image").space.n_layers == 3
    own = branches("mask", "image", shared=1)
    assert own.common == ["fine"]
    path = Path(((0,), (1,), (2,), (0,), (1,)))
    assert [own.of(path, task) for task in (0, 1)] == [Path(((0,), (1,), (2,))), Path(((0,), (0,), (1,)))]
    assert branches("mask", "image", shared=9).common == ["fine", "coarse", "up"]


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_all_that_is_bred_are_paths_of_every_grid(shared):
    both, rng = branches("mask", "class", "image", shared=shared), random.Random(0)
    space = replace(both.space, recipes=True)
    for _ in range(200):
        one, other = crossover(space.random_path(rng), space.random_path(rng), rng)
        for path in (one, mutate(other, space, rng)):
            space.check(path)
            assert path.recipe is not None
            assert path.recipe.tasks == 3
            for task, grid in enumerate(both.grids):
                grid.space.check(both.of(path, task).bare)


def test_sizes_count_what_networks_share_once():
    both, rng = branches("mask", "class", "image", shared=2), random.Random(1)
    for _ in range(20):
        path = both.space.random_path(rng)
        networks = both.networks([both.of(path, task) for task in range(3)])
        assert both.size_of(path) == count(torch.nn.ModuleList(networks))
        assert common_layers(networks) == ["fine", "coarse"]


def test_networks_have_modules_in_common_and_none_with_the_grid():
    both = branches("mask", "class")
    path = both.space.full_path()
    mask, kinds = both.networks([both.of(path, task) for task in (0, 1)])
    assert mask.modules_called("fine")[0] is kinds.modules_called("fine")[0]
    with torch.no_grad():
        for parameter in mask.parameters():
            parameter.zero_()
    assert all(
        parameter.abs().sum() > 0 for parameter in both.grids[0].module(0, 0).parameters() if parameter.dim() > 1
    )


def test_tied_grids_have_the_same_objects_wherever_layers_are_called_alike():
    mask, kinds = grids("mask", "class")
    assert all(mask.module(n, i) is kinds.module(n, i) for n in (0, 1) for i in range(3))
    assert mask.module(2, 0) is not kinds.module(2, 0)


def test_the_ladder_climbs_in_all_layers_at_once():
    both = branches("mask", "class")
    small, *_, large = both.rungs(3)
    assert both.size_of(small) < both.size_of(large)
    assert {len(layer) for layer in small.layers} == {1}
