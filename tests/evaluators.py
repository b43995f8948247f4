"""Both ways to train and score paths on the planted task, and what their tests compare."""

from __future__ import annotations

import torch
from benches import bench
from torch import Tensor

from pathsearch.grid.path import Path
from pathsearch.run.settings import SearchSettings
from pathsearch.training.fitness import SharedWeights
from pathsearch.training.fresh import FreshWeights

SETTINGS = SearchSettings(population=8, steps=6, warmup=4, batch_size=32, balance=True)
PATHS = [Path.parse(text) for text in ("0|1", "1+2|3", "0+3|1+2", "2|0")]


def shared(make_grid, splits, settings: SearchSettings = SETTINGS, seed: int = 0, **options) -> SharedWeights:
    return SharedWeights(bench(splits, settings, seed=seed), make_grid(**options))


def fresh(make_grid, splits, settings: SearchSettings = SETTINGS, seed: int = 0, **options) -> FreshWeights:
    return FreshWeights(bench(splits, settings, seed=seed), make_grid(**options))


def snapshot(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
