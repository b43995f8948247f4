"""Measures, class weights, minibatches and the size of a scoring pass."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from evaluators import shared
from hypothesis import given
from hypothesis import strategies as st

from pathsearch.grid.path import Path
from pathsearch.grid.population import Plan
from pathsearch.run.streams import torch_stream
from pathsearch.training import fitness as module
from pathsearch.training.fitness import (
    Fitness,
    NonFiniteFitness,
    class_weights,
    fitnesses,
    minibatches,
    scoring_batch,
)


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


# --- measures, worked by hand -------------------------------------------------------------------------------

# Two classes, labels 0 0 0 1; path A is wrong about the third image, path B about the fourth.
LABELS = torch.tensor([0, 0, 0, 1])
SECOND = torch.tensor([[0.1, 0.4, 0.7, 0.6], [0.2, 0.3, 0.1, 0.25]], dtype=torch.float64)  # p of class 1
LOG_P = torch.stack([1 - SECOND, SECOND], -1).log()
AB = [Path.parse("0"), Path.parse("1")]


def scores(measure: str) -> list[float]:
    return [one.score for one in fitnesses(LOG_P, LABELS, measure, AB)]


def test_accuracy_by_hand():
    assert scores("accuracy") == [3 / 4, 3 / 4]


def test_balanced_accuracy_by_hand():
    # A: recalls 2/3 and 1/1; B: 3/3 and 0/1.
    assert scores("balanced_accuracy") == pytest.approx([5 / 6, 1 / 2], abs=1e-12)


def test_auc_by_hand():
    # A: 0.6 against 0.1, 0.4, 0.7 wins 2 of 3. B: 0.25 against 0.2, 0.3, 0.1 wins 2 of 3.
    assert scores("auc") == pytest.approx([2 / 3, 2 / 3], abs=1e-12)


def test_likelihood_by_hand():
    # B: (log 0.8 + log 0.7 + log 0.9 + log 0.25) / 4
    got = [one.log_likelihood for one in fitnesses(LOG_P, LABELS, "accuracy", AB)]
    expected = [
        (math.log(0.9) + math.log(0.6) + math.log(0.3) + math.log(0.6)) / 4,
        (math.log(0.8) + math.log(0.7) + math.log(0.9) + math.log(0.25)) / 4,
    ]
    assert got == pytest.approx(expected)


def test_auc_of_three_classes_is_the_mean_of_one_against_the_rest():
    p = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 2])
    # Class 0: 0.6 and 0.3 against 0.2 and 0.1: 4 of 4. Class 1: 0.5 against 0.3, 0.4, 0.2: 3 of 3. Class 2: 0.7
    # against 0.1, 0.3, 0.3: 3 of 3. Swapping the labels of the middle two images: class 0: 0.6 wins 2, 0.2
    # against 0.3 and 0.1 wins 1: 3 of 4; class 1: 0.4 against 0.3, 0.5, 0.2: 2 of 3.
    assert fitnesses(p.log()[None], labels, "auc", AB[:1])[0].score == pytest.approx(1.0, abs=1e-12)
    swapped = torch.tensor([0, 0, 1, 2])
    expected = (3 / 4 + 2 / 3 + 1) / 3
    assert fitnesses(p.log()[None], swapped, "auc", AB[:1])[0].score == pytest.approx(expected, abs=1e-12)


def test_accuracy_comes_first_and_likelihood_breaks_ties():
    assert Fitness(0.9, -5.0) > Fitness(0.8, -0.1)
    assert Fitness(0.9, -0.1) > Fitness(0.9, -0.2)


@pytest.mark.parametrize("measure", ["accuracy", "balanced_accuracy", "auc"])
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_non_finite_is_refused_under_every_measure(measure, bad):
    log_p = LOG_P.clone()
    log_p[1, 0] = bad
    with pytest.raises(NonFiniteFitness, match=r"path 1: fitness became .*log-likelihood="):
        fitnesses(log_p, LABELS, measure, AB)


# --- class weights and minibatches --------------------------------------------------------------------------


def test_class_weights_by_hand():
    # Three of class 0, one of class 1: 4 / (2 · 3) and 4 / (2 · 1).
    assert class_weights(LABELS, 2).tolist() == pytest.approx([2 / 3, 2.0])


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_class_weights_level_the_classes_and_have_mean_one(counts):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    weights = class_weights(labels, len(counts))
    assert weights[labels].mean().item() == pytest.approx(1, rel=1e-5)
    totals = (weights * torch.tensor(counts)).tolist()
    assert totals == pytest.approx([totals[0]] * len(counts), rel=1e-5)


def test_class_weights_of_half_strength_by_hand():
    # Nine of class 0, one of class 1: as 1/3 to 1; over the ten images 9/3 + 1 = 4, so times 10/4.
    labels = torch.tensor([0] * 9 + [1])
    assert class_weights(labels, 2, 0.5).tolist() == pytest.approx([10 / 12, 2.5])
    assert class_weights(labels, 2, 0).tolist() == pytest.approx([1, 1])
    assert torch.equal(class_weights(labels, 2, 1.0), class_weights(labels, 2))


def positions(split, size: int, steps: int, seed: int = 0) -> list[list[int]]:
    """Which images a run of minibatches shows, told by their features, which are all different."""
    everything = split.batch(torch.arange(len(split))).flatten(1)
    found = []
    for x, labels in minibatches(split, size, steps, torch_stream(seed, "test")):
        same = (x.flatten(1)[:, None] == everything).all(-1)
        assert (same.sum(1) == 1).all()
        found.append(same.int().argmax(1).tolist())
        assert torch.equal(labels, split.labels[found[-1]])
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
        (100_000, 16),  # 2^27 / (4 · 3,200,288) = 10.5, but never fewer than 16
    ],
)
def test_scoring_batch_by_hand(make_grid, widest, images):
    assert scoring_batch(make_grid(), Plan((), torch.zeros(1), widest)) == images


def test_scoring_in_small_chunks_changes_nothing(make_grid, splits, monkeypatch):
    evaluator = shared(make_grid, splits)
    paths = evaluator.grid.space.all_paths()[:10]
    whole = evaluator.score(paths)
    monkeypatch.setattr(module, "PATHS_AT_ONCE", 3)
    monkeypatch.setattr(module, "SCORING_BYTES", 0)  # 16 images at a time, of 90
    sizes = []
    original = type(splits[1]).batches

    def batches(split, size):
        sizes.append(size)
        return original(split, size)

    monkeypatch.setattr(type(splits[1]), "batches", batches)
    for one, other in zip(evaluator.score(paths), whole, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert sizes == [16] * 4  # 10 paths, 3 at once
