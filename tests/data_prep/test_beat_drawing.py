from __future__ import annotations

import numpy as np
import pytest

from data_prep.beat_drawing import TRACE_WIDTH, draw_beat


def pixels(window, size=64):
    return np.asarray(draw_beat(np.asarray(window), size), dtype=float) / 255


@pytest.mark.parametrize("size", [32, 64, 128, 224])
def test_the_trace_is_as_wide_as_stated_at_every_size(size):
    # A level trace: the light in a column is the trace's width in pixels.
    column = pixels(np.zeros(257), size).sum(axis=0)[size // 2]
    assert column == pytest.approx(TRACE_WIDTH * size, abs=0.3)
    if size == 64:
        assert 1.5 <= column <= 2.0


def test_up_is_up_and_later_is_right():
    window = np.zeros(257)
    window[190:200] = 1.0
    image = pixels(window)
    top, bottom = image[:10], image[-10:]
    assert top.sum(axis=0).argmax() == pytest.approx(195 / 256 * 63, abs=2)
    assert bottom[:, :40].sum() > 20
    assert top[:, :40].sum() == 0


def test_only_the_shape_counts_not_gain_or_offset():
    window = np.round(4000 * np.sin(np.linspace(0, 9, 257)))
    np.testing.assert_array_equal(pixels(window), pixels(8 * window + 3))


def test_the_trace_is_never_cut_off_and_its_edges_are_soft():
    image = pixels(np.tile([-1, 1], 128))
    assert image[0].sum() == image[-1].sum() == 0
    grey = pixels(np.sin(np.linspace(0, 9, 257)))
    assert ((grey > 0) & (grey < 1)).sum() > 50


def test_a_flat_line_is_in_the_middle():
    rows = pixels(np.full(257, 5)).sum(axis=1)
    assert rows.argmax() in (31, 32)
