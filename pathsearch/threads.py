"""How many threads a step of training gets: all cores for large operations, one for small ones.

Threads meet after every operation, and on a busy machine each such meeting waits for a processor. On two cores beside
other processes, two threads took 1.7 to 28 times as long as one for steps of 3e7 to 2.3e10 multiply-adds, populations,
single paths and full grids alike; on a quiet machine whole runs took the same time with both. The encoder's large
convolutions keep all cores. What is chosen depends on the settings and on what torch was given, never on how busy the
machine is, so that a resumed run computes the same bits.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pathsearch.grid import Grid
from pathsearch.teller import Teller

LARGE = 5e10  # multiply-adds of a step; more than any that was measured
GIVEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # who sets one of these has chosen
TRAINED = 3  # times the multiply-adds of an answer: forward, and backward for inputs and for weights


@contextmanager
def keeps_threads() -> Iterator[None]:
    """After the block, or the function that this decorates, torch has as many threads as before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_threads(work: float, tell: Teller) -> int:
    """Give torch the threads that steps of `work` multiply-adds want, say so, and return their number."""
    most = torch.get_num_threads()
    if work < LARGE and not any(name in os.environ for name in GIVEN):
        torch.set_num_threads(1)
    tell.stage("threads", most)
    tell.advance(torch.get_num_threads(), f"for steps of {work:.0e} multiply-adds")
    return torch.get_num_threads()


def training_work(grid: Grid, task: str, batch_size: int) -> float:
    """Multiply-adds of a training step of the full grid, the largest network that a run trains.

    A generation's step does about as many: its paths share what they have in common. Infinitely many for a grid that
    is not on the processor.
    """
    network = grid.network(grid.space.full_path(), task)
    if next(network.parameters()).device.type != "cpu":
        return math.inf
    return TRAINED * answering_work(network, grid.shapes[0], batch_size)


@torch.no_grad()
def answering_work(network: nn.Module, shape: Sequence[int], batch_size: int) -> float:
    """Multiply-adds of one pass of a network over a batch of maps of `shape`."""
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *shape))
    return counter.get_total_flops() / 2 * batch_size
