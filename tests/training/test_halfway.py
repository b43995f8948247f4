"""A training that is cut off anywhere goes on to the same bits as one that is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
import torch
from benches import bench
from small_world import refused
from trained import PATH, SETTINGS

from pathsearch.training import halfway
from pathsearch.training.baselines import train_path
from pathsearch.training.course import Course, Pupil
from pathsearch.training.halfway import HalfwayFile
from pathsearch.training.last_training import Trained


class Cut(Exception):
    """A kill, to a test."""


def at(folder: FilePath, owner: str = "me", what: str = "it") -> HalfwayFile:
    return HalfwayFile(folder / "halfway.safetensors", owner, what, "delete that file")


def same(one: Trained, other: Trained) -> bool:
    weights = [each.network.state_dict() for each in (one, other)]
    return (
        one.history == other.history
        and one.best_epoch == other.best_epoch
        and all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        and all(torch.equal(one.said[name], other.said[name]) for name in one.said)
    )


def cut_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Every epoch is kept; the one after so many is never begun."""
    original, done = Course.epoch, 0

    def counted(course: Course) -> Any:
        nonlocal done
        if done == epochs:
            raise Cut
        done += 1
        return original(course)

    monkeypatch.setattr(halfway, "EVERY", 0.0)
    monkeypatch.setattr(Course, "epoch", counted)


@pytest.mark.parametrize("optimiser", ["adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_it_goes_on_to_the_same_bits(make_grid, splits, tmp_path, monkeypatch, optimiser, schedule, epochs):
    last = replace(SETTINGS, epochs=5, patience=2, dropout=0.3, optimiser=optimiser, schedule=schedule, refit=False)
    whole = train_path(bench(splits, last=last), make_grid(), PATH)
    kept = replace(bench(splits, last=last), halfway=at(tmp_path))
    with monkeypatch.context() as patch:
        cut_after(patch, epochs)
        with pytest.raises(Cut):
            train_path(kept, make_grid(), PATH)
    assert at(tmp_path).file.exists()
    assert same(train_path(replace(kept, halfway=at(tmp_path)), make_grid(), PATH), whole)


def test_a_refit_goes_on_too(make_grid, splits, tmp_path, monkeypatch):
    last = replace(SETTINGS, epochs=3, patience=3, refit=True)
    whole = train_path(bench(splits, last=last), make_grid(), PATH)
    kept = replace(bench(splits, last=last), halfway=at(tmp_path))
    with monkeypatch.context() as patch:
        cut_after(patch, 3 + 1)
        with pytest.raises(Cut):
            train_path(kept, make_grid(), PATH)
    assert at(tmp_path).load("refit") is not None
    assert same(train_path(replace(kept, halfway=at(tmp_path)), make_grid(), PATH), whole)


def test_of_another_training_it_says_nothing(make_grid, splits, tmp_path):
    grid = make_grid()
    course = Course([Pupil(bench(splits, last=SETTINGS), grid.network(PATH, "planted"), grid.shapes[1:])], 2)
    at(tmp_path).save("train", *course.state())
    assert at(tmp_path).load("train") is not None
    assert at(tmp_path).load("refit") is None
    assert at(tmp_path, what="another").load("train") is None
    with refused("belongs to other settings.*; delete that file"):
        at(tmp_path, owner="you").load("train")
    whole = at(tmp_path).file.read_bytes()
    at(tmp_path).file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with refused("damaged.*; delete that file"):
        at(tmp_path).load("train")


def test_short_trainings_keep_nothing(make_grid, splits, tmp_path):
    train_path(replace(bench(splits, last=SETTINGS), halfway=at(tmp_path)), make_grid(), PATH)
    assert not at(tmp_path).file.exists()
