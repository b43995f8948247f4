"""How many threads a step of training gets: all cores for large operations, one for small ones.

Threads meet after every operation, and on a busy machine each such meeting waits for a processor. On two cores beside
other processes, two threads took 1.7 to 28 times as long as one for steps of 3e7 to 2.3e10 multiply-adds, populations,
single paths and full grids alike; on a quiet machine whole runs took the same time with both. The encoder's large
convolutions keep all cores. What is chosen depends on the settings and on what torch was given when the run began,
never on how busy the machine is, so that a resumed run computes the same bits: sums by other numbers of threads differ.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

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


class Threads(NamedTuple):
    """What torch was given."""

    most: int
    chosen: bool  # by the user

    @classmethod
    def given(cls) -> Threads:
        """Now, to this process."""
        return cls(torch.get_num_threads(), any(name in os.environ for name in GIVEN))

    def wanted(self, work: float) -> int:
        """How many steps of `work` multiply-adds get."""
        return self.most if self.chosen or work >= LARGE else 1


def choose_threads(work: float, tell: Teller, begun: Threads | None = None) -> int:
    """Give torch the threads that steps of `work` multiply-adds want, say so, and return their number.

    Args:
        work: of one step.
        tell: progress.
        begun: what torch was given when the work began that is gone on with; None: it begins now.
    """
    given = Threads.given()
    number, now = (begun or given).wanted(work), given.wanted(work)
    torch.set_num_threads(number)
    tell.stage("threads", given.most)
    other = "" if number == now else f", as this began; {now} would give other bits"
    tell.advance(number, f"for steps of {work:.0e} multiply-adds{other}")
    return number
