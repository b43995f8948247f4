"""A full disk: one line that names the file, exit 2, earlier files as they were; with room again, the usual result."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kills import SCENARIOS, fresh, litter, never_killed, result, run
from small_world import scratch

BLOCK = 4096  # a tmpfs gives whole pages
SPARE = 64 << 20
SHARES = (0.0, 0.4, 0.8)  # of the room that a command needs
QUICK = [("prepare folder", 0.4), ("evolve", 0.4), ("bundle --overwrite", 0.8)]
COMMANDS = (
    *("prepare folder", "prepare ecg --overwrite", "evolve", "evolve --overwrite", "joint-eval"),
    *("bundle", "bundle --overwrite", "compare", "predict", "plot"),
)
LONG = [pytest.param(name, share, marks=pytest.mark.soak) for name in COMMANDS for share in SHARES]


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system of its own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root on Linux")
    folder = scratch() / "disk"
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={2 * SPARE}", "tmpfs", folder], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "share"), [*QUICK, *LONG])
def test_one_line_and_earlier_files_intact(disk: Path, name: str, share: float) -> None:
    scenario = SCENARIOS[name]
    expected = never_killed(name)[1]
    origin = fresh(scenario)
    folder = disk / "work"
    shutil.copytree(origin, folder)
    need = _needed(name, origin)
    before, old = _digests(folder), litter(folder)
    filler = disk / "filler"
    _fill(filler, round(share * need) // BLOCK * BLOCK)
    answer = run(scenario.arguments, folder)
    assert answer is not None, "the process was ended by a signal"
    after = _digests(folder)
    if answer.code == 0:
        assert share, "it wrote nothing"
        pytest.skip(f"{name} finds room in {share:.0%} of what it needs at most")
    assert answer.code == 2, answer
    line = answer.err.strip().splitlines()[-1]
    assert line.startswith("error: "), answer.err
    assert re.search(r"[Nn]o space|full|room", line), line
    assert re.search(r"\w/\S+|\w+\.\w+", line), f"no file is named: {line}"
    if "--overwrite" not in scenario.arguments or scenario.whole:  # a run that is overwritten is given up at once
        for file, digest in before.items():
            if file.endswith(".verified.json"):  # which images were found right: renewed by any command, and whole
                json.loads((folder / file).read_text())
            elif not Path(file).name.startswith("."):
                assert after.get(file) == digest, f"{file} was changed"
    assert litter(folder) <= old
    filler.unlink()
    for more in scenario.again:
        answer = run([*scenario.arguments, *more], folder)
        assert answer is not None
        if answer.code == 0:
            break
    assert answer.code == 0, answer
    assert result(scenario, answer, folder) == expected


def _needed(name: str, folder: Path) -> int:
    """Bytes that the command adds at its end."""
    before = _size(folder)
    assert run(SCENARIOS[name].arguments, folder) is not None
    after = _size(folder)
    shutil.rmtree(folder)
    return max(BLOCK, after - before)


def _size(folder: Path) -> int:
    return sum(-(-file.stat().st_size // BLOCK) * BLOCK for file in folder.rglob("*") if file.is_file())


def _fill(filler: Path, room: int) -> None:
    """Leave so many bytes free."""
    free = shutil.disk_usage(filler.parent).free
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, free - room)


def _digests(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
