"""Masks of arrays: what arrives, and every planted fault in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import BadData
from data_prep.npz import prepare_npz


@pytest.fixture
def npz(tmp_path):
    """`toy.npz` with images and masks, any of its arrays replaced or (None) left out."""

    def make(**replaced) -> Path:
        rng, arrays = np.random.default_rng(0), {}
        for part, n in (("train", 8), ("val", 4), ("test", 4)):
            arrays[f"{part}_images"] = rng.integers(0, 256, (n, 12, 10), dtype=np.uint8)
            arrays[f"{part}_masks"] = rng.integers(0, 3, (n, 12, 10), dtype=np.uint8)
        arrays.update(replaced)
        np.savez(tmp_path / "toy.npz", **{name: array for name, array in arrays.items() if array is not None})
        return tmp_path / "toy.npz"

    return make


def test_masks_of_arrays_arrive(npz, tmp_path):
    masks = np.kron(np.arange(8 * 30).reshape(8, 6, 5) % 3, np.ones((2, 2), int))
    file = npz(train_masks=masks)
    task = prepare_npz(file, tmp_path, image_size=24, mask_names="a,b,c")
    assert (task.classes, task.targets, task.mask_names) == ((), ("mask", "image"), ("a", "b", "c"))
    larger = task.masks("train")
    assert larger.shape == (8, 24, 24)
    np.testing.assert_array_equal(larger[:, ::2][:, :, [1, -2]], masks[:, :, [0, -1]])


def test_labels_and_masks_together(npz, tmp_path):
    labels = {f"{part}_labels": np.arange(n) % 2 for part, n in (("train", 8), ("val", 4), ("test", 4))}
    task = prepare_npz(npz(**labels), tmp_path, target="mask")
    assert (task.classes, task.targets) == (("0", "1"), ("mask", "class", "image"))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"val_masks": None}, "expected masks of all splits or of none, got train_masks, test_masks; add the others"),
        (
            {"val_masks": np.zeros((4, 12, 9), np.uint8)},
            "expected val_masks as one integer for each pixel of val_images",
        ),
        ({"val_masks": np.zeros((4, 12, 10))}, "(4, 12, 10), got float64 of shape (4, 12, 10); number the classes"),
        ({"train_labels": np.arange(8) % 2}, "expected val_images and val_labels in MedMNIST's layout"),
        (
            {"train_masks": np.arange(960).reshape(8, 12, 10)},
            "mask of train-0: expected a mask with at most 32 grey levels",
        ),
        ({f"{part}_masks": None for part in ("train", "val", "test")}, "expected train_images and train_labels in"),
    ],
)
def test_a_planted_fault_in_arrays_is_named(npz, tmp_path, replaced, message):
    with pytest.raises(BadData) as caught:
        prepare_npz(npz(**replaced), tmp_path)
    assert message in str(caught.value), caught.value
    assert "\n" not in str(caught.value)
