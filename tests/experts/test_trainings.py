"""Last trainings beside each other: who trained what does not show in the run."""

from __future__ import annotations

import functools

import pytest
from small_world import evolve, finished, outcome, runs_dir, settings

from pathsearch.experts import trainings
from pathsearch.run.runs import Run


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


def test_on_a_grown_grid_too(beside):
    run, _ = evolve(runs_dir() / "grown beside", settings("stripes", grown_from="blobs"))
    assert outcome(run) == outcome(alone())
