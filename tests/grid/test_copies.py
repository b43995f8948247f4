"""Copies of paths in one pass: each is the network that it would be alone, outputs and gradients."""

from __future__ import annotations

import copy
import random

import pytest
import torch
import torch.nn.functional as F

from pathsearch.grid.copies import Copies, Stack
from pathsearch.grid.grid import Grid, dropout_masks
from pathsearch.grid.path import Path
from pathsearch.run.settings import GridSettings
from pathsearch.training.optimisers import CopiesAdamW, adamw

SHAPE, BATCH, CLASSES = (8, 3, 3), 5, 3


def grid_of(vocabulary: str) -> Grid:
    grid = Grid(SHAPE, GridSettings(modules=vocabulary, width=8), seed=0)
    grid.add_head("planted", "linear", (CLASSES,))
    return grid.double()


@pytest.mark.parametrize("vocabulary", ["mixed", "paper"])
def test_copies_are_the_networks_alone(vocabulary):
    grid = grid_of(vocabulary)
    rng = random.Random(0)
    paths = [grid.space.random_path(rng) for _ in range(12)]
    paths += [paths[0], grid.space.full_path()]  # a duplicate has weights of its own
    x = torch.randn(BATCH, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(BATCH) % CLASSES
    masks = [m.double() for m in dropout_masks(grid.shapes[1:], BATCH, 0.3, torch.Generator().manual_seed(1))]

    copies = Copies(grid, "planted", paths)
    logits = copies(x, masks)
    F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(paths)), reduction="sum").backward()

    for p, path in enumerate(paths):
        alone = grid.network(path, "planted")
        own = alone(x, masks)
        torch.testing.assert_close(logits[p], own, rtol=1e-9, atol=1e-9)
        F.cross_entropy(own, labels, reduction="sum").backward()
        for number, layer in enumerate(path.layers):
            for index, module in zip(layer, alone.modules_of(number), strict=True):
                stack = stack_of(copies, grid, number, index)
                row = stack.owners.tolist().index(p)
                for place, parameter in enumerate(module.parameters()):
                    stacked = stack.get_parameter(f"stacked{place}").grad[row]
                    torch.testing.assert_close(stacked, parameter.grad, rtol=1e-7, atol=1e-9)


def stack_of(copies: Copies, grid: Grid, layer: int, index: int) -> Stack:
    return next(s for s in copies.layers[layer] if s.__dict__["template"] is grid.module(layer, index))


def test_training_copies_leaves_the_grid_alone():
    grid = grid_of("mixed")
    before = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    copies = Copies(grid, "planted", [Path.parse("0+3|1|2"), Path.parse("0|0|0")])
    optimiser = torch.optim.AdamW(copies.parameters(), lr=0.1)
    x = torch.randn(BATCH, *SHAPE, dtype=torch.float64)
    for _ in range(3):
        optimiser.zero_grad()
        copies(x).square().sum().backward()
        optimiser.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in grid.state_dict().items())


def test_every_path_steps_at_its_own_rate_and_decay():
    """As AdamW takes each alone, also where the rate is 0 and the decay outweighs the gradient."""
    grid = grid_of("mixed")
    rng = random.Random(1)
    paths = [grid.space.random_path(rng) for _ in range(6)]
    paths += [paths[0], paths[0]]
    rates = torch.tensor([8e-3, 5e-4, 2e-3, 0.0, 2e-3, 1e-3, 8e-3, 5e-4], dtype=torch.float64)
    decays = torch.tensor([30.0, 0.1, 3.0, 1.0, 0.0, 10.0, 0.1, 30.0], dtype=torch.float64)
    stream = torch.Generator().manual_seed(0)
    batches = [torch.randn(BATCH, *SHAPE, dtype=torch.float64, generator=stream) for _ in range(5)]
    labels = torch.arange(BATCH) % CLASSES

    copies = Copies(grid, "planted", paths)
    optimiser = CopiesAdamW(copies, rates, decays)
    for x in batches:
        optimiser.zero_grad()
        sum(F.cross_entropy(own, labels) for own in copies(x)).backward()
        optimiser.step()

    for p, path in enumerate(paths):
        alone = copy.deepcopy(grid.network(path, "planted"))
        plain = adamw(alone.parameters(), rates[p].item(), decays[p].item())
        for x in batches:
            plain.zero_grad()
            F.cross_entropy(alone(x), labels).backward()
            plain.step()
        torch.testing.assert_close(copies(batches[0])[p], alone(batches[0]), rtol=1e-6, atol=1e-9)


def test_fixed_modules_stay_fixed():
    grid = grid_of("mixed")
    grid.freeze(Path.parse("3|1|2"))
    copies = Copies(grid, "planted", [Path.parse("0+3|1|2"), Path.parse("3|0|0")])
    stack = stack_of(copies, grid, 0, 3)
    assert not any(parameter.requires_grad for parameter in stack.parameters())
    assert not {id(parameter) for parameter, _ in copies.owned()} & set(map(id, stack.parameters()))
    assert all(parameter.requires_grad for parameter in stack_of(copies, grid, 0, 0).parameters())
