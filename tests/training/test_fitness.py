"""Minibatches and the size of a scoring pass."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from evaluators import shared
from hypothesis import given
from hypothesis import strategies as st

from pathsearch.grid.population import Plan
from pathsearch.run.streams import torch_stream
from pathsearch.training import batches as batching
from pathsearch.training.batches import minibatches, scoring_batch


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


# --- minibatches --------------------------------------------------------------------------------------------------


def positions(split, size: int, steps: int, seed: int = 0) -> list[list[int]]:
    """Which images a run of minibatches shows, told by their features, which are all different."""
    everything = split.batch(torch.arange(len(split))).flatten(1)
    found = []
    for x, labels in minibatches(split, size, steps, torch_stream(seed, "test")):
        same = (x.flatten(1)[:, None] == everything).all(-1)
        assert (same.sum(1) == 1).all()
        found.append(same.int().argmax(1).tolist())
        assert torch.equal(labels, split.truth[found[-1]])
    return found


@given(n=st.integers(6, 25), size=st.integers(1, 12), steps=st.integers(1, 12))
def test_every_image_once_before_any_again(make_splits, n, size, steps):
    split, _ = make_splits(n_train=n, n_val=3, seed=n)
    batches = positions(split, size, steps)
    assert [len(batch) for batch in batches] == [min(size, n)] * steps
    shown = [i for batch in batches for i in batch]
    for start in range(0, len(shown), n):
        assert len(set(shown[start : start + n])) == len(shown[start : start + n])


def test_a_split_smaller_than_a_batch_is_shown_whole(make_splits):
    split, _ = make_splits(n_train=6, n_val=3)
    assert [sorted(batch) for batch in positions(split, 64, 3)] == [list(range(6))] * 3


def test_minibatches_follow_their_generator(splits):
    assert positions(splits[0], 16, 5, seed=1) == positions(splits[0], 16, 5, seed=1)
    assert positions(splits[0], 16, 5, seed=1) != positions(splits[0], 16, 5, seed=2)


def test_minibatches_draw_from_every_view(make_splits):
    split, _ = make_splits(n_train=60, n_val=3, n_views=3)
    views = [split.batch(torch.arange(60), torch.full((60,), view)).flatten(1) for view in range(3)]
    counts: Counter[int] = Counter()
    for x, _ in minibatches(split, 60, 5, torch_stream(0, "test")):
        for image in x.flatten(1):
            counts.update(view for view in range(3) if (views[view] == image).all(-1).any())
    assert counts.total() == 300
    assert all(abs(counts[view] - 100) < 45 for view in range(3))  # 5.5 standard deviations


# --- the size of a scoring pass -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widest", "images"),
    [
        (1, 1024),  # never more
        # Width 8, maps of 8 × 2 × 2: an image takes 4 · (4 · widest · 8 + 32 + 64 · 4) bytes of 2^27.
        (10_000, 104),  # 2^27 / (4 · 320,288) = 104.8
        (100_000, 10),  # 2^27 / (4 · 3,200,288) = 10.5
        (1_000_000, 4),  # 1.05, but never fewer than 4
    ],
)
def test_scoring_batch_by_hand(make_grid, widest, images):
    assert scoring_batch(make_grid(), Plan((), torch.zeros(1), widest)) == images


def test_scoring_in_small_chunks_changes_nothing(make_grid, splits, monkeypatch):
    evaluator = shared(make_grid, splits)
    paths = evaluator.grid.space.all_paths()[:10]
    whole = evaluator.score(paths)
    monkeypatch.setattr(batching, "PATHS_AT_ONCE", 3)
    monkeypatch.setattr(batching, "SCORING_BYTES", 0)  # 4 images at a time, of 90
    sizes = []
    original = type(splits[1]).batches

    def batches(split, size):
        sizes.append(size)
        return original(split, size)

    monkeypatch.setattr(type(splits[1]), "batches", batches)
    for one, other in zip(evaluator.score(paths), whole, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert sizes == [4] * 10  # 10 paths, one at once: what they say would not fit either
