"""Digests of a task's images: kept when it is prepared, compared with the bytes before anything stands on them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_prep.errors import BadData, CannotWrite
from data_prep.fingerprints import fingerprint
from data_prep.safe_images import opened
from data_prep.whole_files import file_sha256, write_json, write_text

LIST = "images.sha256"  # one line an image, as `sha256sum` writes it: `sha256sum -c images.sha256` checks it too
SETTLED = 2_000_000_000  # ns: a file that changed later than this before it was read may change again in the same tick


def digests_of(files: Sequence[Path]) -> list[str]:
    """SHA-256 of each file, in hex; a few at a time, since hashing leaves the GIL.

    Raises:
        BadData: one cannot be read.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        return list(threads.map(_digest, files))


def pixel_digests(files: Sequence[Path]) -> list[str]:
    """SHA-256 of the pixels of each prepared image, in hex: equal for equal pictures, grey or RGB.

    Raises:
        BadData: one does not decode.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        return list(threads.map(_pixel_digest, files))


def whole_digest(digests: Sequence[str]) -> str:
    """One digest of all: where one image ends and the next begins cannot be shifted unnoticed."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def write_list(task_dir: Path, names: Sequence[str], digests: Sequence[str]) -> None:
    """Leave the digest of every image beside the manifest."""
    lines = (f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    write_text(task_dir / LIST, "".join(lines))


def check_images(task_dir: Path, names: Sequence[str], whole: str, memory_file: Path | None = None) -> None:
    """Refuse images whose bytes are not those that were prepared.

    Args:
        task_dir: the folder that `names` are relative to.
        names: the images, in the order of the manifest.
        whole: their `whole_digest` when they were prepared.
        memory_file: where to remember which files were found right, by size, times and inode, so that the next call
            need not read them again. A file that is missing, damaged or of other images is no memory.

    Raises:
        BadData: an image is missing or another; names the first that is, unless the task was prepared without `LIST`.
    """
    files = [task_dir / name for name in names]
    started = time.time_ns()
    stamps = [_stamp(file) for file in files]
    known = _remembered(memory_file, whole)
    rows = [row for row, stamp in enumerate(stamps) if known[row : row + 1] != [stamp]]
    if not rows:
        return
    listed = _read_list(task_dir, names, whole)
    if listed is None:
        rows = list(range(len(files)))
    found = digests_of([files[row] for row in rows])
    if listed is not None:
        wrong = [(row, digest) for row, digest in zip(rows, found, strict=True) if digest != listed[row]]
        if wrong:
            row, digest = wrong[0]
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise BadData(
                f"{files[row]}{more}: expected the image that was prepared, SHA-256 {listed[row][:12]}…, got "
                f"{digest[:12]}…; put it back, or prepare the task again with --overwrite"
            )
    elif whole_digest(found) != whole:
        raise BadData(
            f"{task_dir}: expected the images that were prepared, got others; put them back, or prepare the task "
            "again with --overwrite"
        )
    if memory_file is not None:
        settled = [stamp if stamp[2] < started - SETTLED and stamp == _stamp(file) else None
                   for stamp, file in zip(stamps, files, strict=True)]  # fmt: skip
        with suppress(CannotWrite):  # a cache that may only be read: hash again next time
            write_json(memory_file, {"images_sha256": whole, "verified": settled})


def _digest(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError as error:
        raise _unreadable(file, error) from error


def _pixel_digest(file: Path) -> str:
    with opened(file) as image:
        return fingerprint(image).digest.hex()


def _stamp(file: Path) -> list[int]:
    try:
        found = file.stat()
    except OSError as error:
        raise _unreadable(file, error) from error
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _unreadable(file: Path, error: OSError) -> BadData:
    return BadData(f"{file}: expected a prepared image, got {error.strerror or error}; prepare the task again")


def _remembered(memory_file: Path | None, whole: str) -> list[Any]:
    try:
        memory = json.loads(memory_file.read_bytes()) if memory_file is not None else {}
        return list(memory["verified"]) if memory["images_sha256"] == whole else []
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def _read_list(task_dir: Path, names: Sequence[str], whole: str) -> list[str] | None:
    """The digest of every image; None where there is no such list, or one that is not what was prepared."""
    try:
        lines = (task_dir / LIST).read_text(encoding="utf-8").splitlines()
        listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        digests = [listed[name] for name in names]
        return digests if whole_digest(digests) == whole else None
    except (OSError, ValueError, KeyError):
        return None
