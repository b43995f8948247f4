from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data_prep.beat_drawing import draw_beat
from data_prep.beats import read_beats
from data_prep.ecg import prepare_ecg
from data_prep.errors import BadData, PathsearchError
from data_prep.manifest import load_task, prepared_tasks
from data_prep.wfdb_files import read_channel, read_header

ALR = {"A": ("A",), "L": ("L",), "R": ("R",)}


@pytest.fixture
def copied(ecg_source, tmp_path):
    """A copy of the generated records, free to be damaged."""
    return shutil.copytree(ecg_source, tmp_path / "copied")


def test_generated_records_become_a_task(ecg_source, tmp_path):
    told = []
    task = prepare_ecg(ecg_source, tmp_path, image_size=32, progress=lambda done, total: told.append((done, total)))
    n = len(task.table)
    assert told == [(i, n) for i in range(1, n + 1)]
    assert task.classes == ("A", "L", "R")
    assert set(task.table["group"]) == {"s01", "s02", "s03", "s04", "s05"}
    assert any("without channel MLII were left out: s06" in note for note in task.info["notes"])
    assert "no real patients" in task.info["source"]
    assert task.info["options"]["samples_per_second"] == [360.0]
    with Image.open(task.files()[0]) as image:
        assert (image.mode, image.size, image.format) == ("L", (32, 32), "PNG")
    row = task.table.iloc[0]
    assert row["file"].startswith(f"images/{row['label']}/{row['group']}_")


