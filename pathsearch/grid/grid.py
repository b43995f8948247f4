"""The grid: L layers of M modules as a blueprint says, and one head for each task."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from math import prod
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from pathsearch.grid import modules
from pathsearch.grid.blueprint import Blueprint
from pathsearch.grid.modules import Shape
from pathsearch.grid.path import Path, Space
from pathsearch.grid.vocabulary import blueprint_of
from pathsearch.grid.walk import resized, walked
from pathsearch.run.settings import GridSettings
from pathsearch.run.streams import torch_stream
from pathsearch.targets.target import Target


class Grid(nn.Module):
    """L layers of M modules over what a source has; a path chooses which of them are active.

    The outputs of a layer's active modules are summed and normalised; what the blueprint says heads read goes through
    the task's head. A module's initial weights depend on the seed and its own place only.

    Args:
        source: shape of each of its places by name, of the only one, or the blueprint itself.
        settings: of the grid.
        seed: of all initial weights.
        taps: channels of each of the encoder's taps.
    """

    def __init__(
        self,
        source: Shape | Mapping[str, Shape] | Blueprint,
        settings: GridSettings,
        seed: int,
        taps: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.settings = settings
        self.seed = seed
        self.blueprint = source if isinstance(source, Blueprint) else blueprint_of(source, settings, taps)
        self.shapes, self.specifications = self.blueprint.shapes, self.blueprint.specifications
        if len(widths := {len(kinds) for kinds in self.specifications}) > 1:
            raise PathsearchError(
                f"blueprint {settings.modules!r}: expected as many modules in every layer of a grid, got "
                f"{[len(kinds) for kinds in self.specifications]}; let the shorter ones start again"
            )
        self.n_modules = widths.pop()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                modules.build(kind, shape_in, shape_out, torch_stream(seed, "module", number, index))
                for index, kind in enumerate(kinds)
            )
            for number, (kinds, shape_in, shape_out) in enumerate(
                zip(self.specifications, self.blueprint.in_shapes, self.shapes[1:], strict=True)
            )
        )
        self.heads = Heads()

    @property
    def space(self) -> Space:
        """The paths of this grid."""
        return Space(len(self.layers), self.n_modules, min(self.settings.max_active, self.n_modules))

    def add_head(self, task: str, specification: str, out_shape: Shape) -> None:
        """Give `task` a fresh head that puts out `out_shape` for one image."""
        stream = torch_stream(self.seed, "head", task, *out_shape)
        self.heads[task] = modules.build(specification, self.head_shape, out_shape, stream)

    @property
    def head_shape(self) -> Shape:
        """Of what heads read."""
        return self.blueprint.head_shape

    def module(self, layer: int, index: int) -> nn.Module:
        """The module at a place of the grid."""
        return cast(nn.ModuleList, self.layers[layer])[index]

    def module_parameters(self) -> list[list[int]]:
        """Number of parameters of each module: L lists of M."""
        return [[count(self.module(n, i)) for i in range(len(kinds))] for n, kinds in enumerate(self.specifications)]

    def count_parameters(self, path: Path, task: str) -> int:
        """Number of parameters of a path with the task's head."""
        each = zip(range(len(self.layers)), path.layers, strict=True)
        on_path = sum(count(self.module(n, i)) for n, layer in each for i in layer)
        return on_path + count(self.heads[task])

    def rungs(self, number: int) -> list[Path]:
        """A ladder: paths of one module a layer, all at the same place by size, evenly spread, smallest first.

        At most `number`, and no more than a layer has modules.
        """
        return ladder(self.module_parameters(), number)

    def freeze(self, path: Path) -> None:
        """Fix the modules on a finished path: later paths may use them, never change them."""
        for number, layer in enumerate(path.layers):
            for index in layer:
                self.module(number, index).requires_grad_(False)

    def network(self, path: Path, task: str) -> PathNetwork:
        """A path as a network of its own: copies of its modules and of the task's head, weights included."""
        layers = [[self.module(n, i) for i in layer] for n, layer in enumerate(path.layers)]
        return PathNetwork(copy.deepcopy(layers), copy.deepcopy(self.heads[task]), self.blueprint.along(path))

    def adopt(self, network: PathNetwork, path: Path, task: str) -> None:
        """Put a trained path's weights back into their places on the grid."""
        for number, layer in enumerate(path.layers):
            for index, trained in zip(layer, network.modules_of(number), strict=True):
                self.module(number, index).load_state_dict(trained.state_dict())
        self.heads[task].load_state_dict(network.head.state_dict())


