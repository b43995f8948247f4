from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from data_prep.ecg import prepare_ecg
from data_prep.synthetic import write_synthetic_ecg, write_synthetic_xrays
from data_prep.wfdb_files import read_annotations, read_channel, read_header
from data_prep.xray import prepare_pneumonia


def digests(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def nearest_mean_accuracy(task, size=24):
    """How well the class whose mean training image is nearest predicts the test images."""
    files = task.files()

    def read(split):
        return np.stack(
            [np.asarray(Image.open(files[row]).resize((size, size)), dtype=float).ravel() for row in task.rows(split)]
        )

    train, test = read("train"), read("test")
    means = np.stack([train[task.labels("train") == label].mean(axis=0) for label in range(len(task.classes))])
    nearest = ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    return (nearest == task.labels("test")).mean()


def test_records_are_true_wfdb_at_360_hz(ecg_source):
    header = read_header(ecg_source, "s01")
    assert (header.channels, header.rate, header.n_samples) == (("MLII", "V1"), 360.0, 14400)
    assert "212" in (ecg_source / "s01.hea").read_text()
    assert read_header(ecg_source, "s06").channels == ("V5", "V1")
    marks = read_annotations(ecg_source, "s01", header)
    assert set(marks.symbols) == {"N", "L", "A"}
    signal = read_channel(ecg_source, "s01", header, "MLII")
    assert np.abs(signal).max() < 2047  # nothing is clipped in 12 bits
    # An R peak stands out at the marks: that is what the marks claim.
    assert np.abs(signal[marks.samples]).mean() > 3 * np.abs(signal).mean()


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_synthetic_ecg(tmp_path / name / "ecg", n_records=4, seconds=10, seed=seed)
        write_synthetic_xrays(tmp_path / name / "xray", n=80, seed=seed)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "a") != digests(tmp_path / "c")


@pytest.mark.parametrize("split", ["random", "patient"])
def test_the_demo_has_about_a_thousand_beats_that_can_be_told_apart(tmp_path, split):
    write_synthetic_ecg(tmp_path / "raw")
    task = prepare_ecg(tmp_path / "raw", tmp_path / "data", image_size=32, split=split)
    assert 900 < len(task.table) < 1100
    assert min(Counter(task.table["label"]).values()) > 250
    # Plainly above chance (1/3), and not so plain that the simplest rule gets all of them.
    assert 0.6 < nearest_mean_accuracy(task) < 0.99


def test_the_demo_has_600_x_rays_in_kaggles_layout(tmp_path):
    write_synthetic_xrays(tmp_path / "chest_xray")
    task = prepare_pneumonia(tmp_path, tmp_path / "data", image_size=32)
    assert len(task.table) == 600
    assert len(list((tmp_path / "chest_xray" / "val").rglob("*.jpeg"))) == 16
    assert all(task.table["group"])
    assert "no real patients" in task.info["source"]
    assert any("person numbers of the original test split" in note for note in task.info["notes"])
    assert 0.6 < nearest_mean_accuracy(task) < 0.99
