from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep import folder_swap
from data_prep.folder_swap import exchange, give_back
from data_prep.whole_files import folder_appears_whole

SWAPPER = """
import sys
from pathlib import Path
from data_prep import folder_swap
from data_prep.whole_files import folder_appears_whole
if sys.argv[2] == "two steps":
    folder_swap.exchange = lambda one, other: False
number = 0
print("ready", flush=True)
while True:
    with folder_appears_whole(Path(sys.argv[1])) as part:
        (part / "a").write_text(str(number))
        (part / "b").write_text(str(number))
    number += 1
"""


def fill(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "a").write_text(content)


@pytest.fixture(params=["one step", "two steps"])
def way(request, monkeypatch):
    """Both ways to swap: the system's, and that of systems that have none."""
    if request.param == "two steps":
        monkeypatch.setattr(folder_swap, "exchange", lambda one, other: False)
    return request.param


def test_the_new_folder_has_the_name_and_the_old_one_is_gone(tmp_path, way):
    fill(tmp_path / "x", "old")
    with folder_appears_whole(tmp_path / "x") as part:
        (part / "a").write_text("new")
        assert (tmp_path / "x" / "a").read_text() == "old"
    assert (tmp_path / "x" / "a").read_text() == "new"
    assert [child.name for child in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2")
def test_names_are_swapped_in_one_step(tmp_path):
    fill(tmp_path / "x", "x")
    fill(tmp_path / "y", "y")
    if not exchange(tmp_path / "x", tmp_path / "y"):
        pytest.skip("this file system cannot")
    assert [(tmp_path / name / "a").read_text() for name in "xy"] == ["y", "x"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "x", tmp_path / "none")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_kill_at_any_moment_leaves_the_folder_under_its_name(tmp_path, way):
    target = tmp_path / "x"
    for turn in range(12):
        command = [sys.executable, "-S", "-c", SWAPPER, str(target), way]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
        process.stdout.readline()
        try:
            process.wait(0.02 + 0.004 * turn)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if way == "two steps":
            give_back(target)  # the next command's first step
        if target.exists():
            assert (target / "a").read_text() == (target / "b").read_text()
        assert target.exists() or turn == 0
    with folder_appears_whole(target) as part:
        (part / "a").write_text("last")
    assert [child.name for child in tmp_path.iterdir()] == ["x"]


def test_a_failed_rename_brings_the_old_folder_back(tmp_path, monkeypatch):
    fill(tmp_path / "x", "old")
    monkeypatch.setattr(folder_swap, "exchange", lambda one, other: False)
    real = Path.rename

    def fail_for_the_new_one(self, target):
        if self.name.endswith(".part"):
            raise OSError(errno.ELOOP, "disk on fire")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="disk on fire"), folder_appears_whole(tmp_path / "x"):
        pass
    assert (tmp_path / "x" / "a").read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["x"]


def test_of_folders_that_stepped_aside_the_newest_comes_back(tmp_path):
    fill(tmp_path / ".x.00000000.old", "older")
    fill(tmp_path / ".x.0123abcd.old", "newer")
    (tmp_path / ".x.0123abcd.old").chmod(0o755)  # the time of its last change is what counts
    give_back(tmp_path / "x")
    assert (tmp_path / "x" / "a").read_text() == "newer"
    assert [child.name for child in tmp_path.iterdir()] == ["x"]
