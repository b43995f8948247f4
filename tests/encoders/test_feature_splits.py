"""A task's features by split: their standardiser, views, joined splits, and few images drawn by a seed."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_world import encoder, prepare, refused, registered

from data_prep.manifest import Task
from pathsearch.encoders.features import encode, split_in_words
from pathsearch.encoders.split import Split, Standardiser

N = 30  # images of the task below: enough for 8 batches of 4


@pytest.fixture
def task(tmp_path) -> Task:
    return prepare(tmp_path / "data", "blobs", N)


# --- splits ----------------------------------------------------------------------------------------------------------


def test_standardiser_golden_values():
    # feature 0: 0 and 2, mean 1, spread 1; feature 1: dead at 5, spread 0, floored at 0.05 × mean spread (0.5) = 0.025
    maps = np.array([[0, 5], [2, 5], [99, 99]], dtype=np.float16).reshape(3, 2, 1, 1)
    fitted = Standardiser.fit(maps, np.array([0, 1]))  # the third row is no training image
    assert fitted.mean.flatten().tolist() == [1, 5]
    assert fitted.std.flatten().tolist() == pytest.approx([1, 0.025])
    assert fitted(torch.from_numpy(maps[:2])).flatten(1).tolist() == [[-1, 0], [1, 0]]


def test_standardiser_works_in_chunks():
    maps = np.random.default_rng(0).normal(3, 2, (3000, 2, 1, 1)).astype(np.float16)
    fitted = Standardiser.fit(maps, np.arange(3000))
    assert fitted.mean.flatten().tolist() == pytest.approx(maps.astype(float).mean(0).flatten(), rel=1e-5)
    assert fitted.std.flatten().tolist() == pytest.approx(maps.astype(float).std(0).flatten(), rel=1e-5)


def test_splits_hold_their_own_images(task, tmp_path):
    def uneven(table: pd.DataFrame) -> None:
        table.loc[table.index[table["split"].eq("test")][0], "split"] = "val"

    task = registered(task, uneven)
    found = encode(task, encoder(), tmp_path, 2)
    for split in (found.train(), found.validation(), found.test()):
        rows = task.rows(split.name)
        assert len(split) == len(rows)
        assert split.truth.tolist() == task.labels(split.name).tolist()
        assert torch.equal(split.raw(torch.arange(len(split))), torch.from_numpy(found.views[0][rows]))
    everything = torch.cat([x for x, _ in found.train().batches(7)])
    assert everything.mean(0).abs().max() < 1e-3, "standardised by the training images"


def test_only_training_images_have_further_views(task, tmp_path):
    found = encode(task, encoder(), tmp_path, 2)
    train, positions = found.train(), torch.tensor([2, 0])
    mixed = train.batch(positions, torch.tensor([1, 0]))
    expected = np.stack([found.views[1][2], found.views[0][task.rows("train")[0]]])
    assert torch.equal(mixed, train.standardise(torch.from_numpy(expected)))
    assert len(found.validation().views) == len(found.test().views) == 1


def test_joined_puts_one_split_after_the_other(task, tmp_path):
    found = encode(task, encoder(), tmp_path, 2)
    train, val = found.train(), found.validation()
    both = train.joined(val)
    assert both.truth.tolist() == train.truth.tolist() + val.truth.tolist()
    n = len(train)
    assert torch.equal(both.raw(torch.arange(n, len(both))), val.raw(torch.arange(len(val))))
    views = torch.tensor([1, 1])
    seen = both.batch(torch.tensor([3, n + 1]), views)  # a validation image has no view 1: it shows its own
    assert torch.equal(seen[0], train.batch(torch.tensor([3]), torch.tensor([1]))[0])
    assert torch.equal(seen[1], val.batch(torch.tensor([1]))[0])


def test_held_images_are_the_same_to_the_bit(task, tmp_path, monkeypatch):
    found = encode(task, encoder(), tmp_path, 2)
    split, views = found.validation().joined(found.test()), found.train()
    held, some = split.held(), torch.tensor([3, 0, 3])
    assert torch.equal(held.batch(some), split.batch(some))
    assert torch.equal(held.truth, split.truth)
    assert (held.views[0].dtype, held.views[0].shape[0]) == (np.float32, len(split))
    assert views.held() is views, "views are drawn anew"
    monkeypatch.setattr("pathsearch.encoders.split.ROWS", 2)
    assert np.array_equal(split.held().views[0], held.views[0])
    monkeypatch.setattr("pathsearch.encoders.split.HELD_BYTES", held.views[0].nbytes)
    assert split.held() is not split
    monkeypatch.setattr("pathsearch.encoders.split.HELD_BYTES", held.views[0].nbytes - 1)
    assert split.held() is split


def test_pooled_is_the_mean_over_positions():
    maps = np.arange(24, dtype=np.float16).reshape(3, 2, 2, 2)
    split = Split("val", torch.tensor([0, 1]), (maps,), (np.array([2, 0]),), Standardiser.fit(maps, np.arange(3)))
    assert split.pooled().tolist() == [[17.5, 21.5], [1.5, 5.5]]  # (16+17+18+19)/4 …


@pytest.mark.parametrize("left", [None, 1000])
def test_features_that_were_taken_away_are_one_clear_line_to_another_process(task, tmp_path, left):
    split = encode(task, encoder(), tmp_path / "cache").train()
    text, file = pickle.dumps(split), Path(split.views[0].filename)
    kept = file.read_bytes()
    file.unlink()  # what is mapped here stays
    if left:
        file.write_bytes(kept[:left])
    with refused(r"features .*view0\.npy: expected the file that was opened before, .*; give the same command again"):
        pickle.loads(text)  # noqa: S301 (our own)


# --- few images -----------------------------------------------------------------------------------------------------


def test_few_images_are_exactly_as_many_of_each_class(task, tmp_path):
    whole = encode(task, encoder(), tmp_path, 2)
    found = whole.limited(3, seed=0)
    train = found.train()
    assert np.bincount(train.truth).tolist() == [3, 3]
    assert np.bincount(found.validation().truth).tolist() == [3, 3]
    assert set(train.rows[0]) < set(task.rows("train"))
    assert train.truth.tolist() == [whole.task.labels("train")[i] for i in train.rows[1]]
    assert (task.rows("train")[train.rows[1]] == train.rows[0]).all(), "their further views are their own"
    drawn = train.standardise(train.raw(torch.arange(6)))
    assert drawn.mean(0).abs().max() < 1e-3, "standardised by the drawn images alone"


def test_few_images_leave_the_test_images_alone(task, tmp_path):
    whole = encode(task, encoder(), tmp_path)
    one, other = whole.limited(3, seed=0).test(), whole.test()
    assert one.rows[0].tolist() == other.rows[0].tolist() == task.rows("test").tolist()
    assert torch.equal(one.truth, other.truth)


def test_the_seed_draws_the_few_images(task, tmp_path):
    whole = encode(task, encoder(), tmp_path)
    drawn = [[whole.limited(3, seed).train().rows[0].tolist() for seed in (0, 1, 2)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len({tuple(rows) for rows in drawn[0]}) == 3
    nested = set(whole.limited(2, 0).train().rows[0]) < set(whole.limited(4, 0).train().rows[0])
    assert nested, "more labels are the same ones and others"
    assert whole.limited(None, 0) is whole


def test_too_few_images_are_one_clear_line(task, tmp_path):
    whole = encode(task, encoder(), tmp_path)
    assert np.bincount(task.labels("train")).tolist() == [9, 9]
    assert np.bincount(task.labels("val")).tolist() == [3, 3]
    with refused("training.images_per_class: expected at most 9, the training images of class 'large', got 10; choose"):
        whole.limited(10, seed=0)
    found = whole.limited(9, seed=0)
    assert len(found.train()) == 18
    assert len(found.validation()) == 6, "of validation images all, where there are fewer"


def test_words_say_how_few(task):
    assert split_in_words(task, None) == task.split_in_words
    assert split_in_words(task, 5).startswith(f"{task.split_in_words}; of these only 5 training images and at most 5")
