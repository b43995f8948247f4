"""Files that appear whole or not at all: write aside, sync, rename."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def appears_whole(file: Path) -> Iterator[Path]:
    """Yield a temporary file beside `file`; it takes the name `file` only if the block ends well.

    A kill, a full disk or an error inside the block leaves the old `file` (or none) as it was.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=f".part{file.suffix}", dir=file.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.chmod(0o644)
        part.replace(file)
        sync_dir(file.parent)
    finally:
        part.unlink(missing_ok=True)


def sync_dir(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(file: Path, text: str) -> None:
    """Write `text` (UTF-8) to `file`, whole or not at all."""
    with appears_whole(file) as part:
        part.write_text(text, encoding="utf-8")


def write_json(file: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN and infinity are refused, JSON has none."""
    write_text(file, json.dumps(value, indent=2, allow_nan=False) + "\n")
