from __future__ import annotations

import numpy as np
import pytest

from data_prep.beat_context import Recording, Typical, levelled, relative_intervals
from data_prep.beats import read_beats


def recording(peaks, n=2000, signal=None):
    signal = np.arange(n) if signal is None else signal
    return Recording(np.asarray(signal, dtype=np.int32), 360.0, np.asarray(peaks, dtype=np.int64))


def test_a_window_goes_on_with_the_last_value_beyond_an_end():
    one = recording([], n=10)
    assert one.window(5, 2).tolist() == [3, 4, 5, 6, 7]
    assert one.window(1, 3).tolist() == [0, 0, 0, 1, 2, 3, 4]
    assert one.window(9, 2).tolist() == [7, 8, 9, 9, 9]


def test_intervals_by_hand():
    # Intervals 300, 300, 150, 450, 300: the median is 300.
    one = recording([100, 400, 700, 850, 1300, 1600])
    usual = Typical.of(one, 8)
    assert usual.interval == 300
    # The beat at 850 comes after 150 samples, half of 300; the next after 450.
    assert relative_intervals(one, usual, 850, 1, 1).tolist() == [0.5, 1.5]
    assert relative_intervals(one, usual, 850, 2, 2).tolist() == [1, 0.5, 1.5, 1]
    assert relative_intervals(one, usual, 700, 0, 1).tolist() == [0.5]


def test_where_the_record_ends_an_interval_counts_as_usual():
    one = recording([100, 400, 1000])
    usual = Typical.of(one, 8)  # median of 300 and 600: 450
    assert relative_intervals(one, usual, 100, 2, 1).tolist() == [1, 1, 300 / 450]
    assert relative_intervals(one, usual, 1000, 1, 2).tolist() == [600 / 450, 1, 1]


def test_a_record_of_one_beat_has_no_unusual_interval():
    one = recording([500])
    assert relative_intervals(one, Typical.of(one, 8), 500, 1, 1).tolist() == [1, 1]


def test_the_typical_beat_is_the_median_of_all_and_ignores_a_rare_other_one():
    signal = np.zeros(2000)
    for peak in (200, 600, 1000, 1400):
        signal[peak - 1 : peak + 2] = [50, 100, 50]
    signal[1000] = -900  # one beat of four is of another kind
    signal += 40  # a level that is no part of a beat
    usual = Typical.of(recording([200, 600, 1000, 1400], signal=signal), 10)
    assert usual.beat.tolist() == [0] * 9 + [50, 100, 50] + [0] * 9


def test_beats_at_an_end_are_no_part_of_the_typical_one():
    signal = np.zeros(1000)
    signal[[3, 500, 998]] = [900, 100, 900]
    assert Typical.of(recording([3, 500, 998], signal=signal), 8).beat[8] == 100
    assert Typical.of(recording([3], signal=signal), 8).beat.tolist() == [0] * 17


def test_levelled_takes_each_windows_own_median():
    assert levelled(np.array([[1, 2, 9], [5, 5, 5]])).tolist() == [[-1, 0, 7], [0, 0, 0]]


def test_beats_of_every_kind_are_neighbours_and_other_marks_are_none(make_record):
    marks = [(200, "+"), (300, "N"), (500, "A"), (650, "~"), (700, "/"), (900, "Q"), (1100, "L"), (1300, "|")]
    beats = read_beats(make_record(marks=marks), {"A": ("A",), "L": ("L",)}, half_window=10)
    assert beats.recordings["r1"].peaks.tolist() == [300, 500, 700, 900, 1100]
    assert beats.samples == [500, 1100]
    assert beats.recordings["r1"].rate == 360
    np.testing.assert_array_equal(beats.recordings["r1"].window(500, 10), beats.windows[0])


@pytest.mark.real
def test_mit_bih_has_all_its_beats(real_data):
    beats = read_beats(real_data / "mitdb", {"A": ("A",), "V": ("V",)}, half_window=128)
    # Record 100: 2239 N, 33 A and 1 V, and one mark of the rhythm.
    assert len(beats.recordings["100"].peaks) == 2273
    assert len(beats.recordings) == 46
