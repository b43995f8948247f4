"""SHA256SUMS: the digests of a folder's files, as `sha256sum -c SHA256SUMS` reads them, and the check of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import PathsearchError
from data_prep.whole_files import file_sha256, write_text

SUMS = "SHA256SUMS"
DUE = "digests"  # the field of a JSON file that names SHA256SUMS: a lost one is no folder of an earlier version


def write_sums(folder: Path, names: Sequence[str]) -> None:
    """Write the digests of these files of a folder, whole; the last file to be written there."""
    write_text(folder / SUMS, _lines(folder, names))


def check_sums(folder: Path, names: Sequence[str], remedy: str) -> None:
    """Refuse a folder in which one of these files is not what it was when the digests were written.

    Args:
        folder: with its SHA256SUMS.
        names: all that the digests are of, in their order.
        remedy: what to do, for the message.

    Raises:
        PathsearchError: a file is missing, or differs from its digest; names it.
    """
    for name in (*names, SUMS):
        if not (folder / name).is_file():
            raise PathsearchError(f"{folder / name}: expected a file, got none; {remedy}")
    found = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    expected = _lines(folder, names)
    if found == expected:
        return
    listed = found.split("\n")
    for name, line in zip(names, expected.split("\n"), strict=False):
        if line not in listed:
            raise PathsearchError(
                f"{folder / name}: differs from its digest in {SUMS}: one of the two was damaged or changed; {remedy}"
            )
    raise PathsearchError(f"{folder / SUMS}: expected one line for each of {', '.join(names)}, got others; {remedy}")


def _lines(folder: Path, names: Sequence[str]) -> str:
    return "".join(f"{file_sha256(folder / name)}  {name}\n" for name in names)
