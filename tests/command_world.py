"""The command line of the small world, in processes of its own, which can be killed at any call."""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from small_world import scratch
from threadpoolctl import threadpool_limits


class Finished:
    """A command that ended: exit code (negative for a signal) and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@functools.cache
def _server() -> Any:
    """Forks processes from one that has the slow imports behind it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "pathsearch.experts.evolve",
            "pathsearch.experts.finishing",
            "pathsearch.experts.joint",
            "pathsearch.reports.figures",
            "command_world",
        ]
    )
    return context


def start(target: Callable[..., Any], *arguments: Any) -> Any:
    """Run `target(*arguments)` in a process of its own, which can be killed."""
    process = _server().Process(target=target, args=arguments)
    process.start()
    return process


def pathsearch(*arguments: object, kill: tuple[str, int] | None = None, patience: float = 120) -> Finished:
    """Run `pathsearch ARGUMENTS` to its end.

    Args:
        arguments: of the command line.
        kill: (`module:attribute`, n): the process sends itself SIGKILL when that function is called for the
            n-th time, before it does anything.
        patience: seconds.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch()))
    process = start(command, [str(one) for one in arguments], folder, kill)
    process.join(patience)
    if process.is_alive():
        process.kill()
        raise TimeoutError(f"pathsearch {arguments} took longer than {patience} s")
    return Finished(process.exitcode, (folder / "out").read_text(), (folder / "err").read_text())


def command(arguments: Sequence[str], folder: Path, kill: tuple[str, int] | None = None) -> None:
    """Be `pathsearch ARGUMENTS` in this process, its output in files of `folder`."""
    for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
        handle = os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(handle, stream.fileno())
    torch.set_num_threads(1)
    threadpool_limits(1)
    if kill:
        plant_kill(*kill)
    from pathsearch.cli import main as cli

    sys.argv = ["pathsearch", *arguments]
    try:
        cli.main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def plant_kill(where: str, number: int) -> None:
    """Make the `number`-th call of the function at `module:attribute` a `kill -9` of this process."""
    plant(where, number, lambda: os.kill(os.getpid(), signal.SIGKILL))


def plant(where: str, number: int, happens: Callable[[], Any]) -> None:
    """Let something happen in this process at the `number`-th call of the function at `module:attribute`."""
    module, _, attribute = where.partition(":")
    owner: Any = importlib.import_module(module)
    *owners, last = attribute.split(".")
    for name in owners:
        owner = getattr(owner, name)
    original, calls = getattr(owner, last), 0

    @functools.wraps(original)
    def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            happens()
        return original(*arguments, **options)

    setattr(owner, last, counting)
