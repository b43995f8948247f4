"""Readers with faults of every kind, which the harness must find."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from forms import Form, Function

from data_prep.errors import BadData

FILE = "runs/blobs/path.json"


def believing() -> bytes:
    """Takes whatever it finds."""
    return Path(FILE).read_bytes() if Path(FILE).exists() else b""


def careful() -> bytes:
    """Refuses what is not what was written."""
    data = believing()
    if hashlib.sha256(data).hexdigest() != _written():
        raise BadData(f"{FILE}: expected the digest of the run, got another; make the run again")
    return data


def indifferent() -> bytes:
    """Does not read it."""
    return b"always the same"


def careless() -> bytes:
    """Looks into what it has not checked."""
    return json.dumps(json.loads(believing())["path"]).encode()


def greedy() -> bytes:
    """Takes memory when something is wrong."""
    return indifferent() if _is_whole() else (b"x" * (2 << 30))[:1]


def greedy_for_a_moment() -> bytes:
    """Gives the memory back, and ends well."""
    if not _is_whole():
        held = b"x" * (2 << 30)
        del held
    return indifferent()


def endless() -> bytes:
    """Works for ever when something is wrong."""
    while not _is_whole():
        pass
    return indifferent()


def dying() -> bytes:
    """Ends the process when something is wrong, as a bus error does."""
    if not _is_whole():
        os.kill(os.getpid(), signal.SIGBUS)
    return indifferent()


def wandering() -> bytes:
    """Gives another result at each call."""
    return str(time.perf_counter()).encode()


def unpickling() -> bytes:
    """Runs what it reads."""
    if not _is_whole():
        Path("unpickled").mkdir()
    return indifferent()


def _is_whole() -> bool:
    return hashlib.sha256(believing()).hexdigest() == _written()


def _written() -> str:
    return hashlib.sha256(Path("../pristine", FILE).read_bytes()).hexdigest()


def forgiving() -> bytes:
    """Takes what is not what was written for nothing."""
    return believing() if _is_whole() else b""


def planted(read: Callable[[], bytes], kept: bool = True, optional: bool = False) -> Form:
    return Form(f"planted: {read.__name__}", (FILE,), (Function(read),), kept, optional)
