"""What stands around a beat in its record: the neighbouring beats, the record's typical beat, the intervals.

Only the signal and the places of the R peaks are read, never what kind of beat an annotation says, so a label cannot
leak into a drawing. The places are those of the annotations, as is usual since de Chazal 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEADY = 1.1  # a steady interval and its two neighbours differ by less than this factor: no early beat, no pause
STEADY_SHARE = 0.15  # of a record's intervals; below it, as in atrial fibrillation, it has no steady rhythm
SLOWEST = 0.9  # quantile of the steady intervals: an ectopic rhythm is fast, and may fill nearly all of a record
ON_TIME = 0.9  # of the typical interval: a beat that comes earlier is no part of the typical one
FEWEST = 5  # beats that make a typical one; with fewer on time, all beats do


@dataclass(frozen=True, eq=False)
class Recording:
    """One channel of a record, and where its heart beats.

    Attributes:
        signal: int32, raw units.
        rate: samples a second.
        peaks: sample numbers of the R peaks of all beats of any kind, int64, ascending.
    """

    signal: np.ndarray
    rate: float
    peaks: np.ndarray

    def window(self, sample: int, reach: int) -> np.ndarray:
        """The 2·reach + 1 samples around `sample`; beyond an end of the record its last value goes on."""
        return self.signal[np.clip(np.arange(sample - reach, sample + reach + 1), 0, len(self.signal) - 1)]

    def windows(self, half_window: int) -> tuple[np.ndarray, np.ndarray]:
        """The levelled windows of all beats that lie far enough from both ends, and which of the peaks these are.

        Returns:
            Float64, beats × (2·half_window + 1); bool, one a peak.
        """
        inside = (self.peaks >= half_window) & (self.peaks < len(self.signal) - half_window)
        offsets = np.arange(-half_window, half_window + 1)
        return levelled(self.signal[self.peaks[inside, None] + offsets].astype(np.float64)), inside


@dataclass(frozen=True, eq=False)
class Typical:
    """What is usual in one record: the reference that its beats are drawn against.

    Attributes:
        beat: float64, 2·half_window + 1, the sample-wise median of its beats, each less its own median.
        interval: samples from one R peak to the next; nan where there is none.
    """

    beat: np.ndarray
    interval: float

    @classmethod
    def of(cls, recording: Recording, half_window: int) -> Typical:
        """The median of all beats and of all intervals of a record: an ectopic one where most of them are."""
        windows, _ = recording.windows(half_window)
        return cls(_median_beat(windows, half_window), _median_interval(np.diff(recording.peaks)))

    @classmethod
    def of_slowest_rhythm(cls, recording: Recording, half_window: int) -> Typical:
        """The slowest steady rhythm of a record, and the median of the beats in it.

        Atrial and most ventricular ectopic beats come early, so the rhythm that they interrupt is the slower one. A
        tenth of the steady intervals is enough to find it. A record without a steady rhythm has its median interval.
        """
        intervals = np.diff(recording.peaks)
        steady = steady_intervals(intervals)
        interval = _median_interval(intervals)
        if len(steady) and steady.mean() >= STEADY_SHARE:
            interval = float(np.quantile(intervals[steady], SLOWEST))
        windows, inside = recording.windows(half_window)
        on_time = np.zeros(len(recording.peaks), dtype=bool)
        on_time[1:] = steady & (intervals >= ON_TIME * interval)  # an interval belongs to the beat that ends it
        chosen = windows[on_time[inside]]
        return cls(_median_beat(chosen if len(chosen) >= FEWEST else windows, half_window), interval)


def steady_intervals(intervals: np.ndarray) -> np.ndarray:
    """Which intervals are nearly as long as the one before and the one after them.

    Args:
        intervals: from one R peak to the next, in order of time.

    Returns:
        Bool, one an interval; the first and the last are none.
    """
    alike = np.maximum(intervals[1:], intervals[:-1]) < STEADY * np.minimum(intervals[1:], intervals[:-1])
    steady = np.zeros(len(intervals), dtype=bool)
    steady[1:-1] = alike[1:] & alike[:-1]
    return steady


def _median_beat(windows: np.ndarray, half_window: int) -> np.ndarray:
    return np.median(windows, axis=0) if len(windows) else np.zeros(2 * half_window + 1)


def _median_interval(intervals: np.ndarray) -> float:
    return (float(np.median(intervals)) if len(intervals) else 0.0) or float("nan")


def levelled(windows: np.ndarray) -> np.ndarray:
    """Each window less its own median: what breathing and electrodes add is nearly level within a beat."""
    return windows - np.median(windows, axis=-1, keepdims=True)


def relative_intervals(recording: Recording, typical: Typical, sample: int, n_before: int, n_after: int) -> np.ndarray:
    """The intervals around the beat at `sample` over the record's typical one, in order of time.

    Args:
        recording: the beat's record.
        typical: of the same record.
        sample: the beat's R peak, one of the record's.
        n_before: intervals that end at this beat or earlier.
        n_after: intervals that begin at this beat or later.

    Returns:
        n_before + n_after numbers; 1 where the record has no such interval.
    """
    here = int(np.searchsorted(recording.peaks, sample))
    around = np.arange(here - n_before, here + n_after + 1)  # one more peak than intervals
    there = (around >= 0) & (around < len(recording.peaks))
    peaks = np.where(there, recording.peaks[np.clip(around, 0, len(recording.peaks) - 1)], np.nan)
    return np.nan_to_num(np.diff(peaks) / typical.interval, nan=1.0)
