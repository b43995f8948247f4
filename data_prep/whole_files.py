"""Files that appear whole or not at all (write aside, sync, rename), and the digest that says so later."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_prep.errors import CannotWrite
from data_prep.folder_swap import give_back, take_name
from data_prep.temporary import temporary

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OF_WRITING = (*NO_ROOM, errno.EIO, errno.EROFS)  # errors that can only come from writing, though they name no file


@contextmanager
def appears_whole(file: Path) -> Iterator[Path]:
    """Yield a temporary file beside `file`; it takes the name `file` only if the block ends well.

    A kill, a full disk or an error inside the block leaves the old `file` (or none) as it was. Permissions are those
    that the umask leaves.

    Raises:
        CannotWrite: the system refused to write.
    """
    with _refusals_named(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary(file) as part:
            yield part
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
            part.replace(file)
            sync_dir(file.parent)


@contextmanager
def folder_appears_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`; it takes the name `folder` only if the block ends well.

    What had the name before is removed then.

    Raises:
        CannotWrite: the system refused to write.
    """
    with _refusals_named(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        give_back(folder)
        with temporary(folder, folder=True) as part:
            yield part
            take_name(part, folder)
            sync_dir(folder.parent)


@contextmanager
def _refusals_named(target: Path) -> Iterator[None]:
    """The system's refusals to write below `target`'s folder as one line; errors of reading other files pass."""
    try:
        yield
    except OSError as error:
        beside = target.parent / f".{target.name}."
        if error.filename is None:
            ours = error.errno in OF_WRITING
        else:
            named = os.fsdecode(error.filename)
            ours = named.startswith(str(beside)) or Path(named) in (target, *target.parents)
        if not ours:
            raise
        raise cannot_write(target, error) from error


def cannot_write(target: Path, error: OSError) -> CannotWrite:
    """One line for a refusal of the system to write `target`."""
    step = "free some space" if error.errno in NO_ROOM else "look at the folder and its permissions"
    return CannotWrite(
        f"{target}: expected to be written, got {error.strerror or error}; {step}, then run the same command again"
    )


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
