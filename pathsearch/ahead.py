"""Work of several threads as one stream, in order, at constant memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
THREADS = 16  # at most; decoding gains nothing from more


def ahead(work: Callable[[Item], Result], items: Iterable[Item], number: int) -> Iterator[Result]:
    """Yield `work(item)` of every item in order, `number` of them under way in threads or done and waiting.

    Pillow decodes and resizes outside the GIL, so threads suffice. `items` is read only as far as that; an error of
    `work` is raised at its item's turn.
    """
    coming: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        try:
            for item in items:
                coming.append(pool.submit(work, item))
                if len(coming) > number:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:  # the listener has gone
                future.cancel()
