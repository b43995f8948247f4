"""Blueprints that are no chains, and grids of them, as the tests of the three forms of a network need them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import prod

import torch
from hypothesis import strategies as st
from torch import Tensor

from pathsearch.grid.blueprint import Blueprint, Layer
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.run.settings import GridSettings

Shape = tuple[int, ...]
BATCH, CLASSES = 4, 3
STAGES = {"fine": (3, 8, 8), "coarse": (5, 4, 4)}

# A U with skips over two stages of different size: two layers down, two up, of which the first reads the first layer
# down too, one that reads both stages, and a vector for the head.
U = Blueprint(
    STAGES,
    (
        Layer("down1", ("fine",), (6, 8, 8), ("conv3x3-6", "conv1x1-6", "osa-6")),
        Layer("down2", ("down1",), (8, 4, 4), ("conv3x3-8", "separable-8", "osa-8")),
        Layer("both", ("coarse", "fine"), (8, 4, 4), ("skip", "dilated-8", "conv1x1-8")),
        Layer("up1", ("down2", "down1"), (6, 8, 8), ("conv3x3-6", "dilated-6", "osa-6")),
        Layer("up2", ("up1",), (6, 8, 8), ("skip", "conv3x3-6", "bottleneck-3")),
        Layer("out", ("up2", "both"), (7,), ("pool", "conv1x1-2", "pool-2")),
    ),
)


def grid_of(blueprint: Blueprint, max_active: int = 2) -> Grid:
    """In double precision, with a head for the task `planted`."""
    grid = Grid(blueprint, GridSettings(max_active=max_active), seed=0)
    grid.add_head("planted", "linear", (CLASSES,))
    return grid.double()


def source(blueprint: Blueprint, n: int = BATCH, seed: int = 0) -> Tensor:
    """Something to read, as networks take it."""
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(n, *blueprint.shapes[0], generator=stream, dtype=torch.float64)


def paths_of(grid: Grid, n: int, seed: int = 0) -> list[Path]:
    rng = random.Random(seed)
    return [grid.space.random_path(rng) for _ in range(n)]


def loop(grid: Grid, paths: Sequence[Path], x: Tensor, masks: list[Tensor] | None) -> Tensor:
    """The oracle: one path after another, as the networks that they are, but on the grid's own weights."""
    outputs = []
    for path in paths:
        network = grid.network(path, "planted")
        for number, layer in enumerate(path.layers):
            for place, index in enumerate(layer):
                network.modules_of(number)[place] = grid.module(number, index)
        network.head = grid.heads["planted"]
        outputs.append(network(x, masks))
    return torch.stack(outputs)


def in_shape(read: Sequence[Shape], out_shape: Shape) -> Shape:
    """Of what a layer's modules see, by the rule in words: one size, joined; flat with a vector among it."""
    if any(len(shape) == 1 for shape in read):
        return (sum(map(prod, read)),)
    sized = out_shape if len(out_shape) == 3 else read[0]
    return (sum(shape[0] for shape in read), *sized[1:])


@st.composite
def shapes(draw: st.DrawFn, flat: bool = False) -> Shape:
    if flat or draw(st.integers(0, 3)) == 0:
        return (draw(st.integers(3, 6)),)
    return (draw(st.integers(2, 4)), draw(st.integers(1, 5)), draw(st.integers(2, 5)))


@st.composite
def blueprints(draw: st.DrawFn) -> Blueprint:
    """Any layers that may be: each reads anything before it, and the last what nothing else has read."""
    places = {f"place{number}": draw(shapes()) for number in range(draw(st.integers(1, 3)))}
    known, layers, unread = dict(places), [], []
    for number in range(n_layers := draw(st.integers(1, 5))):
        reads = draw(st.lists(st.sampled_from(list(known)), min_size=1, max_size=3, unique=True))
        if number == n_layers - 1:
            reads += [name for name in unread if name not in reads]
        read = [known[name] for name in reads]
        flat = any(len(shape) == 1 for shape in read)
        out = draw(shapes(flat))
        kinds = draw(st.permutations(_kinds(in_shape(read, out), out)))
        layers.append(Layer(f"layer{number}", tuple(reads), out, tuple(kinds[:3])))
        known[layers[-1].name] = out
        unread = [name for name in [*unread, layers[-1].name] if name not in reads]
    return Blueprint(places, tuple(layers))


def _kinds(seen: Shape, out: Shape) -> list[str]:
    """Module specifications, at least three, that make `out` of what they see."""
    same = ["skip", "scale"] if prod(seen) == prod(out) and len(out) == 1 else []
    if len(out) == 3:
        kinds = [f"{kind}-{out[0]}" for kind in ("conv3x3", "conv1x1", "dilated", "osa", "separable")]
        return [*kinds, "skip"] if seen == out else kinds
    flat = ["linear", "gelu-3", "relu", "gated-2", "linear-2", "normalised-3"]
    return [*same, *flat] if len(seen) == 1 else [*same, *flat, "pool", "conv3x3-2", "osa-2", "pool-2"]
