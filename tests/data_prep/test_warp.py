"""Image, mask and box of one picture move together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep.errors import PathsearchError
from data_prep.table_words import NO_MASK
from data_prep.warp import Warp

WIDTH, HEIGHT = 48, 40


def hull(mask: np.ndarray) -> np.ndarray:
    """The box of a mask's pixels, from edge to edge."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


def near_a_border(mask: np.ndarray) -> np.ndarray:
    """Pixels with one of another kind among their eight neighbours, and those at the edge of the picture."""
    padded = np.pad(mask, 1, constant_values=2)
    around = [padded[y : y + HEIGHT, x : x + WIDTH] for y in range(3) for x in range(3)]
    return np.any([one != mask for one in around], axis=0)


@st.composite
def rectangles(draw):
    """(x_min, y_min, x_max, y_max) of at least 8 pixels a side, somewhere in the picture."""
    x, y = draw(st.integers(0, WIDTH - 8)), draw(st.integers(0, HEIGHT - 8))
    return x, y, draw(st.integers(x + 8, WIDTH)), draw(st.integers(y + 8, HEIGHT))


warps = st.builds(Warp, st.booleans(), st.floats(0.8, 1.25), st.floats(-30, 30))


def drawn(rectangle) -> np.ndarray:
    """The ellipse that touches all sides of a rectangle."""
    x_min, y_min, x_max, y_max = rectangle
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    u, v = (2 * x - x_min - x_max) / (x_max - x_min), (2 * y - y_min - y_max) / (y_max - y_min)
    return (u**2 + v**2 <= 1).astype(np.uint8)


@given(rectangles(), warps)
@settings(max_examples=200, deadline=None)
def test_image_mask_and_box_move_together(rectangle, warp):
    mask = drawn(rectangle)
    moved = warp.mask(mask)
    assert moved.dtype == np.uint8
    assert moved.shape == mask.shape
    image = np.array(warp.image(Image.fromarray(mask * 255)))
    assert not ((image >= 128) != (moved == 1))[~near_a_border(moved)].any()
    box = warp.box(np.array(rectangle), WIDTH, HEIGHT)
    assert box.dtype == np.float32
    if np.isnan(box).any():
        return
    outwards = (box - hull(moved)) * [-1, -1, 1, 1]
    # all of the mask lies in the box, but for half a diagonal of a turned pixel and half a pixel of the picture
    assert outwards.min() >= -0.51 - math.sqrt(0.5) * max(1, warp.scale)
    if (box > 0).all() and (box < [WIDTH, HEIGHT, WIDTH, HEIGHT]).all():  # else its widest place may be cut off
        assert outwards.max() <= 2.01  # the ends of a drawn ellipse are up to a pixel short


@given(rectangles(), warps)
@settings(max_examples=50, deadline=None)
def test_a_box_of_another_warp_is_found_out(rectangle, warp):
    """The check above can fail: a box that moved by the warp's mirror image is further off for most."""
    other = Warp(not warp.flip, warp.scale, warp.angle)
    middle = abs(rectangle[0] + rectangle[2] - WIDTH)
    box, right = (one.box(np.array(rectangle), WIDTH, HEIGHT) for one in (other, warp))
    if middle > 12 and not np.isnan(box).any() and not np.isnan(right).any() and abs(warp.angle) < 1:
        assert np.abs(box - hull(warp.mask(drawn(rectangle)))).max() > 1.01


def test_a_mirrored_box_by_hand():
    assert Warp(flip=True).box(np.array([2, 3, 10, 20]), 48, 40).tolist() == [38, 3, 46, 20]  # 48 - 10, 48 - 2


def test_a_turned_box_is_that_of_the_ellipse_in_it():
    assert Warp(angle=30).box(np.array([3, 3, 5, 5]), 8, 8).tolist() == pytest.approx([3, 3, 5, 5]), "of a circle"
    # Half axes 3 and 1 about the centre of 8 × 8, turned by 45 degrees: sqrt((9 + 1) / 2) to each side.
    root = math.sqrt(5)
    box = Warp(angle=45).box(np.array([1, 3, 7, 5]), 8, 8)
    assert box.tolist() == pytest.approx([4 - root, 4 - root, 4 + root, 4 + root], abs=1e-6)


@given(rectangles(), warps)
@settings(max_examples=50, deadline=None)
def test_the_box_of_a_mask_is_its_hull_after_the_warp(rectangle, warp):
    mask = drawn(rectangle)
    moved, box = warp.mask(mask), warp.box_of(mask)
    left = moved.sum() / mask.sum() / warp.scale**2
    assert np.isnan(box).all() if left < 0.25 else (box == hull(moved)).all()


def test_no_mask_has_no_box():
    assert np.isnan(Warp().box_of(np.zeros((8, 8), np.uint8))).all()


def test_a_quarter_turn_goes_to_the_right():
    mask = np.zeros((8, 8), np.uint8)
    mask[0, 2] = 1  # at the top: it goes to the right side
    assert hull(Warp(angle=90).mask(mask)).tolist() == [7, 2, 8, 3]
    assert Warp(angle=90).box(np.array([2, 0, 3, 1]), 8, 8).tolist() == pytest.approx([7, 2, 8, 3], abs=1e-6)


def test_a_box_of_which_less_than_a_quarter_is_left_is_none():
    # Twice as large about the centre of 8 × 8, x goes to 2x - 4: 1…3 becomes -2…2, half is left; 1…2.1 becomes
    # -2…0.2, of which a tenth is left.
    boxes = np.array([[1, 2, 3, 6], [1, 2, 2.1, 6], [np.nan] * 4])
    warped = Warp(scale=2).box(boxes, 8, 8)
    assert warped[0].tolist() == [0, 0, 2, 8]
    assert np.isnan(warped[1:]).all()


def test_boxes_of_any_number_of_dimensions():
    boxes = np.arange(24, dtype=np.float32).reshape(2, 3, 4) % 7 + [0, 0, 9, 9]
    warp = Warp(True, 1.1, 3)
    each = np.stack([[warp.box(box, 30, 20) for box in row] for row in boxes])
    np.testing.assert_array_equal(warp.box(boxes, 30, 20), each)
    assert warp.box(np.zeros((0, 4)), 30, 20).shape == (0, 4)


def test_a_mask_that_is_no_truth_stays_none_and_beyond_the_picture_is_background():
    none = np.full((8, 8), NO_MASK, np.uint8)
    assert (Warp(scale=0.5).mask(none) == NO_MASK).all()
    shrunk = Warp(scale=0.5).mask(np.full((8, 8), 3, np.uint8))
    assert (shrunk[2:6, 2:6] == 3).all()
    assert shrunk.sum() == 16 * 3


def test_a_warp_is_a_value():
    assert Warp() == Warp(False, 1.0, 0.0)
    assert len({Warp(True), Warp(True), Warp()}) == 2
    image = Image.fromarray(drawn((3, 4, 30, 20)) * 200)
    assert Warp().image(image).tobytes() == image.tobytes()


@pytest.mark.parametrize("wrong", [{"scale": 0}, {"scale": -1}, {"scale": math.nan}, {"angle": math.inf}])
def test_a_warp_that_is_none_is_refused(wrong):
    with pytest.raises(PathsearchError, match="warp: expected a scale above 0 and a finite angle, got"):
        Warp(**wrong)