def test_the_same_seed_gives_the_same_task(ecg_source, tmp_path):
    first, again, other = (
        prepare_ecg(ecg_source, tmp_path, name=name, image_size=16, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert (first.digest, first.images_digest) == (again.digest, again.images_digest)
    assert other.digest != first.digest


def test_contexts_change_the_drawing_and_nothing_else(ecg_source, tmp_path):
    usual = prepare_ecg(ecg_source, tmp_path, image_size=16)
    tasks = {
        context: prepare_ecg(ecg_source, tmp_path, name=context, image_size=16, context=context)
        for context in ("none", "strip", "relative", "rhythm")
    }
    assert tasks["none"].fingerprint == usual.fingerprint
    assert {task.digest for task in tasks.values()} == {usual.digest}  # the same beats, classes and splits
    assert len({task.images_digest for task in tasks.values()}) == 4
    assert "record's median interval" in tasks["relative"].info["options"]["context"]
    assert "slowest steady rhythm" in tasks["rhythm"].info["options"]["context"]
    assert usual.info["options"]["context"] == "none: the beat alone"


def test_the_default_drawing_is_that_of_the_window_alone(ecg_source, tmp_path):
    task = prepare_ecg(ecg_source, tmp_path, image_size=32)
    beats = read_beats(ecg_source, ALR, half_window=128)
    with Image.open(task.files()[5]) as image:
        assert image.tobytes() == draw_beat(beats.windows[5], 32).tobytes()


def test_split_by_patient_divides_no_record(ecg_source, tmp_path):
    task = prepare_ecg(ecg_source, tmp_path, image_size=16, split="patient")
    assert (task.table.groupby("group")["split"].nunique() == 1).all()
    assert task.split_name == "patient"


def test_mlii_is_found_by_name_where_it_is_second(make_record):
    folder = make_record("r114", channels=("V5", "MLII"))
    beats = read_beats(folder, ALR, half_window=10)
    # The planted spike is 1 mV in the first channel and 2 mV in the second, at 200 units a mV.
    spike = beats.windows[:, 10] - beats.windows[:, 9]
    assert (np.abs(spike) > 300).all(), spike
    first = read_beats(make_record("r115", channels=("MLII", "V5"), where="other"), ALR, half_window=10)
    assert (np.abs(first.windows[:, 10] - first.windows[:, 9]) < 300).all()  # the check above can fail


def test_windows_at_both_ends_are_left_out(make_record):
    marks = [(99, "A"), (100, "A"), (500, "L"), (1899, "R"), (1900, "R")]
    beats = read_beats(make_record(marks=marks), ALR, half_window=100)
    # The window of ±100 needs samples 0 to 200 at the start and 1799 to 1999 at the end of 2,000 samples.
    assert beats.samples == [100, 500, 1899]
    assert beats.windows.shape == (3, 201)
    assert beats.notes == ["2 beats were left out: their window of ±100 samples crosses an end"]


def test_records_201_and_202_are_one_patient(make_record, tmp_path):
    marks = [(300 + 60 * i, symbol) for i, symbol in enumerate("ALRALRALR")]
    for name in ("201", "202", "203"):
        folder = make_record(name, marks=marks)
    task = prepare_ecg(folder, tmp_path, image_size=16)
    assert set(task.table["group"]) == {"201+202", "203"}


def test_named_choices(make_record, tmp_path):
    marks = [(200 + 50 * i, symbol) for i, symbol in enumerate("NLReAaVEF/Q" * 3)]
    folder = make_record(marks=marks)
    task = prepare_ecg(folder, tmp_path, name="aami", image_size=16, classes="aami")
    # N, L, R, e are N; A, a are S; V, E are V; paced (/) and unclassified (Q) beats are dropped.
    assert Counter(task.table["label"]) == {"N": 12, "S": 6, "V": 6, "F": 3}
    five = prepare_ecg(folder, tmp_path, name="five", image_size=16, classes="n-v-a-l-r")
    assert five.classes == ("N", "V", "A", "L", "R")
    odd = prepare_ecg(folder, tmp_path, name="odd", image_size=16, classes="/,N")
    assert odd.classes == ("/", "N")
    assert odd.table["file"][0].startswith("images/N/")
    assert any(file.startswith("images/%2F/") for file in odd.table["file"])


def test_ds1_ds2_drops_other_records_and_says_so(make_record, tmp_path):
    marks = [(200 + 50 * i, symbol) for i, symbol in enumerate("ALRALR")]
    for name in ("101", "106", "108", "100", "102"):
        folder = make_record(name, marks=marks)
    task = prepare_ecg(folder, tmp_path, image_size=16, split="ds1-ds2")
    assert set(task.table["group"][task.rows("test")]) == {"100"}
    assert "102" not in set(task.table["group"])
    assert "6 beats were left out: their records are in neither DS1 nor DS2" in task.info["notes"]


def assert_fails(source, data_dir, message, error=BadData, **options):
    with pytest.raises(error) as caught:
        prepare_ecg(source, data_dir, image_size=16, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(data_dir.glob(".*")) == []
    assert prepared_tasks(data_dir) == []


@pytest.mark.parametrize("kept", [0, 1, 1000, 3 * 7200, -3, -1])
def test_a_truncated_dat_is_named(copied, tmp_path, kept):
    file = copied / "s02.dat"
    file.write_bytes(file.read_bytes()[:kept])
    assert_fails(copied, tmp_path, "s02.dat: expected 14400 samples of 2 channels in 43,200 bytes, got")


def test_a_flipped_bit_is_named(copied, tmp_path):
    file = copied / "s02.dat"
    content = bytearray(file.read_bytes())
    content[3000] ^= 1
    file.write_bytes(bytes(content))
    assert_fails(copied, tmp_path, "s02.dat: expected checksum")


def test_an_annotation_beyond_the_signal_is_named(make_record, tmp_path):
    folder = make_record(marks=[(400, "A"), (800, "L"), (5000, "R")])
    assert_fails(
        folder, tmp_path, "annotations within the 2000 samples of the signal and up to its end, got one at sample 5000"
    )


@pytest.mark.parametrize("suffix", [".dat", ".atr"])
def test_a_missing_file_is_named(copied, tmp_path, suffix):
    (copied / f"s03{suffix}").unlink()
    assert_fails(copied, tmp_path, f"s03{suffix}: expected")


def test_a_header_of_rubbish_is_named(copied, tmp_path):
    (copied / "s01.hea").write_text("hello\n")
    assert_fails(copied, tmp_path, "s01.hea: expected a WFDB header, got unreadable data")


def test_a_cut_annotation_file_never_drops_the_rest_of_a_record(copied, tmp_path):
    whole = (copied / "s02.atr").read_bytes()
    for kept in [0, 2, *range(1, len(whole), 7), len(whole) - 2, len(whole) - 1]:
        (copied / "s02.atr").write_bytes(whole[:kept])
        assert_fails(copied, tmp_path, "s02.atr: expected WFDB annotations, got ")
        (copied / "s02.atr").write_bytes(whole[: kept // 2 * 2] + b"\0\0")  # an end of its own, but far too early
        if kept < len(whole) * 0.6 and kept > 60:
            assert_fails(copied, tmp_path, "and up to its end, got none in the last")
    (copied / "s02.atr").write_bytes(b"\0\0")
    assert_fails(copied, tmp_path, "and up to its end, got none; does this .atr")


def test_checksums_beside_the_records_are_compared(copied, tmp_path):
    files = sorted(copied.glob("s0*"))
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (copied / "SHA256SUMS").write_text(sums + f"{'0' * 64}  s99.hea\n")
    task = prepare_ecg(copied, tmp_path, name="whole", image_size=16)
    assert "records that SHA256SUMS lists are not in the folder: s99" in task.info["notes"]
    for name, old, new in (("s03.hea", b"MLII", b"MLIJ"), ("s03.atr", None, None), ("s03.dat", None, None)):
        file = copied / name
        whole = file.read_bytes()
        file.write_bytes(whole.replace(old, new) if old else whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(BadData, match=rf"{name}: expected SHA-256 [0-9a-f]*… of SHA256SUMS beside it, got"):
            read_beats(copied, ALR, half_window=128)
        file.write_bytes(whole)
    (copied / "SHA256SUMS").write_text("rubbish\n")
    with pytest.raises(BadData, match="SHA256SUMS: expected lines of SHA-256 and file name, got 'rubbish'"):
        read_beats(copied, ALR, half_window=128)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("s01 2 360", "s01 2 0", "above 0, got 0"),
        ("s01 2 360", "s01 2 250", "at 250 samples a second as the signal, got 360"),
        ("14400", "99999999999999", "up to its end, got none in the last"),
        ("14400", "9000", "up to its end, got one at sample"),
        ("s01.dat 212", "s01.dat 213", "in one known format"),
        ("s01.dat", "s02.dat", "expected all channels in s01.dat"),
    ],
)
def test_a_header_that_fits_no_data_is_named(copied, tmp_path, old, new, message):
    file = copied / "s01.hea"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert_fails(copied, tmp_path, message)


def test_no_room_is_made_for_what_only_the_header_says(ecg_source):
    header = replace(read_header(ecg_source, "s01"), n_samples=10**14, n_bytes=3 * 10**14)
    with pytest.raises(BadData, match=r"s01.dat: expected .* in 300,000,000,000,000 bytes, got 43,200; cut"):
        read_channel(ecg_source, "s01", header, "MLII")


def test_annotations_of_rubbish_are_named(copied, tmp_path):
    (copied / "s01.atr").write_bytes(b"abc")
    assert_fails(copied, tmp_path, "s01.atr: expected WFDB annotations, got an odd number of bytes, 3; cut or damaged?")


def test_no_mlii_anywhere_is_an_error(make_record, tmp_path):
    folder = make_record(channels=("V1", "V5"))
    assert_fails(folder, tmp_path, "expected records with a channel named MLII, got none in 1 records")


def test_a_symbol_that_is_nowhere_lists_those_present(ecg_source, tmp_path):
    assert_fails(
        ecg_source, tmp_path, "annotations V for class 'V', got none in any record; symbols present:", classes="A,V"
    )


def test_folders_that_hold_no_records(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_fails(tmp_path / "empty", tmp_path, "expected WFDB records (.hea, .dat and .atr files), got an empty folder")
    (tmp_path / "empty" / "a.txt").write_text("x")
    assert_fails(tmp_path / "empty", tmp_path, "got no .hea file")
    assert_fails(
        tmp_path / "nothing", tmp_path, "expected a folder of WFDB records, or the word physionet, got nothing"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": "A"}, "--classes: expected two or more different symbols"),
        ({"classes": "A,A"}, "--classes: expected two or more different symbols"),
        ({"split": "official"}, "--split: expected random, patient, ds1-ds2 for ECG, got 'official'"),
        ({"context": "all"}, "--context: expected none, strip, relative, rhythm, got 'all'"),
        ({"half_window": 2}, "--half-window: expected at least 8 samples, got 2"),
    ],
)
def test_bad_arguments_are_named(ecg_source, tmp_path, options, message):
    assert_fails(ecg_source, tmp_path, message, PathsearchError, **options)


def test_a_failed_download_prints_manual_steps_and_can_be_resumed(tmp_path, monkeypatch, ecg_source, capsys):
    def refuse(database, folder, **options):
        print("Generating list of all files")
        shutil.copytree(ecg_source, folder, dirs_exist_ok=True)
        raise OSError("no route\nto host")

    monkeypatch.setattr("wfdb.dl_database", refuse)
    message = "got OSError: no route to host; try again later (it resumes), or by hand: (1) open"
    assert_fails("physionet", tmp_path, message, PathsearchError)
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "raw" / "mitdb").exists()
    monkeypatch.setattr("wfdb.dl_database", lambda database, folder, **options: None)
    task = prepare_ecg("physionet", tmp_path, image_size=16)
    assert len(task.table) > 50
    monkeypatch.setattr("wfdb.dl_database", refuse)  # what is there is not downloaded again
    prepare_ecg("physionet", tmp_path, image_size=16, overwrite=True)


@pytest.mark.real
def test_mit_bih_has_the_published_counts(real_data):
    beats = read_beats(real_data / "mitdb", ALR, half_window=128)
    # Of 2546 A, 8075 L and 7259 R annotations, 4 L and 3 R lie too near an end of their record.
    assert Counter(beats.symbols) == {"A": 2546, "L": 8071, "R": 7256}
    assert beats.notes[0] == "records without channel MLII were left out: 102, 104"
    assert len(beats.all_records) == 48


@pytest.mark.real
def test_record_114_is_read_from_its_second_channel(real_data, tmp_path):
    import wfdb

    for suffix in (".hea", ".dat", ".atr"):
        (tmp_path / f"114{suffix}").symlink_to(real_data / "mitdb" / f"114{suffix}")
    beats = read_beats(tmp_path, {"N": ("N",)}, half_window=5)
    both = wfdb.rdrecord(str(tmp_path / "114"), physical=False)
    assert both.sig_name == ["V5", "MLII"]
    assert beats.windows[7].tolist() == both.d_signal[beats.samples[7] - 5 : beats.samples[7] + 6, 1].tolist()


@pytest.mark.real
@pytest.mark.slow
def test_mit_bih_as_a_task(real_data, tmp_path):
    task = prepare_ecg(real_data / "mitdb", tmp_path, image_size=64, split="patient")
    assert task.info["counts"]["train"].keys() == {"A", "L", "R"}
    assert len(task.table) == 2546 + 8071 + 7256
    assert "DOI 10.13026/C2F305" in task.info["source"]
    assert load_task(tmp_path, "ecg").digest == task.digest
