"""How many threads a step of training gets: all cores for large operations, one for small ones.

Threads meet after every operation, and on a busy machine each such meeting waits for a processor. On two cores beside
other processes, two threads took 1.7 to 28 times as long as one for steps of 3e7 to 2.3e10 multiply-adds, populations,
single paths and full grids alike; on a quiet machine whole runs took the same time with both. The encoder's large
convolutions keep all cores. What is chosen depends on the settings and on what torch was given, never on how busy the
machine is, so that a resumed run computes the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pathsearch.run.teller import Teller

LARGE = 5e10  # multiply-adds of a step; more than any that was measured
GIVEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # who sets one of these has chosen


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
