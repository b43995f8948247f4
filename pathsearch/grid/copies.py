"""Many paths with weights of their own in one pass: what the `fresh` mode trains.

Nothing but the minibatch can be shared between copies, so the work is that of a loop; what is saved is the
loop's overhead. Copies of one module are stacked along a new first axis and run as one operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from pathsearch.grid.grid import Grid, device_of
from pathsearch.grid.path import Path
from pathsearch.grid.walk import walk


class Copies(nn.Module):
    """P paths of a grid, each with its own copy of the grid's present weights.

    A module that is fixed on the grid is copied too and stays fixed.
    """

    def __init__(self, grid: Grid, task: str, paths: Sequence[Path]) -> None:
        super().__init__()
        self.blueprint = grid.blueprint
        self.n_paths = len(paths)
        device = device_of(grid)
        users = [
            {i: [p for p, path in enumerate(paths) if i in path.layers[n]] for i in range(len(kinds))}
            for n, kinds in enumerate(grid.specifications)
        ]
        self.layers = nn.ModuleList(
            nn.ModuleList(Stack(grid.module(n, i), owners, device) for i, owners in layer.items() if owners)
            for n, layer in enumerate(users)
        )
        self.head = Stack(grid.heads[task], range(self.n_paths), device)

    def forward(self, x: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Outputs (P, B, …) of all copies for one minibatch; x and masks as in `population.forward`."""
        batch = x.shape[0]

        def sums(number: int, read: Tensor) -> Tensor:  # (B, *in) or (P * B, *in) -> (P * B, *out)
            rows = read.unflatten(0, (-1, batch))
            shared = not any(link is not None for link in self.blueprint.links[number])  # all read the source only
            total = x.new_zeros(self.n_paths, batch, *self.blueprint.layers[number].out_shape)
            for stack in cast(Iterable[Stack], self.layers[number]):
                output = stack(read, shared=True) if shared else stack(rows.index_select(0, stack.owners))
                total = total.index_add(0, stack.owners, output)
            return total.flatten(0, 1)

        return self.head(walk(self.blueprint, x, sums, masks).unflatten(0, (self.n_paths, -1)))

    def owned(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """What is trained: n copies of a weight along its first axis, and the n paths whose copies they are."""
        for stack in self.modules():
            if isinstance(stack, Stack):
                yield from ((own, stack.owners) for own in stack.parameters() if own.requires_grad)


class Stack(nn.Module):
    """n copies of one module, as many weights along a first axis.

    Args:
        module: what is copied; it may have no parameter.
        owners: n numbers of the paths whose copies they are.
        device: where it computes, which a module without parameters cannot say.
    """

    owners: Tensor

    def __init__(self, module: nn.Module, owners: Sequence[int], device: torch.device) -> None:
        super().__init__()
        object.__setattr__(self, "template", module)  # not a submodule: its own weights are not trained
        self.register_buffer("owners", torch.tensor(list(owners), device=device))
        state, _ = stack_module_state([module] * len(owners))
        self.names = list(state)
        for place, (tensor, original) in enumerate(zip(state.values(), module.parameters(), strict=True)):
            own = nn.Parameter(tensor.detach().clone(), requires_grad=original.requires_grad)
            self.register_parameter(f"stacked{place}", own)

    def forward(self, x: Tensor, shared: bool = False) -> Tensor:
        """Outputs (n, B, …) of all copies for inputs (n, B, …), or for one input (B, …) that they share."""
        template: nn.Module = self.__dict__["template"]
        if not self.names:  # nothing to learn: all copies are one
            outputs = template(x if shared else x.flatten(0, 1))
            return outputs.expand(len(self.owners), *outputs.shape) if shared else outputs.unflatten(0, (len(x), -1))
        weights: dict[str, Tensor] = {
            name: self.get_parameter(f"stacked{place}") for place, name in enumerate(self.names)
        }

        def run(own: dict[str, Tensor], one: Tensor) -> Tensor:
            return functional_call(template, own, (one,))

        return vmap(run, in_dims=(0, None if shared else 0))(weights, x)
