"""Many paths in one pass: in each layer, every distinct (input, module) pair runs once for the whole population.

Split as einops splits it: `plan` understands the request once a generation, `forward` carries it out for
every minibatch. Paths with the same modules in their first layers share those activations, so the cost
falls as a population converges. The outputs and gradients are those of a loop over the paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pathsearch.grid import Grid
from pathsearch.modules import normalise
from pathsearch.path import Path


@dataclass(frozen=True)
class LayerPlan:
    """One layer's work: which module runs on which distinct inputs, and which outputs are summed."""

    calls: tuple[tuple[int, Tensor | None], ...]  # (module, rows of the input; None for all of them)
    terms: tuple[Tensor, ...]  # for the 1st, 2nd … active module: row of its output, one entry a distinct sum


@dataclass(frozen=True)
class Plan:
    """The pass of one population: its layers' work, and which final sum belongs to which path."""

    layers: tuple[LayerPlan, ...]
    sums: Tensor  # (P,) row of the last layer's sums for each path
    widest: int  # most (input, module) pairs in any layer, for the memory budget

    def to(self, device: torch.device) -> Plan:
        """The same plan with its index tensors on `device`."""
        layers = tuple(
            LayerPlan(
                tuple((module, None if rows is None else rows.to(device)) for module, rows in layer.calls),
                tuple(term.to(device) for term in layer.terms),
            )
            for layer in self.layers
        )
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
        output_row: dict[tuple[int, int], int] = {}
        calls: list[tuple[int, Tensor | None]] = []
        for module in sorted(users):
            rows = sorted(users[module])
            for row in rows:
                output_row[module, row] = len(output_row)
            calls.append((module, None if len(rows) == n_inputs else torch.tensor(rows)))
        nothing = len(output_row)  # a row of zeros, for sums of fewer terms
        most = max(len(active) for _, active in sums)
        terms = tuple(
            torch.tensor([output_row[active[k], row] if k < len(active) else nothing for row, active in sums])
            for k in range(most)
        )
        layers.append(LayerPlan(tuple(calls), terms))
        prefix_of, n_inputs = next_prefix, len(sums)
        widest = max(widest, len(output_row) + len(sums))
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
        outputs = []
        for index, rows in layer.calls:
            chosen = state if rows is None else state.index_select(0, rows)
            output = grid.module(number, index)(chosen.flatten(0, 1))
            outputs.append(output.unflatten(0, (-1, batch)))
        outputs.append(torch.zeros_like(outputs[-1][:1]))
        stacked = torch.cat(outputs)  # (pairs + 1, B, *shape)
        total = stacked.index_select(0, layer.terms[0])
        for term in layer.terms[1:]:
            total = total + stacked.index_select(0, term)
        state = normalise(total.flatten(0, 1)).unflatten(0, (-1, batch))
        if masks is not None:
            state = state * masks[number]
    logits = grid.heads[task](state.flatten(0, 1)).unflatten(0, (-1, batch))
    return logits.index_select(0, plan.sums)
