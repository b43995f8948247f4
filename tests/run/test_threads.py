"""Threads: one for small steps, what the user gave wins, and nothing depends on how busy the machine is."""

from __future__ import annotations

import json
import os

import pytest
import torch
from small_world import evolve as evolve_here
from small_world import outcome, refused, settings

from pathsearch.grid.grid import Grid
from pathsearch.run import threads
from pathsearch.run.runs import Run, threads_of
from pathsearch.run.settings import GridSettings
from pathsearch.run.teller import Silent
from pathsearch.run.threads import LARGE, Threads, choose_threads, keeps_threads
from pathsearch.training.cost import answering_work, training_work


@pytest.fixture(autouse=True)
def _two(monkeypatch):
    """A machine with two threads whose user has said nothing."""
    for name in threads.GIVEN:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_small_steps_get_one_thread_and_large_ones_all():
    with keeps_threads():
        assert choose_threads(LARGE, Silent()) == torch.get_num_threads() == 2
        assert choose_threads(LARGE / 2, Silent()) == torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("name", threads.GIVEN)
def test_what_the_user_gave_wins(monkeypatch, name):
    monkeypatch.setenv(name, "2")
    assert choose_threads(1.0, Silent()) == 2


def test_what_began_with_others_goes_on_with_them(monkeypatch):
    told = []
    teller = type("Told", (Silent,), {"advance": lambda self, done, note="": told.append((done, note))})()
    with keeps_threads():
        assert choose_threads(1.0, teller, Threads(3, chosen=True)) == torch.get_num_threads() == 3
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert choose_threads(1.0, teller, Threads(2, chosen=False)) == torch.get_num_threads() == 1
        assert choose_threads(LARGE, teller, Threads(2, chosen=False)) == torch.get_num_threads() == 2
    assert told[0] == (3, "for steps of 1e+00 multiply-adds, as this began; 1 would give other bits")


def test_a_run_goes_on_with_the_threads_that_it_began_with(tmp_path, monkeypatch):
    chosen = settings("blobs", generations=1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    whole, report = evolve_here(tmp_path / "whole", chosen)
    Run(tmp_path / "run").open(chosen, resume=False, overwrite=False)
    assert report["threads"] == 2
    monkeypatch.delenv("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    run, _ = evolve_here(tmp_path / "run", chosen, resume=True)
    assert outcome(run) == outcome(whole)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({"threads_given": {}}, "field torch_threads is missing"),
        ({"torch_threads": "2", "threads_given": {}}, "field torch_threads: expected a whole number, got '2'; restore"),
        (
            {"torch_threads": 0, "threads_given": {}},
            "field torch_threads: expected at least 1, got 0; restore the file",
        ),
    ],
)
def test_an_environment_that_cannot_be_is_one_line(tmp_path, env, line):
    (tmp_path / "env.json").write_text(json.dumps(env))
    with refused(line):
        threads_of(tmp_path / "env.json")


def test_threads_come_back_after_a_fault():
    @keeps_threads()
    def faulty() -> None:
        torch.set_num_threads(1)
        raise ZeroDivisionError

    for _ in range(2):  # the decorator may be used again
        with pytest.raises(ZeroDivisionError):
            faulty()
        assert torch.get_num_threads() == 2


def test_work_by_hand(make_grid):
    grid = Grid((8, 2, 2), GridSettings(n_layers=1, n_modules=1, max_active=1, width=5), 0)  # pool-4
    grid.add_head("x", "linear", (3,))
    forward = 8 * 4 + 4 * 5 + 5 * 3
    network = grid.network(grid.space.full_path(), "x")
    assert answering_work(network, (8, 2, 2), 10) == 10 * forward
    assert training_work(grid, "x", 10) == 30 * forward


def test_a_convolution_counts_every_position():
    grid = Grid((8, 6, 6), GridSettings(n_layers=1, n_modules=1, max_active=1, width=5, modules="paper"), 0)
    grid.add_head("x", "linear", (3,))
    network = grid.network(grid.space.full_path(), "x")
    assert answering_work(network, (8, 6, 6), 1) == 36 * 9 * 8 * 16 + 36 * 16 * 5 + 5 * 3


def test_a_grid_on_large_maps_is_large_and_the_usual_grid_is_not():
    for shape, modules, large in [((512, 4, 4), "mixed", False), ((512, 28, 28), "mixed", True)]:
        grid = Grid(shape, GridSettings(modules=modules), 0)
        grid.add_head("x", "linear", (3,))
        assert (training_work(grid, "x", 128) >= LARGE) == large


def test_a_run_says_what_was_chosen_and_its_result_does_not_depend_on_more(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "getloadavg", lambda: seen.append(1) or (99.0, 99.0, 99.0))
    run, report = evolve_here(tmp_path / "first", settings("blobs", generations=1))
    assert report["threads"] == 1
    assert torch.get_num_threads() == 2
    assert not seen
    torch.set_num_threads(1)
    again, _ = evolve_here(tmp_path / "r", settings("blobs", generations=1))
    assert {**outcome(run), "report": 0} == {**outcome(again), "report": 0}
