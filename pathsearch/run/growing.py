"""An array on disk that grows row by row, survives kills and damage, and takes its name when it is whole."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import numpy as np

from data_prep.errors import CannotWrite
from data_prep.whole_files import NO_ROOM, sync_dir, write_json, write_text

BLOCK = 1 << 22  # bytes read at once


class Checkpoint(TypedDict):
    """So many rows, and the SHA-256 of all bytes up to there."""

    rows: int
    sha256: str


@contextmanager
def growing(file: Path, shape: Sequence[int], dtype: Any = np.float16) -> Iterator[GrowingArray]:
    """Yield the array that `file` will be, with the rows that an earlier, interrupted call left.

    It grows as `.part`. If all its rows are there when the block ends, its digest is written as `.sha256` and it takes
    the name `file`; else it stays for the next call.

    Args:
        file: a `.npy`.
        shape: (n, …).
        dtype: of its numbers.

    Raises:
        CannotWrite: the disk has no room; names the file and the bytes.
    """
    part, note = file.with_suffix(".part"), file.with_suffix(".rows")
    try:
        with part.open("r+b" if part.exists() else "w+b") as stream:
            array = GrowingArray(stream, note, shape, dtype)
            yield array
            whole = array.rows == array.shape[0]
            if whole:
                array.save()
        if whole:
            write_text(file.with_suffix(".sha256"), array.sha.hexdigest() + "\n")
            part.replace(file)
            sync_dir(file.parent)
            note.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        wanted, free = len(_head(shape, dtype)) + _bytes(shape, dtype), shutil.disk_usage(file.parent).free
        raise CannotWrite(
            f"features {part}: expected a disk with room for {wanted:,} bytes, got {free:,} bytes free; "
            "make room and start again (what is encoded is kept), or choose another --data-dir"
        ) from None


class GrowingArray:
    """Rows of numbers in a file beside a note of how far it can be trusted.

    The note is a list of checkpoints: so many rows, and the SHA-256 of all bytes up to there. What the bytes do not
    bear out, whatever happened to file or note, is not gone on with.

    Attributes:
        shape: (n, …) of the whole array.
        rows: so many of them are there.
        sha: digest of the bytes up to there.
    """

    def __init__(self, stream: BinaryIO, note: Path, shape: Sequence[int], dtype: Any = np.float16) -> None:
        self.stream, self.note, self.shape, self.dtype = stream, note, tuple(shape), np.dtype(dtype)
        self.head = _head(shape, dtype)
        self.rows, self.sha = 0, hashlib.sha256(self.head)
        self.checkpoints: list[Checkpoint] = []
        self._recover()
        self._reserve()

    def append(self, rows: np.ndarray) -> None:
        """Write the next (b, …) rows; they survive a kill from the next `save` on."""
        data = np.ascontiguousarray(rows, dtype=self.dtype).tobytes()
        self.stream.write(data)
        self.sha.update(data)
        self.rows += len(rows)

    def save(self) -> None:
        """Sync what was written, and note that it can be trusted."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.checkpoints.append({"rows": self.rows, "sha256": self.sha.hexdigest()})
        write_json(self.note, self.checkpoints)

    def _recover(self) -> None:
        """Find the rows that the note vouches for and the bytes bear out; stand behind them."""
        self.stream.seek(0)
        if self.stream.read(len(self.head)) == self.head:
            for checkpoint in _checkpoints(self.note):
                sha = self._sha_at(checkpoint["rows"])
                if sha is None or sha.hexdigest() != checkpoint["sha256"]:
                    break
                self.rows, self.sha = checkpoint["rows"], sha
                self.checkpoints.append(checkpoint)
        self.stream.seek(0)
        self.stream.write(self.head)
        self.stream.seek(len(self.head) + self.rows * _bytes(self.shape[1:], self.dtype))

    def _sha_at(self, rows: int) -> Any:
        """Digest of the bytes up to `rows`, read on from the rows that are known; None if there are no such rows."""
        if not self.rows < rows <= self.shape[0]:
            return None
        sha, left = self.sha.copy(), (rows - self.rows) * _bytes(self.shape[1:], self.dtype)
        while left and (block := self.stream.read(min(BLOCK, left))):
            sha.update(block)
            left -= len(block)
        return None if left else sha

    def _reserve(self) -> None:
        """Take the disk's room for all rows now: a full disk shows before hours of work, and as an error."""
        size, place = len(self.head) + _bytes(self.shape, self.dtype), self.stream.tell()
        self.stream.truncate(size)  # without what a damaged file has beyond its end
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self.stream.fileno(), 0, size)
            except OSError as error:
                if error.errno in NO_ROOM:
                    self.stream.truncate(place)  # gives back what it had got
                    raise
        self.stream.seek(place)


def _checkpoints(note: Path) -> list[Checkpoint]:
    """The note's checkpoints up to the first that is none."""
    try:
        found = json.loads(note.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    good: list[Checkpoint] = []
    for one in found if isinstance(found, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("rows"), int) or not isinstance(one.get("sha256"), str):
            break
        good.append({"rows": one["rows"], "sha256": one["sha256"]})
    return good


def _head(shape: Sequence[int], dtype: Any) -> bytes:
    """What a `.npy` file begins with."""
    stream = io.BytesIO()
    about = {"descr": np.dtype(dtype).newbyteorder("<").str, "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def _bytes(shape: Sequence[int], dtype: Any) -> int:
    """Bytes of the numbers of an array."""
    return int(np.dtype(dtype).itemsize) * math.prod(shape)
