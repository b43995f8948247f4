"""Work side by side: all of it done, the same as in one process, and nothing left running."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from small_world import refused

from data_prep.errors import PathsearchError
from pathsearch.run import engine
from pathsearch.run.engine import WORTH, Crew, processes_for, run_all


@dataclass(frozen=True)
class Note:
    """Writes which process it ran in."""

    folder: Path
    name: str
    how: str = "well"

    def write(self) -> None:
        if self.how == "badly":
            raise PathsearchError(f"{self.name}: expected well, got badly")
        if self.how == "dying":
            os._exit(3)
        if self.how == "for long":
            time.sleep(60)
        (self.folder / self.name).write_text(f"{os.getpid()} {torch.get_num_threads()}")


def notes(folder: Path, *hows: str) -> list[Note]:
    return [Note(folder, str(number), how) for number, how in enumerate(hows)]


@pytest.mark.parametrize("processes", [1, 2])
def test_all_is_done_and_told(tmp_path, processes):
    done = list(run_all(Note.write, notes(tmp_path, *["well"] * 5), processes))
    assert sorted(done) == list(range(5))
    written = [(tmp_path / str(number)).read_text().split() for number in range(5)]
    assert {threads for _, threads in written} == {"1"}
    assert (str(os.getpid()) in {pid for pid, _ in written}) == (processes == 1)


def left() -> list[multiprocessing.process.BaseProcess]:
    """Children that still run, after a moment to end in."""
    until = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.05)
    return multiprocessing.active_children()


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_comes_through_and_ends_the_rest(tmp_path, processes):
    started = time.monotonic()
    with refused("^0: expected well, got badly$"):
        list(run_all(Note.write, notes(tmp_path, "badly", *["for long"] * 3), processes))
    assert time.monotonic() - started < 50, "work that has begun is not awaited"
    assert left() == []


def _unready() -> None:
    raise PathsearchError("plug-in: expected a file, got none")


def test_what_a_process_could_not_prepare_is_said(tmp_path):
    with refused("^plug-in: expected a file, got none$"):
        list(run_all(Note.write, notes(tmp_path, "well", "well"), 2, _unready))
    assert not list(tmp_path.iterdir())


def test_a_process_that_dies_is_told_of(tmp_path):
    with refused("a process that trained beside others died.*--resume, and OMP_NUM_THREADS=1"):
        list(run_all(Note.write, notes(tmp_path, "dying", "well", "well"), 2))
    assert left() == []


@pytest.mark.parametrize(
    ("how", "line"), [("dying", "a process that trained beside others died.*--resume"), ("badly", "^0: expected well")]
)
def test_what_failed_is_said_before_the_end_to_who_asks(tmp_path, how, line):
    with Crew(Note.write, 2) as crew:
        crew.check()
        crew.give(notes(tmp_path, how), 1)
        until = time.monotonic() + 60
        with refused(line):
            while time.monotonic() < until:
                crew.check()
                time.sleep(0.05)
        with refused(line):
            list(crew.done())


def test_who_stops_listening_ends_the_work(tmp_path):
    told = run_all(Note.write, notes(tmp_path, "well", "for long", "for long"), 2)
    next(told)
    told.close()  # what an interrupt does to it
    assert left() == []


def _parent(folder: Path) -> None:
    list(run_all(Note.write, notes(folder, "well", "for long", "for long"), 2))


def _running(marker: str) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (place / "environ").read_text(errors="replace"):
                found.append(int(place.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc")
def test_a_killed_parent_leaves_no_process_behind(tmp_path, monkeypatch):
    marker = f"PATHSEARCH_TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv(*marker.split("="))
    parent = multiprocessing.get_context("spawn").Process(target=_parent, args=(tmp_path,))
    parent.start()
    until = time.monotonic() + 120
    while not (tmp_path / "0").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(_running(marker)) > 2
    parent.kill()
    parent.join()
    until = time.monotonic() + 20
    while _running(marker) and time.monotonic() < until:
        time.sleep(0.1)
    assert _running(marker) == []


def test_little_work_stays_here():
    cpu = torch.device("cpu")
    assert processes_for(WORTH - 1, 8, cpu) == 1
    assert processes_for(WORTH, 8, cpu) == 8
    assert processes_for(WORTH, 8, torch.device("cuda")) == 1
    assert engine.WORTH == WORTH
