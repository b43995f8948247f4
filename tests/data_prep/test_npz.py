from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data_prep.errors import BadData
from data_prep.npz import prepare_npz

SIZES = {"train": 20, "val": 6, "test": 8}


@pytest.fixture
def npz(tmp_path):
    """A file in MedMNIST's layout, with any of its arrays replaced or (None) left out."""

    def make(shape=(12, 12), **replaced):
        rng = np.random.default_rng(0)
        arrays = {}
        for part, n in SIZES.items():
            arrays[f"{part}_images"] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
            arrays[f"{part}_labels"] = (np.arange(n) % 2).astype(np.uint8)[:, None]
        arrays.update(replaced)
        np.savez(tmp_path / "toy.npz", **{name: array for name, array in arrays.items() if array is not None})
        return tmp_path / "toy.npz"

    return make


@pytest.mark.parametrize(("shape", "mode"), [((12, 12), "L"), ((12, 12, 3), "RGB")])
def test_pixels_labels_and_splits_arrive(npz, tmp_path, shape, mode):
    file = npz(shape)
    task = prepare_npz(file, tmp_path)
    assert (task.name, task.classes, task.split_name) == ("toy", ("0", "1"), "official")
    with np.load(file) as arrays:
        for part, n in SIZES.items():
            assert len(task.rows(part)) == n
            assert task.labels(part).tolist() == arrays[f"{part}_labels"][:, 0].tolist()
            for row, expected in zip(task.rows(part), arrays[f"{part}_images"], strict=True):
                with Image.open(task.files()[row]) as image:
                    assert image.mode == mode
                    assert np.array_equal(np.asarray(image), expected)  # at its own size nothing is lost


def test_names_and_size_can_be_given(npz, tmp_path):
    task = prepare_npz(npz(), tmp_path, name="lungs", image_size=16, classes="normal, pneumonia")
    assert task.classes == ("normal", "pneumonia")
    assert task.info["image_size"] == 16


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"val_labels": None}, "expected val_images and val_labels in MedMNIST's layout, got"),
        ({"train_images": np.zeros((20, 4, 4, 4), np.uint8)}, "volumes are not supported"),
        ({"train_images": np.zeros((20, 4, 4), np.float32)}, "got float32 of shape"),
        ({"test_labels": np.zeros((8, 3), np.uint8)}, "several labels an image are not supported"),
        ({"test_labels": np.zeros((7, 1), np.uint8)}, "one integer for each of 8 images"),
        ({"test_labels": np.full((8, 1), -1)}, "expected labels from 0 in test_labels, got -1"),
        ({"test_labels": np.zeros((8, 1), np.uint8)}, "image of class '1' in split 'test', got none"),
        ({"train_labels": np.array([{}] * 20)}, "expected train_images and train_labels"),
    ],
)
def test_a_planted_fault_is_named(npz, tmp_path, replaced, message):
    with pytest.raises(BadData) as caught:
        prepare_npz(npz(**replaced), tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_class_names_are_refused(npz, tmp_path):
    with pytest.raises(BadData, match=r"--classes: expected 2 names, one for each label of toy.npz, got 1: 'a'"):
        prepare_npz(npz(), tmp_path, classes="a")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 no zip"])
def test_a_file_that_is_no_npz_is_named(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(BadData, match=r"bad.npz: expected train_images and train_labels in MedMNIST's layout"):
        prepare_npz(tmp_path / "bad.npz", tmp_path)


@pytest.mark.real
def test_the_real_pneumoniamnist(real_data, tmp_path):
    task = prepare_npz(real_data / "medmnist" / "pneumoniamnist.npz", tmp_path, classes="normal,pneumonia")
    assert [len(task.rows(part)) for part in SIZES] == [4708, 524, 624]
    assert task.info["image_size"] == 28
