from __future__ import annotations

import struct
import time

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.annotation_file import check_reach, read_annotation_bytes
from data_prep.errors import BadData
from data_prep.wfdb_files import SYMBOLS, Header, _quiet, read_annotations, read_header

CODES = sorted(code for code in SYMBOLS if code)


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.sampled_from(CODES)), min_size=1, max_size=30), st.booleans())
def test_what_wfdb_writes_and_reads_is_read_alike(tmp_path_factory, marks, with_rate):
    folder = tmp_path_factory.mktemp("marks")
    marks = sorted(marks)
    samples, symbols = np.array([mark[0] for mark in marks]), [SYMBOLS[mark[1]] for mark in marks]
    with _quiet():
        wfdb.wrann("r", "atr", sample=samples, symbol=symbols, fs=360 if with_rate else None, write_dir=str(folder))
        theirs = wfdb.rdann(str(folder / "r"), "atr")
    found, codes, rate = read_annotation_bytes((folder / "r.atr").read_bytes())
    assert (found, [SYMBOLS[code] for code in codes]) == (theirs.sample.tolist(), theirs.symbol)
    assert rate == (360 if with_rate else None)


@pytest.mark.real
def test_all_of_mit_bih_is_read_as_wfdb_reads_it(real_data):
    folder = real_data / "mitdb"
    seconds = 0.0
    for file in sorted(folder.glob("*.atr")):
        header = read_header(folder, file.stem)
        start = time.perf_counter()
        ours = read_annotations(folder, file.stem, header)
        seconds += time.perf_counter() - start
        with _quiet():
            theirs = wfdb.rdann(str(file.with_suffix("")), "atr")
        assert (ours.samples.tolist(), ours.symbols.tolist()) == (theirs.sample.tolist(), theirs.symbol)
    assert seconds < 10, "48 files take a quarter of a second"


@pytest.mark.real
def test_a_file_on_which_wfdb_never_returns_is_refused_in_time(real_data):
    header = Header(("MLII",), 10**6, 360.0, (None,), 0)
    start = time.perf_counter()
    with pytest.raises(BadData, match=r"hangs.atr: expected WFDB annotations, got an unknown note") as caught:
        read_annotations(real_data / "hostile", "hangs", header)
    assert time.perf_counter() - start < 1
    assert "\n" not in str(caught.value)


BEAT, END = 1 << 10 | 100, 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (words(BEAT, END)[:-1], "an odd number of bytes"),
        (words(BEAT, BEAT), "no mark of its end"),
        (words(BEAT, END, BEAT, END), "an end at byte 2 of 8"),
        (words(BEAT, 55 << 10, END), "no annotation but code 55 at byte 2"),
        (words(BEAT, 5, END), "no annotation but code 0 at byte 2"),
        (words(61 << 10, BEAT, END), "no annotation but code 61 at byte 0"),
        (words(BEAT, 59 << 10, 0xFFFF, 0xFF00, BEAT, END), "a step back in time"),
        (words(59 << 10, 0xFFFF, 0xFF00, BEAT, END), "a step back in time"),
        (words(BEAT, 59 << 10, 0, 5), "no annotation but code 59"),
        (words(BEAT, 63 << 10 | 200, END), "no mark of its end"),
    ],
)
def test_each_fault_is_named(data, message):
    with pytest.raises(ValueError, match=message):
        read_annotation_bytes(data)


def test_steps_skips_and_pseudo_codes_are_read():
    # 100, then SUB, CHN, NUM and a text of three bytes (padded to four), then a skip of 65,636 and a step of 100
    text = struct.unpack("<2H", b"abc\0")
    data = words(BEAT, 61 << 10 | 3, 62 << 10 | 1, 60 << 10 | 2, 63 << 10 | 3, *text, 59 << 10, 1, 100, BEAT, END)
    assert read_annotation_bytes(data) == ([100, 65_836], [1, 1], None)


def test_damage_is_refused_or_read_but_never_hangs():
    rng = np.random.default_rng(1)
    whole = words(*[1 << 10 | int(step) for step in rng.integers(200, 400, 200)], END)
    start = time.perf_counter()
    for _ in range(3000):
        spoiled = np.frombuffer(whole, np.uint8).copy()
        spoiled[rng.integers(0, len(spoiled), 3)] = rng.integers(0, 256, 3)
        try:
            samples, codes, _ = read_annotation_bytes(spoiled.tobytes()[: rng.integers(len(whole) + 1)])
        except ValueError:
            continue
        assert samples == sorted(samples)
        assert len(samples) == len(codes)
    assert time.perf_counter() - start < 30


def test_marks_must_reach_the_end():
    beats = list(range(0, 20 * 360, 300))
    check_reach(beats, beats[-1] + 1 + 10 * 360, 360)  # ten seconds without a mark
    with pytest.raises(ValueError, match="none in the last 10 of 29 seconds"):
        check_reach(beats, beats[-1] + 2 + 10 * 360, 360)
    check_reach([0, 20 * 360, 30 * 360], 50 * 360, 360)  # as long as a gap inside
    with pytest.raises(ValueError, match="none"):
        check_reach([], 100, 360)
    with pytest.raises(ValueError, match="one at sample 100"):
        check_reach([5, 100, 101], 100, 360)
