"""Last trainings beside each other: who trained what does not show in the run."""

from __future__ import annotations

import functools
import time

import pytest
import small_world
from small_world import data_dir, evolve, finished, generation_of, outcome, refused, runs_dir, settings

from data_prep.errors import PathsearchError
from pathsearch.experts import trainings
from pathsearch.run.engine import Crew
from pathsearch.run.place import Place
from pathsearch.run.runs import Run
from pathsearch.run.teller import Silent


@pytest.fixture
def beside(monkeypatch) -> list[float]:
    """As if every work were worth two processes, once the runs that others are compared with are there."""
    finished("blobs"), alone()
    asked: list[float] = []

    def two(operations: float, *_: object) -> int:
        asked.append(operations)
        return 2

    monkeypatch.setattr(trainings, "processes_for", two)
    return asked


@functools.cache
def alone() -> Run:
    return evolve(runs_dir() / "grown alone", settings("stripes", grown_from="blobs"))[0]


def test_two_processes_train_what_one_does(beside, tmp_path):
    run, _ = evolve(tmp_path / "blobs", settings("blobs"))
    assert outcome(run) == outcome(finished("blobs"))
    assert len(beside) == 1, "of the baselines, before the search"
    assert beside[0] > 0


class Heard(Silent):
    """Hears how far each stage came, of how much."""

    def __init__(self) -> None:
        self.stages: dict[str, tuple[int, int]] = {}
        self.now = ""

    def stage(self, name: str, total: int) -> None:
        self.now, self.stages[name] = name, (0, total)

    def advance(self, done: int, note: str = "") -> None:
        self.stages[self.now] = (done, self.stages[self.now][1])

    def count(self, done: int, total: int) -> None:
        self.stages[self.now] = (done, total)


@pytest.mark.parametrize("probe", [False, True])
def test_the_probe_is_trained_in_parts_only_where_it_is_judged_and_progress_ends_full(monkeypatch, tmp_path, probe):
    asked, heard = [], Heard()
    ask = trainings.Trainings._ask
    monkeypatch.setattr(trainings.Trainings, "_ask", lambda self, *given: asked.append(given[1]) or ask(self, *given))
    monkeypatch.setattr(small_world, "place", lambda device: Place(data_dir() / "features", device, heard))
    _, report = evolve(tmp_path / "run", settings("stripes", probe=probe, choice_folds=None))
    assert (report["path"] == "probe") == probe, "the small world has changed: here the probe was the better one"
    assert asked.count("linear probe") == 1
    assert sum(label.startswith("linear probe, part") for label in asked) == (3 if probe else 0)
    assert sum(label.startswith("finalist") and "part" in label for label in asked) == 3 * len(
        [row for row in report["finalists"] if row["path"] != "probe"]
    )
    done, total = heard.stages["train"]
    assert (done, total) == (len(asked), len(asked))


def test_on_a_grown_grid_too(beside):
    run, _ = evolve(runs_dir() / "grown beside", settings("stripes", grown_from="blobs"))
    assert outcome(run) == outcome(alone())


def _fails(one: trainings.Training) -> None:
    raise PathsearchError(f"{one.label}: expected memory, got none")


def test_what_fails_beside_the_search_ends_it_at_its_next_generation(beside, tmp_path, monkeypatch):
    """Where it is kept, and goes on without what failed."""
    trained, given = trainings.Training.trained, Crew.give

    def give(self: Crew, works, at_once):
        given(self, works, at_once)
        until = time.monotonic() + 60
        while self.failed is None and time.monotonic() < until:
            time.sleep(0.05)

    with monkeypatch.context() as broken:
        broken.setattr(trainings.Training, "trained", _fails)
        broken.setattr(Crew, "give", give)
        with refused("^(random paths|full grid|linear probe): expected memory, got none$"):
            evolve(tmp_path / "blobs", settings("blobs"))
    assert trainings.Training.trained is trained
    assert len(generation_of(Run(tmp_path / "blobs"))["log"]) == 1
    run, _ = evolve(tmp_path / "blobs", settings("blobs"), resume=True)
    assert outcome(run) == outcome(finished("blobs"))