class PathNetwork(nn.Module):
    """The modules on one path and a head: what an expert is made of, and the oracle for the population pass.

    Args:
        layers: the active modules of each layer, in the order of the path.
        head: what answers.
        blueprint: what the layers are and read; None where there are none, as in a probe.
    """

    def __init__(
        self, layers: Sequence[Sequence[nn.Module]], head: nn.Module, blueprint: Blueprint | None = None
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleList(layer) for layer in layers)
        self.head = head
        self.blueprint = blueprint
        if len(layers) != (0 if blueprint is None else len(blueprint.layers)):
            raise ValueError(f"path network: expected the blueprint of its {len(layers)} layers, got {blueprint}")

    def modules_of(self, layer: int) -> nn.ModuleList:
        """The active modules of a layer, in the order of the path."""
        return cast(nn.ModuleList, self.layers[layer])

    def modules_called(self, name: str) -> Sequence[nn.Module]:
        """The active modules of the layer of that name; none where there is no such layer."""
        names = [layer.name for layer in self.blueprint.layers] if self.blueprint else []
        return list(self.modules_of(names.index(name))) if name in names else []

    def forward(
        self, x: Tensor, masks: Sequence[Tensor] | None = None, shared: dict[str, Tensor | None] | None = None
    ) -> Tensor:
        """What the head says, (B, …), to B images as `Blueprint.cut` takes them; `shared` as in `walked`."""
        if self.blueprint is None:
            return self.head(x)
        return self.head(self.states(x, masks, shared)[self.blueprint.head])

    def states(
        self, x: Tensor, masks: Sequence[Tensor] | None = None, shared: dict[str, Tensor | None] | None = None
    ) -> dict[str, Tensor]:
        """What heads read of B images, by the names of its layers; nothing where there are none."""
        if self.blueprint is None:
            return {}

        def sums(number: int, read: Tensor) -> Tensor:
            return torch.stack([module(read) for module in self.modules_of(number)]).sum(0)

        return walked(self.blueprint, x, sums, masks, shared=shared)


def ladder(sizes: Sequence[Sequence[int]], number: int) -> list[Path]:
    """The rungs of a grid whose modules have so many parameters, L lists of M; see `Grid.rungs`."""
    ranked = [sorted(range(len(own)), key=own.__getitem__) for own in sizes]
    places = np.linspace(0, len(ranked[0]) - 1, min(number, len(ranked[0]))).round().astype(int)
    return [Path.of([[layer[place]] for layer in ranked]) for place in dict.fromkeys(places.tolist())]


def common_layers(networks: Sequence[PathNetwork]) -> list[str]:
    """Names of the layers whose modules all of several networks have in common, and read from what they have in common.

    They put out the same for the same images; there are none where there is only one network.
    """
    first, *others = networks
    if not others or any(one.blueprint is None for one in networks):
        return []
    found: list[str] = []
    for number, layer in enumerate(cast(Blueprint, first.blueprint).layers):
        ids = [id(module) for module in first.modules_of(number)]
        source = [name for name in layer.reads if name not in found]
        if set(source) <= set(cast(Blueprint, first.blueprint).places) and all(
            ids == [id(module) for module in one.modules_called(layer.name)] for one in others
        ):
            found.append(layer.name)
    return found


def probe(target: Target, places: Mapping[str, Shape], generator: torch.Generator) -> PathNetwork:
    """The path without a layer: a head, linear for most targets, on all features at once.

    For a target that reads maps, one at every position of each place's map; what they put out is added up.

    Args:
        target: whose head it is.
        places: shape of each place of the source.
        generator: of its initial weights.
    """
    several = len(places) > 1 and target.reads_maps
    shapes = list(places.values()) if several or len(places) == 1 else [(sum(map(prod, places.values())),)]
    read = [target.probed(shape) for shape in shapes]
    heads = [modules.build(target.head(shape)[0], shape, target.head(shape)[1], generator) for shape in read]
    if several:
        return PathNetwork([], Everywhere(read, heads))
    return PathNetwork([], nn.Sequential(nn.Flatten(), *heads) if len(read[0]) == 1 else heads[0])


class Everywhere(nn.Module):
    """Heads on maps at their own sizes; the sum of what they put out, at the size of the largest."""

    def __init__(self, shapes: Sequence[Shape], heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.shapes, self.heads = shapes, nn.ModuleList(heads)

    def forward(self, x: Tensor) -> Tensor:
        """Answer to rows (B, n) of all maps."""
        parts = zip(x.split(list(map(prod, self.shapes)), 1), self.shapes, self.heads, strict=True)
        said = [head(part.unflatten(1, shape)) for part, shape, head in parts]
        largest = max((one.shape[2], one.shape[3]) for one in said)
        return torch.stack([resized(one, largest) for one in said]).sum(0)


class Heads(nn.ModuleDict):
    """Heads by task name, kept under `head_name`: torch refuses names with a dot or of a method, such as `train`."""

    def __getitem__(self, task: str) -> nn.Module:
        return super().__getitem__(head_name(task))

    def __setitem__(self, task: str, head: nn.Module) -> None:
        super().__setitem__(head_name(task), head)

    def __contains__(self, task: object) -> bool:
        return super().__contains__(head_name(str(task)))


def head_name(task: str) -> str:
    """The name of a task's head among the grid's tensors; distinct for distinct tasks."""
    return f"of {task.replace('.', '%')}"


def count(module: nn.Module) -> int:
    """Number of parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def dropout_masks(
    shapes: Sequence[Shape], batch: int, rate: float | Tensor, generator: torch.Generator
) -> list[Tensor] | None:
    """One inverted-dropout mask for each layer's output, (B, *shape); shared by all paths of a population.

    With several rates, (P,), the masks are (P, B, *shape), cut from the same draws: path by path those of its rate.
    Drawn from `generator` on the CPU whatever the device, so that a seed means the same everywhere.
    """
    keep = 1 - torch.as_tensor(rate)[..., None, None]  # (1, 1) or (P, 1, 1)
    if (keep == 1).all():
        return None
    drawn = (torch.rand(batch, prod(shape), generator=generator) for shape in shapes)
    masks = [(one < keep) / keep for one in drawn]
    return [mask.unflatten(-1, shape) for mask, shape in zip(masks, shapes, strict=True)]


def device_of(network: nn.Module) -> torch.device:
    """Where a network's parameters are."""
    return next(network.parameters()).device
