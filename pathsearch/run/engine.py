"""Where independent work runs: in this process, or beside each other in as many as there are cores to use.

Work is a value that any process can carry out, with everything that it depends on; it leaves a file. Who carried it out
does not show in what it left. A process that begins costs seconds, so little work stays here.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

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
    with Crew(carry_out, processes, prepare) as crew:
        crew.give(works, processes)
        yield from crew.done()


class Crew(Generic[Work]):
    """Processes that work beside this one, from the moment that they are given work; see `run_all`."""

    def __init__(self, carry_out: Callable[[Work], Any], most: int, prepare: Callable[[], Any] | None = None) -> None:
        """At most so many processes, none of which begins before there is work for it."""
        self.carry_out, self.most, self.at_once = carry_out, most, 0
        self.waiting: deque[tuple[int, Work]] = deque()
        self.busy = self.given = self.told = 0
        self.results: SimpleQueue[tuple[int, BaseException | None]] = SimpleQueue()
        self.failed: BaseException | None = None  # what came first
        self.lock = threading.RLock()  # work may end while it is handed over
        self.before = set(multiprocessing.active_children())
        context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
        self.pool = ProcessPoolExecutor(most, context, _begin, (prepare,))

    def __enter__(self) -> Crew[Work]:
        return self

    def __exit__(self, *_: object) -> None:
        """What has not begun is left undone, what has begun is ended."""
        with self.lock:
            self.waiting.clear()
        self.pool.shutdown(wait=not self.busy, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - self.before:
            child.terminate()

    def give(self, works: Iterable[Work], at_once: int) -> None:
        """More work, before what still waits; from now on so many processes are at it."""
        with self.lock:
            numbered = [(self.given + i, work) for i, work in enumerate(works)]
            self.given += len(numbered)
            self.waiting.extendleft(reversed(numbered))
            self.at_once = at_once
        self._go_on()

    def done(self) -> Iterator[int]:
        """The number of every work that was given and not yet told of, as soon as it is done."""
        while self.told < self.given:
            number, error = self.results.get()
            if error is not None:
                raise _in_words(error)
            self.told += 1
            yield number

    def check(self) -> None:
        """Raise what work has raised so far, for who does something else before it asks what is done."""
        if self.failed is not None:
            raise _in_words(self.failed)

    def _ends(self, number: int, error: BaseException | None) -> None:
        self.failed = self.failed or error
        self.results.put((number, error))

    def _go_on(self) -> None:
        """Let as many work as may."""
        with self.lock:
            while self.waiting and self.busy < self.at_once:
                number, work = self.waiting.popleft()
                self.busy += 1
                try:
                    with _deaf():
                        future = self.pool.submit(_carry_out, self.carry_out, work)
                except RuntimeError as error:  # broken, or shut down
                    self._ends(number, error)
                else:
                    future.add_done_callback(functools.partial(self._ended, number))

    def _ended(self, number: int, future: Future[None]) -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        with self.lock:
            self.busy -= 1
            self._ends(number, error)
        if not isinstance(error, BrokenProcessPool):  # whose locks a submission now would wait for
            self._go_on()


def _in_words(error: BaseException) -> BaseException:
    """What work raised, or what to do where a process died."""
    if not isinstance(error, BrokenProcessPool):
        return error
    return PathsearchError(
        "a process that trained beside others died, perhaps for want of memory (or a script of yours calls "
        'this outside `if __name__ == "__main__"`); give the same command again, '
        f"evolve with --resume, and {GIVEN[0]}=1 before it, so that one at a time is trained"
    )


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started within is never told of Ctrl-C, not even while it starts: this process is, and ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(prepare: Callable[[], Any] | None) -> None:
    """In a process that works for another: one thread, deaf to Ctrl-C, which its parent hears, and gone with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    torch.set_num_threads(1)
    try:
        if prepare is not None:
            prepare()
    except Exception as error:  # here it would only be seen that the process died
        _unprepared.append(error)


def _carry_out(carry_out: Callable[[Work], Any], work: Work) -> None:
    if _unprepared:
        raise _unprepared[0]
    carry_out(work)


_unprepared: list[Exception] = []  # why this process cannot work


def _follow() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
