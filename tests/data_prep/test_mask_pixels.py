"""Masks stay labels at any size."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data_prep.mask_pixels import hull, resized, spread

masks = arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.integers(0, 4))


@given(masks, st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_a_resized_mask_has_no_class_that_was_not_there(mask, width, height):
    result = resized(mask, width, height)
    assert result.shape == (height, width)
    assert result.dtype == np.uint8
    assert set(np.unique(result)) <= set(np.unique(mask))


@given(masks, st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_made_larger_by_a_whole_number_each_pixel_becomes_a_block(mask, times):
    larger = np.kron(mask, np.ones((times, times), np.uint8))
    np.testing.assert_array_equal(resized(mask, mask.shape[1] * times, mask.shape[0] * times), larger)


def test_most_of_a_pixel_decides():
    # Blocks of 2 × 2: three of class 2; four of class 1; one of class 1 alone; two and two: the centre's own,
    # which is the lower right of the four.
    mask = np.array([[2, 2, 1, 1], [2, 0, 1, 1], [0, 1, 3, 0], [0, 0, 0, 3]], np.uint8)
    assert resized(mask, 2, 2).tolist() == [[2, 1], [0, 3]]


def test_the_nearest_pixel_alone_would_lose_what_most_of_a_pixel_is():
    mask = np.ones((4, 4), np.uint8)
    mask[1::2, 1::2] = 0  # where the centres are
    assert resized(mask, 2, 2).tolist() == [[1, 1], [1, 1]]


def test_the_share_of_a_class_stays_nearly_the_same():
    y, x = np.mgrid[:256, :256]
    disc = ((x - 120) ** 2 + (y - 130) ** 2 < 70**2).astype(np.uint8)
    for size in (128, 100, 61, 300):
        assert abs(resized(disc, size, size).mean() - disc.mean()) < 0.002, size


def test_levels_are_spread_from_black_to_white():
    assert spread(2) == [0, 255]
    assert spread(4) == [0, 85, 170, 255]
    assert len(set(spread(32))) == 32


def test_a_hull_by_hand():
    mask = np.zeros((8, 10), np.uint8)
    mask[2, 3], mask[5, 7] = 1, 2
    assert hull(mask) == (3, 2, 8, 6)
    assert hull(np.zeros((8, 10), np.uint8)) is None
