"""Populations of paths on small grids, as the tests of the population pass need them."""

from __future__ import annotations

import functools
import random

import torch
from hypothesis import strategies as st
from torch import Tensor

from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path, mutate
from pathsearch.run.settings import GridSettings

SHAPE, BATCH, CLASSES = (8, 2, 2), 5, 3
VOCABULARIES = ["mixed", "paper"]


@functools.cache
def grid_of(vocabulary: str, n_layers: int = 3) -> Grid:
    """In double precision, where "the same" can mean nine digits."""
    grid = Grid(SHAPE, GridSettings(n_layers, n_modules=10, max_active=3, modules=vocabulary, width=8), seed=0)
    grid.add_head("planted", "linear", (CLASSES,))
    return grid.double()


def features(seed: int = 0) -> Tensor:
    return torch.randn(BATCH, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def converged(grid: Grid, n: int, seed: int) -> list[Path]:
    """What a population looks like late: few changes away from one path, many copies."""
    rng = random.Random(seed)
    first = grid.space.random_path(rng)
    return [mutate(first, grid.space, rng) if rng.random() < 0.5 else first for _ in range(n)]


@st.composite
def populations(draw: st.DrawFn) -> tuple[Grid, list[Path]]:
    grid = grid_of(draw(st.sampled_from(VOCABULARIES)), draw(st.integers(1, 3)))
    seed, n = draw(st.integers(0, 2**16)), draw(st.integers(1, 8))
    rng = random.Random(seed)
    kind = draw(st.sampled_from(["random", "converged", "copies"]))
    if kind == "converged":
        return grid, converged(grid, n, seed)
    if kind == "copies":
        return grid, [grid.space.random_path(rng)] * n
    return grid, [grid.space.random_path(rng) for _ in range(n)]
