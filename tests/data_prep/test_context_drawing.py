from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.beat_context import Recording
from data_prep.beat_drawing import draw_beat
from data_prep.beats import Beats, read_beats
from data_prep.context_drawing import CONTEXTS, GAIN, draw_relative, draw_with_strip, painter


def light(image):
    return np.asarray(image, dtype=float) / 255


def spikes(image):
    """Columns of the lower half's top where a trace reaches up, one number a spike."""
    size = len(image)
    lit = np.flatnonzero(image[size // 2 : size // 2 + size // 8].sum(axis=0) > 0.5)
    return [run.mean() for run in np.split(lit, np.flatnonzero(np.diff(lit) > 1) + 1)]


def strip(*places, n=1441):
    samples = np.zeros(n)
    for place in places:
        samples[place - 3 : place + 4] = 1
    return samples


def test_an_interval_twice_as_long_lies_twice_as_far():
    # The beat is at 720 of 0 to 1440; one neighbour 200 samples before it, the other 400 after it.
    image = light(draw_with_strip(strip(128, n=257), strip(520, 720, 1120), 128))
    before, here, after = spikes(image)
    assert here == pytest.approx(63.5, abs=1)
    assert here - before == pytest.approx(200 / 1440 * 127, abs=1)
    assert after - here == pytest.approx(400 / 1440 * 127, abs=1)


def test_the_beat_is_above_and_the_strip_below():
    flat, peaked = np.zeros(257), strip(128, n=257)
    upper = light(draw_with_strip(peaked, np.zeros(1441), 64))
    assert upper[:8].sum() > 2
    assert upper[46:50].sum(axis=0).min() > 1  # a flat strip: a level line in the middle of the lower half
    lower = light(draw_with_strip(flat, strip(720), 64))
    assert lower[:8].sum() == 0
    assert lower[34:38].sum() > 2


def test_a_beat_like_the_typical_one_leaves_its_half_dark():
    image = light(draw_relative(np.zeros(257), 100, [1, 1], 64))
    assert image[:32].sum() == pytest.approx(64 / 4, abs=4)  # the line of zero, a quarter of a pixel
    assert image[33:47].sum() == 0
    assert image[49:].min() == 1  # bars of half the lower half


@pytest.mark.parametrize(
    ("interval", "height"), [(0.2, 0), (0.5, 0), (0.75, 8), (1, 16), (1.25, 24), (1.5, 32), (9, 32)]
)
def test_a_bar_is_as_high_as_its_interval_is_long(interval, height):
    image = light(draw_relative(np.zeros(257), 100, [interval, 1], 64))
    assert image[33:, 10].sum() == pytest.approx(min(height, 31), abs=0.6)
    assert image[33:, 50].sum() == pytest.approx(16, abs=0.6)


@pytest.mark.parametrize(("interval", "height"), [(0.3, 0), (0.55, 8), (0.8, 16), (1.3, 31)])
def test_a_lower_floor_leaves_room_for_shorter_intervals(interval, height):
    image = light(draw_relative(np.zeros(257), 100, [interval, 1], 64, floor=0.3))
    assert image[33:, 10].sum() == pytest.approx(height, abs=0.6)
    assert image[33:, 50].sum() == pytest.approx(0.7 * 32, abs=0.6)


def test_bars_stand_in_order_of_time_and_share_the_width():
    columns = light(draw_relative(np.zeros(257), 100, [0.75, 1.25], 64))[33:].sum(axis=0)
    assert columns[:31] == pytest.approx(8, abs=0.6)
    assert columns[33:] == pytest.approx(24, abs=0.6)


def test_a_difference_is_filled_in_units_of_the_typical_beat():
    difference = np.zeros(257)
    difference[128:] = 100
    image = light(draw_relative(difference, 100, [1, 1], 64))
    # Upwards from the middle of the upper half, row 16: GAIN of its 32 rows.
    assert image[:16, 50].sum() == pytest.approx(GAIN * 32, abs=0.6)
    assert image[17:32, 50].sum() == 0
    below = light(draw_relative(-difference, 100, [1, 1], 64))
    assert below[:15, 50].sum() == 0
    assert below[16:32, 50].sum() == pytest.approx(GAIN * 32, abs=0.6)
    np.testing.assert_array_equal(light(draw_relative(3 * difference, 300, [1, 1], 64)), image)


def test_what_does_not_fit_is_cut_off():
    image = light(draw_relative(np.full(257, -1e9), 100, [1e9, 0], 32))
    assert image[:7].sum() == 0
    assert image[9:15].min() == 1
    assert image[17:, 1:15].min() == 1
    assert image[17:31, 17:].sum() == 0


def test_a_flat_record_is_drawn_without_a_difference():
    np.testing.assert_array_equal(
        light(draw_relative(np.full(257, 3.0), 0, [1, 1], 64)), light(draw_relative(np.zeros(257), 1, [1, 1], 64))
    )


@pytest.mark.parametrize("size", [16, 64, 224])
def test_geometry_scales_with_the_image(size):
    image = light(draw_relative(np.zeros(257), 100, [0.75, 1.25], size))
    assert image.shape == (size, size)
    assert image[:, size // 4].sum() == pytest.approx(size / 8, abs=0.8)
    assert image[size // 2 :, 3 * size // 4].sum() == pytest.approx(size * 3 / 8, abs=0.8)


MARKS = [(250, "A"), (600, "L"), (950, "R"), (1125, "A"), (1650, "L"), (1900, "Q")]
WANTED = {"A": ("A",), "L": ("L",), "R": ("R",)}


@pytest.fixture
def beats(make_record):
    return read_beats(make_record(marks=MARKS), WANTED, half_window=128)


def test_painters_draw_what_they_say(beats):
    # The beat at 1125 comes 175 samples after the last and 525 before the next; the median interval is 350.
    assert beats.samples == [250, 600, 950, 1125, 1650]
    image = light(painter("relative", beats, 128, 64)(3))
    assert image[49:63, :31].sum() == 0  # 175 / 350 is 0.5: no bar
    assert image[33:, 33:].min() == 1  # 525 / 350 is 1.5: a full one
    alone = painter("none", beats, 128, 64)(3)
    assert alone.tobytes() == draw_beat(beats.windows[3], 64).tobytes()
    both = light(painter("strip", beats, 128, 64)(3))
    assert both[:32].any()
    assert both[32:].any()


@pytest.mark.parametrize("context", CONTEXTS)
def test_first_and_last_beats_are_drawn_and_drawing_is_a_function(beats, context):
    for number in (0, 4):
        first, again = (painter(context, beats, 128, 32)(number) for _ in range(2))
        assert (first.mode, first.size) == ("L", (32, 32))
        assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("context", CONTEXTS)
def test_symbols_are_not_read(beats, context):
    other = replace(beats, symbols=beats.symbols[::-1])
    for number in range(5):
        assert painter(context, beats, 128, 32)(number).tobytes() == painter(context, other, 128, 32)(number).tobytes()


def mostly_early(level=0, times=1):
    """85 of 105 beats come after 200 samples and are low, the others after 350 and are high."""
    intervals = np.r_[np.full(35, 200), np.full(20, 350), np.full(50, 200)]
    heights = np.where(intervals == 200, 400, 1000)
    peaks = 200 + np.cumsum(intervals)
    signal = np.zeros(peaks[-1] + 200, dtype=np.int32)
    for peak, height in zip(peaks, heights, strict=True):
        signal[peak - 9 : peak + 10] = height
    signal = times * signal + level
    windows = signal[peaks[:, None] + np.arange(-128, 129)]
    names = ["r1"] * len(peaks)
    return Beats(windows, names, peaks.tolist(), names, [], [360.0], ["r1"], {"r1": Recording(signal, 360.0, peaks)})


def test_where_most_beats_are_early_rhythm_shows_them_early_and_relative_does_not():
    beats = mostly_early()
    early, on_time = 20, 45
    hidden, shown, usual = (
        light(painter(context, beats, 128, 64)(number))
        for context, number in (("relative", early), ("rhythm", early), ("rhythm", on_time))
    )
    assert hidden[33:].sum() == pytest.approx(16 * 64, abs=64)  # two bars of 1: half the lower half
    assert shown[33:].sum() == pytest.approx((200 / 350 - 0.3) * 32 * 64, abs=64)
    assert usual[33:].sum() == pytest.approx(0.7 * 32 * 64, abs=64)
    assert hidden[:32].sum() == pytest.approx(16, abs=4)  # as the typical beat: the line of zero
    assert usual[:32].sum() == pytest.approx(16, abs=4)
    assert shown[:32].sum() > 30


def test_rhythm_does_not_depend_on_level_and_units():
    plain, other = (painter("rhythm", beats, 128, 64) for beats in (mostly_early(), mostly_early(-77, 2)))
    for number in (0, 20, 45, 104):
        assert plain(number).tobytes() == other(number).tobytes()
