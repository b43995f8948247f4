from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.beat_context import Recording, Typical, levelled, relative_intervals, steady_intervals
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


def test_steady_intervals_by_hand():
    # 330 is not less than 1.1 times 300; an early beat, 200, and the pause after it, 400, spoil their neighbours.
    assert steady_intervals(np.array([300, 310, 320, 300, 330, 330, 330])).tolist() == [
        False, True, True, False, False, True, False,
    ]  # fmt: skip
    assert not steady_intervals(np.array([300, 300, 200, 400, 300, 300])).any()
    for short in ([], [300], [300, 300]):
        assert steady_intervals(np.array(short, dtype=np.int64)).tolist() == [False] * len(short)


@given(st.lists(st.integers(0, 1000), max_size=30))
def test_steady_intervals_are_those_like_both_neighbours(intervals):
    found = steady_intervals(np.array(intervals, dtype=np.int64))
    for number, interval in enumerate(intervals):
        around = intervals[number - 1 : number] + intervals[number + 1 : number + 2]
        alike = [max(interval, other) < 1.1 * min(interval, other) for other in around]
        assert found[number] == (len(around) == 2 and all(alike))


def rhythms(*parts, level=0, times=1):
    """A record of rhythms one after the other: (beats, interval, height of the beat) each."""
    intervals = np.concatenate([np.full(n, interval) for n, interval, _ in parts])
    heights = np.concatenate([np.full(n, height) for n, _, height in parts])
    peaks = 100 + np.cumsum(intervals)
    signal = np.zeros(peaks[-1] + 100)
    for peak, height in zip(peaks, heights, strict=True):
        signal[peak - 1 : peak + 2] = [height / 2, height, height / 2]
    return recording(peaks, signal=times * signal + level)


def test_the_slowest_rhythm_is_found_where_most_beats_are_early():
    # 20 of 110 beats are slow. The median is that of the fast ones, the slowest steady rhythm is not.
    one = rhythms((30, 200, 60), (10, 350, 100), (60, 200, 60), (10, 350, 100))
    usual, slow = Typical.of(one, 8), Typical.of_slowest_rhythm(one, 8)
    assert (usual.interval, slow.interval) == (200, 350)
    assert (usual.beat[8], slow.beat[8]) == (60, 100)
    early = int(one.peaks[50])
    assert relative_intervals(one, usual, early, 1, 1).tolist() == [1, 1]
    assert relative_intervals(one, slow, early, 1, 1).tolist() == pytest.approx([200 / 350, 200 / 350])


def test_a_slow_rhythm_of_less_than_a_tenth_is_not_found():
    one = rhythms((150, 200, 60), (10, 350, 100))
    assert Typical.of_slowest_rhythm(one, 8).interval == 200


def test_early_beats_and_their_pauses_do_not_move_the_slowest_rhythm():
    parts = [part for _ in range(12) for part in ((8, 300, 100), (1, 180, 40), (1, 420, 100))]
    slow = Typical.of_slowest_rhythm(rhythms(*parts), 8)
    assert slow.interval == 300
    assert slow.beat[8] == 100


def test_a_record_without_a_steady_rhythm_has_its_median_interval_and_the_beat_of_all():
    # Every interval differs from both neighbours by more than a tenth: 180, 300, 500 over and over.
    one = rhythms(*[(1, interval, 70) for _ in range(10) for interval in (180, 300, 500)])
    slow = Typical.of_slowest_rhythm(one, 8)
    assert slow.interval == Typical.of(one, 8).interval == 300
    assert slow.beat.tolist() == Typical.of(one, 8).beat.tolist()


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_the_slowest_rhythm_of_a_few_beats_is_the_usual_one(n):
    one = recording(500 + 300 * np.arange(n))
    slow, usual = Typical.of_slowest_rhythm(one, 8), Typical.of(one, 8)
    np.testing.assert_equal(slow.interval, usual.interval)  # nan equals nan
    assert slow.beat.tolist() == usual.beat.tolist()


def test_level_and_units_of_a_signal_do_not_change_its_rhythm():
    parts = (40, 200, 60), (20, 350, 100)
    plain = Typical.of_slowest_rhythm(rhythms(*parts), 8)
    other = Typical.of_slowest_rhythm(rhythms(*parts, level=-700, times=3), 8)
    assert other.interval == plain.interval
    assert other.beat.tolist() == (3 * plain.beat).tolist()


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
