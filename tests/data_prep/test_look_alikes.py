from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import look_alikes
from data_prep.fingerprints import ALIKE, N_BITS, Fingerprint
from data_prep.look_alikes import compare_all, compare_near, n_alike


def by_definition(ours, theirs):
    return np.array([(one != theirs).sum(axis=1).min() <= ALIKE for one in ours])


def changed(bits, n_changes, rng):
    bits = bits.copy()
    bits[rng.choice(N_BITS, n_changes, replace=False)] ^= True
    return bits


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), likely=st.sampled_from([0.5, 0.1, 0.01, 0.0]), crowded=st.booleans())
def test_the_answer_is_that_of_all_comparisons(seed, likely, crowded):
    """Hashes of even and of uneven bits, single and in crowds, with neighbours on both sides of the limit."""
    rng = np.random.default_rng(seed)
    theirs = rng.random((60, N_BITS)) < likely
    if crowded:
        theirs[30:] = [changed(theirs[0], int(rng.integers(0, 90)), rng) for _ in range(30)]
    near = [changed(theirs[rng.integers(60)], int(rng.integers(ALIKE - 3, ALIKE + 4)), rng) for _ in range(30)]
    ours = np.concatenate([near, rng.random((20, N_BITS)) < likely])
    expected = by_definition(ours, theirs)
    assert np.array_equal(compare_near(ours, theirs), expected)
    assert np.array_equal(compare_all(ours, theirs), expected)


@pytest.mark.parametrize("dear", [1e-9, 10**9])
def test_the_way_through_a_crowd_and_the_way_round_it_agree(monkeypatch, dear):
    monkeypatch.setattr(look_alikes, "DEAR", dear)  # never all by all; all by all at once
    monkeypatch.setattr(look_alikes, "BLOCK", 7)
    rng = np.random.default_rng(0)
    middle = rng.random(N_BITS) < 0.5
    theirs = np.array([changed(middle, int(n), rng) for n in rng.integers(0, 60, 80)])
    ours = np.array([changed(middle, int(n), rng) for n in rng.integers(0, 60, 50)])
    expected = by_definition(ours, theirs)
    assert 0 < expected.sum() < 50
    assert np.array_equal(compare_near(ours, theirs), expected)


def test_the_worst_that_the_pigeonhole_allows_is_found():
    """A hash that differs in every part, by the most bits that the limit leaves: one bit in one, two in most."""
    rng = np.random.default_rng(0)
    theirs = rng.random((400, N_BITS)) < 0.5
    parts = look_alikes._parts(theirs)
    ours = theirs[:3].copy()
    for row, n_ones in enumerate((2, 3, 0)):  # 19 · 2 + 2 = 40 and 18 · 2 + 3 = 39 bits; 21 · 2 = 42 bits
        for number, part in enumerate(parts):
            ours[row, part[: 1 if number < n_ones else 2]] ^= True
    assert [(one ^ other).sum() for one, other in zip(ours, theirs, strict=False)] == [40, 39, 42]
    assert compare_near(ours, theirs).tolist() == [True, True, False]


def test_twice_as_many_take_far_less_than_four_times_as_long():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (48_000, N_BITS)).astype(bool)

    def seconds(n):
        start = time.process_time()
        assert not compare_near(bits[:n], bits[24_000 : 24_000 + n]).any()
        return time.process_time() - start

    seconds(1000)
    few, many = (min(seconds(n) for _ in range(3)) for n in (3_000, 24_000))
    assert many < 25 * few, "eight times as many: all by all would take 64 times as long"


def test_small_and_large_sets_take_their_own_way(monkeypatch):
    rng = np.random.default_rng(0)
    prints = [Fingerprint(b"", row) for row in rng.random((40, N_BITS)) < 0.5]
    expected = n_alike(prints[:20], prints[10:])
    monkeypatch.setattr(look_alikes, "FEW", 0)
    assert n_alike(prints[:20], prints[10:]) == expected == 10
