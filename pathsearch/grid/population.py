"""Many paths in one pass: in each layer, every distinct (input, module) pair runs once for the whole population.

Split as einops splits it: `plan` understands the request once a generation, `forward` carries it out for
every minibatch. Paths with the same modules in their first layers share those activations, so the cost
falls as a population converges. The outputs and gradients are those of a loop over the paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from pathsearch.grid.grid import Grid
from pathsearch.grid.modules import normalise
from pathsearch.grid.path import Path


@dataclass(frozen=True)
class LayerPlan:
    """One layer's work: which module runs on which distinct inputs, and which outputs are summed."""

    calls: tuple[tuple[int, int], ...]  # (module, number of inputs it runs on), one call a module
    inputs: Tensor | None  # row of the input of every (input, module) pair, in the order of the calls; None: only one
    terms: Tensor  # rows of the pairs' outputs that are summed, one sum after another
    starts: Tensor  # where each sum's terms begin

    def to(self, device: torch.device) -> LayerPlan:
        """The same with its index tensors on `device`."""
        inputs = None if self.inputs is None else self.inputs.to(device)
        return LayerPlan(self.calls, inputs, self.terms.to(device), self.starts.to(device))


@dataclass(frozen=True)
class Plan:
    """The pass of one population: its layers' work, and which final sum belongs to which path."""

    layers: tuple[LayerPlan, ...]
    sums: Tensor  # (P,) row of the last layer's sums for each path
    widest: int  # most (input, module) pairs in any layer, for the memory budget

    def to(self, device: torch.device) -> Plan:
        """The same plan with its index tensors on `device`."""
        layers = tuple(layer.to(device) for layer in self.layers)
        return Plan(layers, self.sums.to(device), self.widest)


def plan(paths: Sequence[Path]) -> Plan:
    """Plan one pass over `paths` (P ≥ 1 of one grid; duplicates cost nothing)."""
    layers = []
    prefix_of = [0] * len(paths)  # the distinct input that each path feeds into the next layer
    n_inputs, widest = 1, 1
    for number in range(len(paths[0].layers)):
        users: dict[int, dict[int, None]] = {}  # module -> the distinct inputs it runs on, in order
        sums: dict[tuple[int, tuple[int, ...]], int] = {}  # (input, active modules) -> row of the sum
        next_prefix = []
        for path, row in zip(paths, prefix_of, strict=True):
            active = path.layers[number]
            next_prefix.append(sums.setdefault((row, active), len(sums)))
            for module in active:
                users.setdefault(module, {})[row] = None
        pairs = [(module, row) for module in sorted(users) for row in sorted(users[module])]
        output_row = {pair: place for place, pair in enumerate(pairs)}
        terms = [output_row[module, row] for row, active in sums for module in active]
        starts = list(accumulate((len(active) for _, active in sums), initial=0))[:-1]
        layers.append(
            LayerPlan(
                tuple((module, len(users[module])) for module in sorted(users)),
                torch.tensor([row for _, row in pairs]) if n_inputs > 1 else None,
                torch.tensor(terms),
                torch.tensor(starts),
            )
        )
        prefix_of, n_inputs = next_prefix, len(sums)
        widest = max(widest, len(pairs) + len(sums))
    return Plan(tuple(layers), torch.tensor(prefix_of), widest)


def forward(grid: Grid, task: str, plan: Plan, x: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
    """Logits of every path of the plan for one minibatch.

    Args:
        grid: where the modules are.
        task: whose head is used.
        plan: made by `plan` from P paths of this grid.
        x: (B, C, H, W) standardised features.
        masks: from `dropout_masks`; the same ones for every path.

    Returns:
        (P, B, K) logits.
    """
    batch = x.shape[0]
    state = x[None]  # (distinct inputs, B, *shape)
    for number, layer in enumerate(plan.layers):
        # 1. one gather for all modules: a gather of its own for each would cost a whole gradient buffer each
        counts = [count for _, count in layer.calls]
        feeds = [state] * len(counts) if layer.inputs is None else state.index_select(0, layer.inputs).split(counts)
        # 2. every module once, on all its inputs as one batch; twins on one input as one operation
        outputs = torch.cat(_outputs(grid, number, [module for module, _ in layer.calls], feeds))  # (pairs * B, *shape)
        # 3. the sums: a bag of outputs each, without a copy of any term
        shape = outputs.shape[1:]
        sums = F.embedding_bag(layer.terms, outputs.view(-1, batch * shape.numel()), layer.starts, mode="sum")
        state = normalise(sums.view(-1, *shape)).unflatten(0, (-1, batch))
        if masks is not None:
            state = state * masks[number]
    logits = grid.heads[task](state.flatten(0, 1)).unflatten(0, (-1, batch))
    return logits.index_select(0, plan.sums)


def _outputs(grid: Grid, number: int, called: Sequence[int], feeds: Sequence[Tensor]) -> list[Tensor]:
    """What each called module of a layer says to its inputs, (its inputs * B, *shape) each, in order."""
    if feeds[0] is not feeds[-1]:  # inputs of their own
        return [grid.module(number, i)(feed.flatten(0, 1)) for i, feed in zip(called, feeds, strict=True)]
    x = feeds[0].flatten(0, 1)
    twins: dict[str, list[int]] = {}
    for module in called:
        twins.setdefault(grid.specifications[number][module], []).append(module)
    found: dict[int, Tensor] = {}
    for same in twins.values():
        modules = [grid.module(number, i) for i in same]
        found |= zip(same, together(modules, x) if len(same) > 1 else [modules[0](x)], strict=True)
    return [found[module] for module in called]


def together(twins: Sequence[nn.Module], x: Tensor) -> Sequence[Tensor]:
    """Outputs of modules of one kind and shape for one input, as one operation on their stacked weights."""
    names = [name for name, _ in twins[0].named_parameters()]
    if not names:  # nothing tells them apart
        return [twins[0](x)] * len(twins)
    each = zip(*(module.parameters() for module in twins), strict=True)
    weights = dict(zip(names, map(torch.stack, each), strict=True))
    return vmap(lambda own: functional_call(twins[0], own, (x,)))(weights).unbind()
