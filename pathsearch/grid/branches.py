"""The paths of several tasks as one: genes of the layers that all share, then those of each task's own branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from torch import nn

from pathsearch.grid.blueprint import Blueprint
from pathsearch.grid.grid import Grid, PathNetwork, count, ladder
from pathsearch.grid.path import Path, Space


@dataclass(frozen=True)
class Branches:
    """Several tasks' grids, of one blueprint and at one seed, as one space that a search knows how to breed in.

    Where a module has the same layer and place in two grids it is one and the same object in both, see `tie`.

    Attributes:
        grids: of each task; each is as much of the blueprint as leads to the task's head.
        tasks: their names.
        shared: in how many first layers there is one path for all; 0: in all layers that lead to every head.
    """

    grids: Sequence[Grid]
    tasks: Sequence[str]
    shared: int = 0

    @cached_property
    def names(self) -> list[list[str]]:
        """Of each grid's layers."""
        return [[layer.name for layer in grid.blueprint.layers] for grid in self.grids]

    @cached_property
    def common(self) -> list[str]:
        """Names of the layers in which there is one path for all, first to last."""
        found = common_names([grid.blueprint for grid in self.grids])
        return found[: self.shared or len(found)]

    @cached_property
    def _layers(self) -> list[tuple[int, int]]:
        """For each layer of a path of the space, a task that has it and its number there."""
        found = [(0, self.names[0].index(name)) for name in self.common]
        return found + [
            (task, number)
            for task, own in enumerate(self.names)
            for number, name in enumerate(own)
            if name not in self.common
        ]

    @property
    def space(self) -> Space:
        """All paths."""
        return replace(self.grids[0].space, n_layers=len(self._layers), tasks=len(self.grids))

    def of(self, path: Path, task: int) -> Path:
        """One task's part of a path; its recipe is that of all."""
        own = dict(zip(self._layers, path.layers, strict=True))
        common = dict(zip(self.common, path.layers, strict=False))
        layers = [common.get(name) or own[task, number] for number, name in enumerate(self.names[task])]
        return Path(tuple(layers), path.recipe)

    def size_of(self, path: Path) -> int:
        """Number of parameters of all its networks, heads included; of what they share, once."""
        found: dict[tuple[str, int], nn.Module] = {}
        for task, grid in enumerate(self.grids):
            for number, active in enumerate(self.of(path, task).layers):
                found |= {(self.names[task][number], i): grid.module(number, i) for i in active}
        heads = sum(count(grid.heads[name]) for grid, name in zip(self.grids, self.tasks, strict=True))
        return heads + sum(map(count, found.values()))

    def networks(self, paths: Sequence[Path]) -> list[PathNetwork]:
        """Each task's, of copies of the grids' weights; a module of two of them is one and the same object in both.

        `paths` are the tasks' own, one each, see `of`.
        """
        seen: dict[tuple[str, int], nn.Module] = {}
        found = []
        for grid, task, names, path in zip(self.grids, self.tasks, self.names, paths, strict=True):
            network = grid.network(path, task)
            for number, name in enumerate(names):
                modules = network.modules_of(number)
                for position, index in enumerate(path.layers[number]):
                    modules[position] = seen.setdefault((name, index), modules[position])
            found.append(network)
        return found

    def rungs(self, number: int) -> list[Path]:
        """As `Grid.rungs`, over all layers."""
        sizes = [grid.module_parameters() for grid in self.grids]
        return ladder([sizes[task][layer] for task, layer in self._layers], number)


def common_names(blueprints: Sequence[Blueprint]) -> list[str]:
    """Names of the layers that several blueprints have, in the order of the first."""
    first, *others = [[layer.name for layer in one.layers] for one in blueprints]
    return [name for name in first if all(name in own for own in others)]


def tie(grids: Sequence[Grid]) -> None:
    """Let modules at the same layer and place of several grids be one and the same object: those of the first grid."""
    known: dict[tuple[str, int], nn.Module] = {}
    for grid in grids:
        for number, layer in enumerate(grid.blueprint.layers):
            for index in range(len(layer.modules)):
                there = cast(nn.ModuleList, grid.layers[number])
                there[index] = known.setdefault((layer.name, index), there[index])
