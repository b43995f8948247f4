"""SHA256SUMS: what `sha256sum -c` accepts, and what differs in any byte is refused by name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from small_world import refused

from pathsearch.sums import SUMS, check_sums, write_sums

NAMES = ("a.json", "b.bin")


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.bin").write_bytes(bytes(range(256)))
    write_sums(tmp_path, NAMES)
    return tmp_path


def test_files_as_they_were_pass(folder):
    check_sums(folder, NAMES, "do it again")
    (folder / "c.txt").write_text("another's file is no business of the digests")
    check_sums(folder, NAMES, "do it again")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_the_system_s_own_tool_reads_them(folder):
    def told() -> int:
        return subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, check=False).returncode

    assert told() == 0
    (folder / "b.bin").write_bytes(b"")
    assert told() != 0


@pytest.mark.parametrize("name", NAMES)
def test_one_changed_bit_of_a_file_names_it(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with refused(f"/{name}: differs from its digest in SHA256SUMS: one of the two was damaged .*; do it again"):
        check_sums(folder, NAMES, "do it again")


@pytest.mark.parametrize("name", [*NAMES, SUMS])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with refused(f"/{name}: expected a file, got none; do it again"):
        check_sums(folder, NAMES, "do it again")


def test_every_changed_bit_of_the_digests_is_seen(folder):
    content = (folder / SUMS).read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            (folder / SUMS).write_bytes(changed)
            with refused("SHA256SUMS"):
                check_sums(folder, NAMES, "do it again")


@pytest.mark.parametrize("change", [lambda t: "", lambda t: t + "\n", lambda t: t[:70], lambda t: t + t])
def test_digests_cut_or_grown_are_refused(folder, change):
    (folder / SUMS).write_text(change((folder / SUMS).read_text()))
    with refused("SHA256SUMS"):
        check_sums(folder, NAMES, "do it again")
