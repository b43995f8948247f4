"""What stands around a beat in its record: the neighbouring beats, the record's typical beat, the intervals.

Only the signal and the places of the R peaks are read, never what kind of beat an annotation says, so a label cannot
leak into a drawing. The places are those of the annotations, as is usual since de Chazal 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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


@dataclass(frozen=True, eq=False)
class Typical:
    """What is usual in one record: the reference that its beats are drawn against.

    Attributes:
        beat: float64, 2·half_window + 1, the sample-wise median of all its beats, each less its own median.
        interval: samples, the median from one R peak to the next; nan where there is none.
    """

    beat: np.ndarray
    interval: float

    @classmethod
    def of(cls, recording: Recording, half_window: int) -> Typical:
        """The typical beat and interval of a record, over the whole record."""
        peaks = recording.peaks
        inside = (peaks >= half_window) & (peaks < len(recording.signal) - half_window)
        offsets = np.arange(-half_window, half_window + 1)
        windows = recording.signal[peaks[inside, None] + offsets].astype(np.float64)
        beat = np.median(levelled(windows), axis=0) if len(windows) else np.zeros(len(offsets))
        interval = float(np.median(np.diff(peaks))) if len(peaks) > 1 else 0.0
        return cls(beat, interval or float("nan"))


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
