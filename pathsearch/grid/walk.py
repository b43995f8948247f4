"""The one walk through a blueprint's layers, whoever walks: a single path, a population in one pass, or copies.

What they differ in is how the outputs of a layer's active modules are summed, and how many rows a layer has: (R · B, …)
for R different inputs or sums of B images each; a single path has one row everywhere, copies one a path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pathsearch.grid.blueprint import Blueprint
from pathsearch.grid.modules import normalise

Sums = Callable[[int, Tensor], Tensor]  # number of a layer and its input, (rows * B, *in), to sums (rows * B, *out)
Rows = Sequence[Sequence[Tensor | None]]  # for each layer and thing it reads, which rows of that; None: as they are


def walk(
    blueprint: Blueprint, x: Tensor, sums: Sums, masks: Sequence[Tensor] | None = None, rows: Rows | None = None
) -> Tensor:
    """What the head reads; see `walked`."""
    return walked(blueprint, x, sums, masks, rows)[blueprint.head]


def walked(
    blueprint: Blueprint,
    x: Tensor,
    sums: Sums,
    masks: Sequence[Tensor] | None = None,
    rows: Rows | None = None,
    shared: dict[str, Tensor | None] | None = None,
) -> dict[str, Tensor]:
    """What heads read, by the names of its layers.

    Args:
        blueprint: the layers.
        x: for B images, as `Blueprint.cut` takes them.
        sums: of the outputs of a layer's active modules, not yet normalised.
        masks: from `dropout_masks`, (B, *shape) or (R, B, *shape) for each layer.
        rows: how those of several things that a layer reads meet; without them, row by row, and one row meets all.
        shared: outputs of layers that another network has in common with this one, for the same images, by name; None
            of one that nobody has computed yet, which is then put there.
    """
    batch = x.shape[0]
    known = blueprint.cut(x)
    for number, layer in enumerate(blueprint.layers):
        if shared and (there := shared.get(layer.name)) is not None:
            known[layer.name] = there
            continue
        # 1. what the layer reads, as one tensor, and the sum over its modules
        read = [known[name] for name in layer.reads]
        state = normalise(sums(number, joined(read, blueprint.sides[number], batch, rows[number] if rows else None)))
        # 2. dropout, the same for all rows or each its own
        if masks is not None:
            state = (state.unflatten(0, (-1, batch)) * masks[number]).flatten(0, 1)
        known[layer.name] = state
        if shared and layer.name in shared:
            shared[layer.name] = state
        # 3. let go what nothing reads any more
        for name in blueprint.spent[number]:
            del known[name]
    return known


def joined(
    read: Sequence[Tensor], side: tuple[int, int] | None, batch: int, rows: Sequence[Tensor | None] | None = None
) -> Tensor:
    """Maps at one size, or everything flattened if `side` is None, joined along the channels."""
    if len(read) == 1:
        return read[0] if side is None else resized(read[0], side)
    parts = [one.flatten(1) if side is None else resized(one, side) for one in read]
    return torch.cat(_met(parts, batch, rows), 1)


def _met(parts: list[Tensor], batch: int, rows: Sequence[Tensor | None] | None) -> list[Tensor]:
    """Parts (R · B, …) of different R, with as many rows each."""
    if rows is None and all(part.shape[0] == parts[0].shape[0] for part in parts):
        return parts
    stacked = [part.unflatten(0, (-1, batch)) for part in parts]
    if rows is not None:
        stacked = [p if row is None else p.index_select(0, row) for p, row in zip(stacked, rows, strict=True)]
    most = max(len(part) for part in stacked)
    return [part.expand(most, *part.shape[1:]).flatten(0, 1) for part in stacked]


def resized(maps: Tensor, side: tuple[int, int]) -> Tensor:
    """Maps (N, C, H, W) at another height and width: averaged where they are larger, repeated where smaller."""
    found = (maps.shape[2], maps.shape[3])
    if found == side:
        return maps
    small = min(found[0], side[0]), min(found[1], side[1])
    if small != found:
        steps = found[0] // small[0], found[1] // small[1]
        whole = (steps[0] * small[0], steps[1] * small[1]) == found
        # the same mean; its gradient is summed in one order on every device
        maps = F.avg_pool2d(maps, steps) if whole else F.adaptive_avg_pool2d(maps, small)
    return maps if small == side else F.interpolate(maps, side, mode="nearest")
