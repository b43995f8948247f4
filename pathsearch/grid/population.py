"""Many paths in one pass: in each layer, every distinct (input, module) pair runs once for the whole population.

Split as einops splits it: `plan` understands the request once a generation, `forward` carries it out for
every minibatch. Paths with the same modules in their first layers share those activations, so the cost
falls as a population converges. The outputs and gradients are those of a loop over the paths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from pathsearch.grid.blueprint import Blueprint, Links
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.grid.walk import walk


@dataclass(frozen=True)
class LayerPlan:
    """One layer's work: which module runs on which distinct inputs, and which outputs are summed."""

    calls: tuple[tuple[int, int], ...]  # (module, number of inputs it runs on), one call a module
    rows: tuple[Tensor | None, ...]  # of each thing it reads, the rows that make the distinct inputs; None: as they are
    inputs: Tensor | None  # row of the input of every (input, module) pair, in the order of the calls; None: only one
    terms: Tensor  # rows of the pairs' outputs that are summed, one sum after another
    starts: Tensor  # where each sum's terms begin

    def to(self, device: torch.device) -> LayerPlan:
        """The same with its index tensors on `device`."""
        inputs, *rows = [None if one is None else one.to(device) for one in (self.inputs, *self.rows)]
        return LayerPlan(self.calls, tuple(rows), inputs, self.terms.to(device), self.starts.to(device))


@dataclass(frozen=True)
class Plan:
    """The pass of one population: its layers' work, and which final sum belongs to which path."""

    layers: tuple[LayerPlan, ...]
    sums: Tensor  # (P,) row of the sums that the head reads for each path
    widest: int  # most (input, module) pairs in any layer, for the memory budget
    links: Links = ()  # of the blueprint that it is for

    def to(self, device: torch.device) -> Plan:
        """The same plan with its index tensors on `device`."""
        layers = tuple(layer.to(device) for layer in self.layers)
        return Plan(layers, self.sums.to(device), self.widest, self.links)


def plan(paths: Sequence[Path], blueprint: Blueprint | None = None) -> Plan:
    """Plan one pass over `paths` (P ≥ 1 of one grid; duplicates cost nothing).

    `blueprint` is their grid's; without it, the layers are a chain on one place.
    """
    n_layers = len(paths[0].layers)
    chain: Links = ((None,), *((number,) for number in range(n_layers - 1)))
    links, end = (chain, n_layers - 1) if blueprint is None else (blueprint.links, blueprint.end)
    layers: list[LayerPlan] = []
    row_of: list[list[int]] = []  # for each layer so far, the row of each path's sum
    widest = 1
    for number, reads in enumerate(links):
        # 1. distinct inputs: distinct rows of all layers that this one reads
        read = [link for link in reads if link is not None]
        inputs: dict[tuple[int, ...], int] = {}
        input_of = [inputs.setdefault(tuple(row_of[link][p] for link in read), len(inputs)) for p in range(len(paths))]
        # 2. distinct sums over them
        users: dict[int, dict[int, None]] = {}  # module -> the distinct inputs it runs on, in order
        sums: dict[tuple[int, tuple[int, ...]], int] = {}  # (input, active modules) -> row of the sum
        row_of.append([])
        for path, row in zip(paths, input_of, strict=True):
            active = path.layers[number]
            row_of[-1].append(sums.setdefault((row, active), len(sums)))
            for module in active:
                users.setdefault(module, {})[row] = None
        pairs = [(module, row) for module in sorted(users) for row in sorted(users[module])]
        output_row = {pair: place for place, pair in enumerate(pairs)}
        terms = [output_row[module, row] for row, active in sums for module in active]
        starts = list(accumulate((len(active) for _, active in sums), initial=0))[:-1]
        every = tuple(range(len(inputs)))  # of one layer alone, always: its distinct rows are the distinct inputs
        chosen: dict[int | None, tuple[int, ...]] = {None: every}
        chosen |= {link: tuple(one[place] for one in inputs) for place, link in enumerate(read)}
        rows = [chosen[link] for link in reads]
        layers.append(
            LayerPlan(
                tuple((module, len(users[module])) for module in sorted(users)),
                tuple(torch.tensor(own) if own != every else None for own in rows),
                torch.tensor([row for _, row in pairs]) if len(inputs) > 1 else None,
                torch.tensor(terms),
                torch.tensor(starts),
            )
        )
        widest = max(widest, len(pairs) + len(sums))
    return Plan(tuple(layers), torch.tensor(row_of[end]), widest, links)


