"""Read the beats of WFDB records: a window of channel MLII around each annotated R peak."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.beat_context import Recording
from data_prep.beat_symbols import BEAT_MARKS, check_present
from data_prep.checksums import NAME as SUMS
from data_prep.checksums import Checksums
from data_prep.errors import BadData
from data_prep.wfdb_files import read_annotations, read_channel, read_header, record_names

CHANNEL = "MLII"  # the one lead that nearly all MIT-BIH records share; record 114 has it second


@dataclass(frozen=True, eq=False)
class Beats:
    """All usable beats of a folder of records, record after record.

    Attributes:
        windows: int32, beats × (2·half_window + 1), raw units, the annotated R peak in the middle.
        records: record of each beat.
        samples: sample number of each R peak.
        symbols: annotation symbol of each beat.
        notes: what was left out.
        rates: samples a second that occur.
        all_records: names of all records, with or without beats.
        recordings: signal and R peaks of each record that has the channel, by name: the context of its beats.
    """

    windows: np.ndarray
    records: list[str]
    samples: list[int]
    symbols: list[str]
    notes: list[str]
    rates: list[float]
    all_records: list[str]
    recordings: dict[str, Recording]


def read_beats(folder: Path, wanted: dict[str, tuple[str, ...]], half_window: int) -> Beats:
    """The windows of all wanted beats in `folder`.

    Args:
        folder: of WFDB records.
        wanted: symbols of each class.
        half_window: samples on each side of the R peak.

    Raises:
        BadData: a record is damaged, cut, or not the one that `SHA256SUMS` in the folder lists; none has the channel;
            a class has no beat.
    """
    symbols = [symbol for chosen in wanted.values() for symbol in chosen]
    offsets = np.arange(-half_window, half_window + 1)
    windows, records, samples, found = [], [], [], []
    present: Counter[str] = Counter()
    at_edge, without, rates = 0, [], set()
    recordings = {}
    names = record_names(folder)
    sums = Checksums(folder)
    for record in names:
        sums.check(f"{record}.hea")
        header = read_header(folder, record)
        if CHANNEL not in header.channels:
            without.append(record)
            continue
        sums.check(f"{record}.atr")
        sums.check(f"{record}.dat")
        marks = read_annotations(folder, record, header)
        signal = read_channel(folder, record, header, CHANNEL)
        rates.add(header.rate)
        peaks = marks.samples[np.isin(marks.symbols, BEAT_MARKS)]
        recordings[record] = Recording(signal.astype(np.int32), header.rate, peaks)
        present.update(marks.symbols.tolist())
        chosen = np.isin(marks.symbols, symbols)
        inside = (marks.samples >= half_window) & (marks.samples < header.n_samples - half_window)
        at_edge += int((chosen & ~inside).sum())
        keep = chosen & inside
        windows.append(signal[marks.samples[keep, None] + offsets].astype(np.int32))
        records += [record] * int(keep.sum())
        samples += marks.samples[keep].tolist()
        found += marks.symbols[keep].tolist()
    if len(without) == len(names):
        raise BadData(
            f"--source {folder}: expected records with a channel named {CHANNEL}, got none in {len(names)} "
            "records; rename the channel in the .hea files if another name means the same lead"
        )
    check_present(wanted, present)
    notes = []
    if without:
        notes.append(f"records without channel {CHANNEL} were left out: {', '.join(without)}")
    if missing := sums.missing(".hea"):
        notes.append(f"records that {SUMS} lists are not in the folder: {', '.join(missing)}")
    if at_edge:
        notes.append(f"{at_edge} beats were left out: their window of ±{half_window} samples crosses an end")
    return Beats(np.concatenate(windows), records, samples, found, notes, sorted(rates), names, recordings)
