"""`SHA256SUMS` beside raw data, as PhysioNet gives it with every database: what it lists must be what is there."""

from __future__ import annotations

import re
from pathlib import Path

from data_prep.errors import BadData
from data_prep.whole_files import file_sha256

NAME = "SHA256SUMS"


class Checksums:
    """The digests that a folder of raw data came with; none where it has no list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sums = _read(folder / NAME)

    def check(self, name: str) -> None:
        """Refuse a file of the folder that is not the one in the list; one that is in no list passes.

        Raises:
            BadData: its digest is another.
        """
        file = self.folder / name
        expected = self.sums.get(name)
        if expected is None or not file.is_file():
            return
        if (found := file_sha256(file)) != expected:
            raise BadData(
                f"{file}: expected SHA-256 {expected[:12]}… of {NAME} beside it, got {found[:12]}…; cut or damaged? "
                f"Download it again, or take its line out of {NAME} if the change is meant"
            )

    def missing(self, suffix: str) -> list[str]:
        """Names without `suffix`, sorted, of the listed files that end in it and are not there."""
        listed = (name for name in self.sums if name.endswith(suffix) and "/" not in name)
        return sorted(name.removesuffix(suffix) for name in listed if not (self.folder / name).is_file())


def _read(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    sums = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        found = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line)
        if found:
            sums[found.group(2)] = found.group(1).lower()
        elif line.strip():
            raise BadData(f"{file}: expected lines of SHA-256 and file name, got {line[:40]!r}; download it again")
    return sums
