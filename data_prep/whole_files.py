"""Files that appear whole or not at all (write aside, sync, rename), and the digest that says so later."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
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


@contextmanager
def folder_appears_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`; it takes the name `folder` only if the block ends well.

    What had the name before is removed then. A kill between the two renames leaves it beside, as `.NAME.….old`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    old = part.with_suffix(".old")
    try:
        yield part
        part.chmod(0o755)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        sync_dir(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sync_dir(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(file: Path) -> str:
    """SHA-256 of a file, hex, read in blocks."""
    with file.open("rb") as stream:
        sha = hashlib.sha256()
        while block := stream.read(1 << 22):
            sha.update(block)
    return sha.hexdigest()


def write_text(file: Path, text: str) -> None:
    """Write `text` (UTF-8) to `file`, whole or not at all."""
    with appears_whole(file) as part:
        part.write_text(text, encoding="utf-8")


def write_json(file: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN and infinity are refused, JSON has none."""
    write_text(file, json.dumps(value, indent=2, allow_nan=False) + "\n")
