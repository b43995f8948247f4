"""Commands in processes of their own that end at a chosen moment: at the n-th change of the disk that they make.

Python tells an audit hook of each file that it opens, renames or removes before it does so. Nothing of the product is
patched, so that the moments stay those of the product however it is rewritten.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink")


@dataclass(frozen=True)
class Moment:
    """When a process ends itself.

    Attributes:
        number: at which change of the disk, from 1; 0 for none.
        renamed_to: at the first rename to a file of this name, instead.
        sent: the signal.
    """

    number: int = 0
    renamed_to: str = ""
    sent: int = signal.SIGKILL


def watch(below: Path, moment: Moment | None, tell: Callable[[str], None] | None = None) -> None:
    """From now on, end this process at `moment`, or tell of every change below a folder."""
    root, count = f"{below.absolute()}/", 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        words = _change(event, arguments, root)
        if not words:
            return
        count += 1
        if tell:
            tell(words)
        if moment and (
            count == moment.number
            or (moment.renamed_to and event == "os.rename" and words.endswith(f"/{moment.renamed_to}"))
        ):
            os.kill(os.getpid(), moment.sent)
            if moment.sent != signal.SIGKILL:  # Python runs its handler at the next instruction
                time.sleep(0)

    sys.addaudithook(hook)


def _change(event: str, arguments: tuple[Any, ...], root: str) -> str:
    """The change in words, empty for what changes nothing there."""
    if event == "open":
        path, _, flags = arguments
        writing = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    elif event in CHANGES:
        path, writing = arguments[1 if event == "os.rename" else 0], True
    else:
        return ""
    if not writing or not isinstance(path, (str, os.PathLike)):
        return ""
    absolute = str(Path(path).absolute())
    return f"{event.removeprefix('os.')} {absolute}" if absolute.startswith(root) else ""


def command(arguments: list[str], folder: str, moment: Moment | None, told: str | None = None) -> None:
    """Be `pathsearch ARGUMENTS` in a folder and end at `moment`; the target of a process.

    Args:
        arguments: of the command line.
        folder: to work in; changes in it count.
        moment: when to end; None: never.
        told: a file for the changes and for what was printed, as JSON.
    """
    from commands import run_here, silent, stand_ins

    os.chdir(folder)
    stand_ins()
    changes: list[str] = []
    watch(Path(folder), moment, changes.append)
    with silent():
        answer = run_here(arguments)
    if told:
        Path(told).write_text(json.dumps([changes, answer.code, answer.out, answer.err, answer.fault]))
    os._exit(answer.code)
