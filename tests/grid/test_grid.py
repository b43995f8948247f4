"""The grid: places and their weights, heads, paths as networks of their own, dropout masks."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from pathsearch.grid.grid import Grid, PathNetwork, count, dropout_masks
from pathsearch.grid.modules import normalise
from pathsearch.grid.path import Path
from pathsearch.run.settings import GridSettings

SHAPE = (8, 2, 2)


def weights(grid: Grid, layer: int, index: int) -> dict[str, Tensor]:
    return grid.module(layer, index).state_dict()


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def features(n: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


# --- initial weights ----------------------------------------------------------------------------------------


def test_weights_depend_on_seed_and_place_only(make_grid):
    small = make_grid(n_layers=2, n_modules=3)
    torch.manual_seed(5)
    random.seed(5)
    large = make_grid(n_layers=3, n_modules=6, max_active=3)
    for layer in range(2):
        for index in range(3):
            assert equal(weights(small, layer, index), weights(large, layer, index))
    other = make_grid(seed=1, n_modules=3)
    assert not equal(weights(small, 0, 1), weights(other, 0, 1))


def test_making_a_grid_leaves_the_global_generators_alone(make_grid):
    before, torch_before = random.getstate(), torch.get_rng_state()
    make_grid(n_modules=10)
    assert random.getstate() == before
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_equal_kinds_at_different_places_start_differently(make_grid):
    paper = make_grid(modules="paper")
    kinds = {kind for layer in paper.specifications for kind in layer}
    assert [len(set(layer)) for layer in paper.specifications] == [1, 1]
    assert kinds == {"conv3x3-16", "relu"}
    assert not equal(weights(paper, 0, 0), weights(paper, 0, 1))
    cycled = make_grid(n_modules=12)
    assert cycled.specifications[0][1] == cycled.specifications[0][11] == "conv3x3-16"
    assert not equal(weights(cycled, 0, 1), weights(cycled, 0, 11))


def test_a_head_depends_on_seed_task_and_classes_only(make_grid):
    one, other = make_grid(), make_grid()
    one.add_head("ecg", "linear", (3,))
    one.add_head("pneumonia", "linear", (2,))
    other.add_head("pneumonia", "linear", (2,))
    other.add_head("ecg", "linear", (3,))
    for task in ("ecg", "pneumonia"):
        assert equal(one.heads[task].state_dict(), other.heads[task].state_dict())
    assert not torch.equal(one.heads["ecg"][1].weight, one.heads["planted"][1].weight)  # type: ignore[index]


# --- sizes --------------------------------------------------------------------------------------------------


def test_space_is_that_of_the_settings(make_grid):
    space = make_grid(n_layers=3, n_modules=5, max_active=2).space
    assert (space.n_layers, space.n_modules, space.max_active) == (3, 5, 2)


def test_parameters_of_a_path_by_hand(make_grid):
    grid = make_grid()
    # First layer: pool-4, conv3x3-16, conv1x1-4, bottleneck-16; second: skip, gelu-64, linear-4, gated-64; D = 8.
    pool, conv1x1 = 8 * 4 + 4 * 8 + 8, 8 * 4 + 4 + 4 * 4 * 8 + 8
    linear4, head = 8 * 4 + 4 + 4 * 8 + 8, 8 * 3 + 3
    assert grid.count_parameters(Path.parse("0+2|0+2"), "planted") == pool + conv1x1 + 0 + linear4 + head
    assert grid.module_parameters()[0][0] == pool
    assert grid.module_parameters()[1][:3:2] == [0, linear4]
    full = grid.count_parameters(grid.space.full_path(), "planted")
    assert full == sum(map(sum, grid.module_parameters())) + head


def test_count_agrees_with_the_network(make_grid):
    grid = make_grid(n_modules=10, max_active=3)
    rng = random.Random(0)
    for path in [grid.space.random_path(rng) for _ in range(10)]:
        assert count(grid.network(path, "planted")) == grid.count_parameters(path, "planted")


# --- a path as a network ------------------------------------------------------------------------------------


def test_network_by_hand(make_grid):
    grid, x = make_grid(), features()
    network = grid.network(Path.parse("0+1|3"), "planted")
    first = normalise(grid.module(0, 0)(x) + grid.module(0, 1)(x))
    expected = grid.heads["planted"](normalise(grid.module(1, 3)(first)))
    torch.testing.assert_close(network(x), expected)


def test_network_with_masks_by_hand(make_grid):
    grid, x = make_grid(), features()
    masks = [torch.zeros(5, 8), torch.zeros(5, 8)]
    masks[0][:, 0] = 2.0
    masks[1][:, 5] = 3.0
    first = normalise(grid.module(0, 2)(x)) * masks[0]
    expected = grid.heads["planted"](normalise(grid.module(1, 1)(first)) * masks[1])
    torch.testing.assert_close(grid.network(Path.parse("2|1"), "planted")(x, masks), expected)


def test_network_is_a_copy(make_grid):
    grid, x = make_grid(), features()
    network = grid.network(Path.parse("0+1|3"), "planted")
    before = grid.network(Path.parse("0+1|3"), "planted")(x)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert torch.equal(grid.network(Path.parse("0+1|3"), "planted")(x), before)
    assert not torch.equal(network(x), before)


def test_adopt_puts_weights_back_into_their_places(make_grid):
    grid, x, path = make_grid(), features(), Path.parse("0+3|1")
    untouched = {place: {k: v.clone() for k, v in weights(grid, *place).items()} for place in [(0, 1), (1, 0), (1, 2)]}
    network = grid.network(path, "planted")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5).add_(0.1)
    grid.adopt(network, path, "planted")
    assert torch.equal(grid.network(path, "planted")(x), network(x))
    assert all(equal(weights(grid, *place), before) for place, before in untouched.items())


def test_freeze_fixes_the_modules_of_a_path_and_no_others(make_grid):
    grid = make_grid()
    grid.freeze(Path.parse("0+3|1"))
    fixed = {(0, 0), (0, 3), (1, 1)}
    for layer in range(2):
        for index in range(4):
            for parameter in grid.module(layer, index).parameters():
                assert parameter.requires_grad == ((layer, index) not in fixed)
    network = grid.network(Path.parse("0+1|1"), "planted")
    assert [p.requires_grad for p in network.modules_of(0)[0].parameters()] == [False] * 3
    assert all(p.requires_grad for p in network.modules_of(0)[1].parameters())


def test_network_without_layers_is_its_head():
    head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32, 2))
    x = features()
    assert torch.equal(PathNetwork([], head)(x, []), head(x))


def test_paper_grid_flattens_its_map(make_grid):
    grid = make_grid(modules="paper", n_layers=3)
    assert grid.shapes == [SHAPE, (16, 2, 2), (8,), (8,)]
    assert grid.network(Path.parse("0+1|2|3"), "planted")(features()).shape == (5, 3)


def test_grid_on_larger_maps_takes_any_shape():
    grid = Grid((5, 3, 4), GridSettings(n_modules=10, width=6), 0)
    grid.add_head("t", "linear", (2,))
    assert grid.network(grid.space.full_path(), "t")(torch.zeros(2, 5, 3, 4)).shape == (2, 2)


# --- dropout ------------------------------------------------------------------------------------------------


def test_no_masks_without_dropout():
    assert dropout_masks([(8,)], 4, 0.0, torch.Generator()) is None


def test_masks_drop_a_share_and_keep_the_mean():
    masks = dropout_masks([(16, 2, 2), (40,)], 500, 0.2, torch.Generator().manual_seed(0))
    assert masks is not None
    assert [mask.shape for mask in masks] == [(500, 16, 2, 2), (500, 40)]
    for mask in masks:
        assert sorted(mask.unique().tolist()) == pytest.approx([0, 1 / 0.8])
        assert (mask == 0).float().mean().item() == pytest.approx(0.2, abs=0.015)  # 5 standard deviations
        assert mask.mean().item() == pytest.approx(1, abs=0.02)


def test_masks_of_several_rates_are_those_of_each_rate():
    shapes, rates = [(16, 2, 2), (40,)], [0.75, 0.0, 0.25]
    several = dropout_masks(shapes, 50, torch.tensor(rates), torch.Generator().manual_seed(0))
    assert several is not None
    for p, rate in enumerate(rates):
        alone = dropout_masks(shapes, 50, rate, torch.Generator().manual_seed(0))
        for mask, own in zip(several, alone or [torch.ones(50, *shape) for shape in shapes], strict=True):
            assert torch.equal(mask[p], own)
    assert dropout_masks(shapes, 50, torch.zeros(3), torch.Generator()) is None


def test_masks_come_from_the_generator():
    def draw(seed: int) -> Tensor:
        masks = dropout_masks([(50,)], 20, 0.5, torch.Generator().manual_seed(seed))
        assert masks is not None
        return masks[0]

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
