"""Ctrl-C, `kill` and a closed terminal: the command unwinds, says in one line what is true, exits as a shell expects.

Unwinding keeps files whole: what is written aside is removed, locks are let go, terminals get their cursor back.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

# What is true of each command that was stopped; it may have been stopped at any moment.
WHAT_NOW = {
    "evolve": "the same command with `--resume` goes on where it stopped",
    "train": "the same command with `--resume` goes on where it stopped",
    "compare": "the same command goes on where it stopped",
    "joint-eval": "the runs are as they were; the same command starts again, and what it has encoded is kept",
    "bundle": "no half of a bundle is left; the same command starts again",
    "predict": "rows printed and pictures written so far stand; a table of --out is written whole or not at all",
    "plot": "the run is as it was, its figures may be old or new; the same command draws them all again",
    "prepare": "no half of a task is left; the same command starts again",
    "results": "the page is the old or the new one; the same command writes it again",
    "demo": "the same command starts again",
    "settings": "the page is the old or the new one; the same command writes it again",
    "doctor": "it changes nothing",
}
WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminal closed"}  # Windows has no SIGHUP


class Stopped(SystemExit):
    """A signal asked the process to end; its exit code is 128 plus the signal's number."""


class Interrupts:
    """While the block runs, signals raise `Stopped`, and the first of them is remembered.

    A signal that was ignored when the process started stays so: that is how `nohup` works.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for name in WORDS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # A library may turn the exception into one of its own on the way up, so that the number is kept here too.
        self.received = self.received or number
        raise Stopped(128 + number)

    def line(self, command: str) -> str:
        """What to tell the person who stopped `command`."""
        word = WORDS[signal.Signals(self.received or signal.SIGINT).name]
        return f"{word}; {WHAT_NOW[command]}" if command in WHAT_NOW else word
