"""Temporary files and folders that a living process owns by a lock; those of killed ones are removed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, so nothing of others is ever removed
    fcntl = None  # type: ignore[assignment]

TOKEN = "[0-9a-f]{8}"


@contextmanager
def temporary(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a new empty file or folder beside `target`, `.NAME.12345678.part`, that nobody removes during the block.

    Its permissions are those that the umask leaves. What has its name after the block is removed. What a killed
    command left of the same `target` is removed first.
    """
    remove_litter(target.parent, target.name)
    part, handle = _create(target, folder)
    try:
        yield part
    finally:
        remove(part)
        if handle is not None:
            os.close(handle)


def remove_litter(folder: Path, name: str | None = None) -> None:
    """Remove what killed commands left half made in `folder`: of one target's `name`, or of all.

    What another process is still writing is locked and stays.
    """
    owner = re.escape(name) if name is not None else ".+"
    for part in _matching(folder, rf"\.{owner}\.{TOKEN}\.part(\.[^.]*)?"):
        with free(part) as unowned:
            if unowned:
                remove(part)


def abandoned(target: Path) -> list[Path]:
    """Folders that stepped aside for a new `target`, the newest last; see `folder_swap`."""
    found = _matching(target.parent, rf"\.{re.escape(target.name)}\.{TOKEN}\.old")
    return sorted(found, key=lambda folder: folder.stat().st_ctime_ns)


@contextmanager
def free(part: Path) -> Iterator[bool]:
    """Yield whether `part` is there and no living process owns it; in that case it is ours during the block."""
    try:
        handle = os.open(part, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        yield False
        return
    try:
        yield _lock(handle) is True and _is_still(part, handle)
    finally:
        os.close(handle)


def remove(part: Path) -> None:
    """Remove a file or a folder, if it is there; what cannot be removed stays, and stops nothing."""
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(OSError):
            part.unlink()


def _create(target: Path, folder: bool) -> tuple[Path, int | None]:
    """A new name, and the handle that locks it; another one if a cleaner came between creation and lock."""
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part{'' if folder else target.suffix}")
        # not tempfile: what it makes ignores the umask, and permissions for patients' images are not to be widened
        if folder:
            part.mkdir()
        else:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        if fcntl is None:
            return part, None
        with suppress(FileNotFoundError):
            handle = os.open(part, os.O_RDONLY)
            if _lock(handle) is not False and _is_still(part, handle):
                return part, handle
            os.close(handle)


def _lock(handle: int) -> bool | None:
    """Whether the lock is ours; None where the system or the file system has none."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_still(part: Path, handle: int) -> bool:
    try:
        there, ours = part.stat(follow_symlinks=False), os.fstat(handle)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _matching(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if re.fullmatch(pattern, child.name))
    except OSError:
        return []
