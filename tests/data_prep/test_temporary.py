from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from data_prep.temporary import remove_litter, temporary

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")

HOLDER = """
import sys, time
from pathlib import Path
from data_prep.temporary import temporary
with temporary(Path(sys.argv[1]), folder=sys.argv[2] == "folder") as part:
    print(part.name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Start processes that hold a temporary file or folder beside `target`."""
    started = []

    def hold(kind):
        command = [sys.executable, "-c", HOLDER, str(tmp_path / "target.txt"), kind]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, tmp_path / process.stdout.readline().strip()

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_living_process_owns_stays_and_what_a_killed_one_left_goes(holder, tmp_path, kind):
    process, part = holder(kind)
    assert part.exists()
    remove_litter(tmp_path)
    with temporary(tmp_path / "target.txt", folder=kind == "folder"):
        pass
    assert part.exists(), "two processes at once: the other is still at work"
    process.kill()
    process.wait()
    assert part.exists(), "a kill leaves it"
    with temporary(tmp_path / "target.txt", folder=kind == "folder"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_only_names_of_temporary_files_are_removed(tmp_path):
    others = ["x.part", ".x.part", ".x.0123abcd.part.a.b", ".x.0123abc.part", ".other.0123abcd.part", "0123abcd.part"]
    for name in [*others, ".x.0123abcd.part", ".x.0123abcd.part.json"]:
        (tmp_path / name).write_text("")
    remove_litter(tmp_path, "x")
    assert sorted(child.name for child in tmp_path.iterdir()) == sorted(others)
    remove_litter(tmp_path / "nowhere")


def test_a_link_is_no_litter(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / ".x.0123abcd.part").symlink_to(tmp_path / "precious")
    remove_litter(tmp_path)
    assert (tmp_path / ".x.0123abcd.part").is_symlink()
    assert (tmp_path / "precious").is_dir()


def test_cleaners_and_writers_at_once_never_take_each_others_files(tmp_path):
    """Whatever a writer is given is there for all of its block."""
    lost, stop = [], threading.Event()

    def clean():
        while not stop.is_set():
            remove_litter(tmp_path)

    def write(number):
        for turn in range(150):
            with temporary(tmp_path / "x", folder=(number + turn) % 2 == 0) as part:
                if not part.exists():
                    lost.append(part)

    cleaners = [threading.Thread(target=clean) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in (*cleaners, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in cleaners:
        thread.join()
    assert lost == []
    assert list(tmp_path.iterdir()) == []
