"""Threads: one for small steps, what the user gave wins, and nothing depends on how busy the machine is."""

from __future__ import annotations

import os

import pytest
import torch
from small_world import evolve as evolve_here
from small_world import outcome, settings

from pathsearch.grid.grid import Grid
from pathsearch.run import threads
from pathsearch.run.settings import GridSettings
from pathsearch.run.teller import Silent
from pathsearch.run.threads import LARGE, choose_threads, keeps_threads
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