def activations(whole: Plan, blueprint: Blueprint) -> int:
    """Numbers that one pass puts out for one image, in all layers: what a training must keep."""
    pairs = zip(whole.layers, blueprint.layers, strict=True)
    return sum(
        (sum(count for _, count in work.calls) + len(work.starts)) * prod(layer.out_shape) for work, layer in pairs
    )


def parts(paths: Sequence[Path], whole: Plan, blueprint: Blueprint, most: int) -> list[tuple[int, Plan]]:
    """The pass over `paths` in as few parts as keep within `most` activations for one image, or are single paths.

    Paths that begin alike are in one part, so that little is computed twice; copies of a path are, too.

    Args:
        paths: P of one grid.
        whole: the plan of all in one pass.
        blueprint: of their grid.
        most: activations.

    Returns:
        For each part, its number of paths and its plan.
    """
    if activations(whole, blueprint) <= most:
        return [(len(paths), whole)]
    times = Counter(paths)
    found, rest = [], [sorted(times, key=lambda path: path.layers)]
    while rest:
        part = rest.pop()
        own = plan([path for path in part for _ in range(times[path])], blueprint)
        if len(part) == 1 or activations(own, blueprint) <= most:
            found.append((len(own.sums), own))
        else:
            rest += [part[len(part) // 2 :], part[: len(part) // 2]]
    return found


def forward(grid: Grid, task: str, plan: Plan, x: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
    """Outputs of every path of the plan for one minibatch.

    Args:
        grid: where the modules are.
        task: whose head is used.
        plan: made by `plan` from P paths of this grid.
        x: standardised features (B, C, H, W), or what else the source has, as `Blueprint.cut` takes it.
        masks: from `dropout_masks`; the same ones for every path.

    Returns:
        (P, B, …), such as K logits.
    """
    if plan.links != grid.blueprint.links:
        raise ValueError("plan: expected one for this grid's blueprint, got one for another; give `plan` the blueprint")
    batch = x.shape[0]

    def sums(number: int, read: Tensor) -> Tensor:  # (distinct inputs * B, *in) -> (distinct sums * B, *out)
        layer = plan.layers[number]
        # 1. one gather for all modules: a gather of its own for each would cost a whole gradient buffer each
        counts = [count for _, count in layer.calls]
        if layer.inputs is None:
            feeds = [read] * len(counts)
        else:
            several = read.unflatten(0, (-1, batch)).index_select(0, layer.inputs).split(counts)
            feeds = [feed.flatten(0, 1) for feed in several]
        # 2. every module once, on all its inputs as one batch; twins on one input as one operation
        outputs = torch.cat(_outputs(grid, number, [module for module, _ in layer.calls], feeds))  # (pairs * B, *shape)
        # 3. the sums: a bag of outputs each, without a copy of any term
        shape = outputs.shape[1:]
        found = F.embedding_bag(layer.terms, outputs.view(-1, batch * shape.numel()), layer.starts, mode="sum")
        return found.view(-1, *shape)

    state = walk(grid.blueprint, x, sums, masks, [layer.rows for layer in plan.layers])
    return grid.heads[task](state).unflatten(0, (-1, batch)).index_select(0, plan.sums)


def _outputs(grid: Grid, number: int, called: Sequence[int], feeds: Sequence[Tensor]) -> list[Tensor]:
    """What each called module of a layer says to its inputs, (its inputs * B, *shape) each, in order."""
    if feeds[0] is not feeds[-1]:  # inputs of their own
        return [grid.module(number, i)(feed) for i, feed in zip(called, feeds, strict=True)]
    twins: dict[str, list[int]] = {}
    for module in called:
        twins.setdefault(grid.specifications[number][module], []).append(module)
    found: dict[int, Tensor] = {}
    for same in twins.values():
        modules = [grid.module(number, i) for i in same]
        found |= zip(same, together(modules, feeds[0]) if len(same) > 1 else [modules[0](feeds[0])], strict=True)
    return [found[module] for module in called]


def together(twins: Sequence[nn.Module], x: Tensor) -> Sequence[Tensor]:
    """Outputs of modules of one kind and shape for one input, as one operation on their stacked weights."""
    names = [name for name, _ in twins[0].named_parameters()]
    if not names:  # nothing tells them apart
        return [twins[0](x)] * len(twins)
    each = zip(*(module.parameters() for module in twins), strict=True)
    weights = dict(zip(names, map(torch.stack, each), strict=True))
    return vmap(lambda own: functional_call(twins[0], own, (x,)))(weights).unbind()
