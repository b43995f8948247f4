"""Where independent work runs: in this process, or beside each other in as many as there are cores to use.

Work is a value that any process can carry out, with everything that it depends on; it leaves a file. Who carried it out
does not show in what it left. A process that begins costs seconds, so little work stays here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

from data_prep.errors import PathsearchError
from pathsearch.run.threads import GIVEN

Work = TypeVar("Work")


def processes_for(operations: float, cores: int, device: torch.device) -> int:
    """How many processes are worth their beginning.

    Args:
        operations: multiply-adds of all the work together.
        cores: that this process was given.
        device: that the work computes on; what is not the processor is not shared.
    """
    return 1 if device.type != "cpu" or operations < WORTH else cores


WORTH = 1e12  # multiply-adds: some 30 seconds of one core, where a process takes five to begin


def run_all(
    carry_out: Callable[[Work], Any], works: Sequence[Work], processes: int, prepare: Callable[[], Any] | None = None
) -> Iterator[int]:
    """Carry out every work, in this order as far as possible, and yield each one's place as soon as it is done.

    Args:
        carry_out: a function of a module, which leaves a file; what it returns is forgotten.
        works: values that can be pickled.
        processes: how many work side by side; 1: here, one after another.
        prepare: called first in every other process; what it raises is raised here.

    Raises:
        PathsearchError: a process died, as for want of memory.
        Exception: whatever work raised; what was not begun is left undone.
    """
    if processes <= 1 or len(works) <= 1:
        for place, work in enumerate(works):
            carry_out(work)
            yield place
        return
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    pool = ProcessPoolExecutor(min(processes, len(works)), context, _begin)
    try:
        places = {pool.submit(_carry_out, carry_out, prepare, work): place for place, work in enumerate(works)}
        for done in as_completed(places):
            done.result()
            yield places[done]
        pool.shutdown()
    except BrokenProcessPool:
        raise PathsearchError(
            "a process that trained beside others died, perhaps for want of memory (or a script of yours calls this "
            'outside `if __name__ == "__main__"`); give the same command with '
            f"--resume and {GIVEN[0]}=1 before it, so that one at a time is trained"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()


def _begin() -> None:
    """In a process that works for another: one thread, deaf to Ctrl-C, which its parent hears, and gone with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    torch.set_num_threads(1)


def _carry_out(carry_out: Callable[[Work], Any], prepare: Callable[[], Any] | None, work: Work) -> None:
    if prepare is not None and not _prepared:
        prepare()
        _prepared.append(True)
    carry_out(work)


_prepared: list[bool] = []  # whether this process is


def _follow() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
