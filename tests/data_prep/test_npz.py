from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from data_prep.errors import BadData, PathsearchError
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


def test_another_target_stands_in_the_task(npz, tmp_path):
    assert prepare_npz(npz(), tmp_path, target="count").target == "count"


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
        ({"test_labels": np.full((8, 1), -1)}, "expected labels from 0 in test_labels, got -1 to -1"),
        ({"test_labels": np.zeros((8, 1), np.uint8)}, "image of class '1' in split 'test', got none"),
        ({"train_labels": np.array([{}] * 20)}, "one integer for each of 20 images, got object"),
        ({"train_labels": np.array(["0"] * 20)}, "one integer for each of 20 images, got <U1"),
        ({"train_images": np.array("text")}, "as uint8 N×H×W or N×H×W×3"),
        ({"train_images": np.zeros((20, 0, 12), np.uint8)}, "of 8 pixels a side or more"),
        (
            {"train_labels": np.arange(20) % 2 * 2**40},
            "got 0 to 1099511627776, and 34 images, fewer than one of each class",
        ),
        ({"val_labels": np.full(6, 2**64 - 1, np.uint64)}, "got 18446744073709551615 to 18446744073709551615"),
    ],
)
def test_a_planted_fault_is_named(npz, tmp_path, replaced, message):
    with pytest.raises(BadData) as caught:
        prepare_npz(npz(**replaced), tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_array_that_expands_a_thousandfold_is_refused_before_it_is_loaded(npz, tmp_path, monkeypatch):
    file = npz()
    with zipfile.ZipFile(file) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    # a header of 6 GB, and no data behind it: who loads first fails with another line, after making the room
    header = io.BytesIO()
    form = {"descr": "|u1", "fortran_order": False, "shape": (20_000_000, 18, 18)}
    np.lib.format.write_array_header_1_0(header, form)
    labels = io.BytesIO()
    np.lib.format.write_array_header_1_0(labels, {"descr": "|u1", "fortran_order": False, "shape": (20_000_000,)})
    members |= {"train_images.npy": header.getvalue(), "train_labels.npy": labels.getvalue()}
    with zipfile.ZipFile(file, "w") as bomb:
        for name, data in members.items():
            bomb.writestr(name, data)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(BadData, match=r"toy.npz: expected arrays of at most 536,870,912 bytes .* got 6,500,0"):
        prepare_npz(file, tmp_path)


def test_members_that_are_no_arrays_are_one_line(npz, tmp_path):
    file = npz()
    with zipfile.ZipFile(file) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    for name in members:
        with zipfile.ZipFile(file, "w") as other:
            for member, data in members.items():
                other.writestr(member, b"text" if member == name else data)
        with pytest.raises(BadData, match="in MedMNIST's layout, got") as caught:
            prepare_npz(file, tmp_path)
        assert "\n" not in str(caught.value)


def test_no_damage_gives_a_traceback(npz, tmp_path):
    file = npz()
    whole, rng, said = file.read_bytes(), np.random.default_rng(0), []
    for number in range(200):
        spoiled = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            spoiled[place] = rng.integers(256)
        file.write_bytes(bytes(spoiled[: rng.integers(len(whole))] if number % 4 == 0 else spoiled))
        try:
            prepare_npz(file, tmp_path / str(number))
        except PathsearchError as error:
            said.append(str(error))
    assert len(said) > 50
    assert all("\n" not in line for line in said)


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
