from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data_prep.errors import BadData, PathsearchError
from data_prep.folder import prepare_folder
from data_prep.lungs import class_of, prepare_lungs
from data_prep.manifest import prepared_tasks

NAMES = [f"CHNCXR_{number:04d}_{number % 2}.png" for number in range(20)]


def prepare(source, data_dir, **options):
    return prepare_lungs(source, data_dir, image_size=12, **options)


def test_mask_box_and_class_of_each_image(draw, tmp_path):
    draw(tmp_path / "set", NAMES)
    task = prepare(tmp_path / "set", tmp_path)
    assert (task.name, task.classes, task.split_name) == ("lungs", ("normal", "tuberculosis"), "random")
    assert task.targets == ("mask", "class", "box", "image")
    assert task.mask_names == ("background", "lung")
    assert task.info["counts"]["train"] == {"normal": 6, "tuberculosis": 6}
    assert task.info["source"] == "Shenzhen chest X-rays with lung masks"
    for split in ("train", "val", "test"):
        masks, boxes, labels = task.masks(split), task.boxes(split), task.labels(split)
        for row, mask, box, label in zip(task.rows(split), masks, boxes, labels, strict=True):
            number = int(task.table["group"][row].removeprefix("CHNCXR_"))
            assert label == number % 2
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            # drawn at rows 4 to 11 of 20 and columns 4 to 11 + number % 5 of 24, kept at 12 × 12
            assert abs(box - np.array([2, 2.4, (12 + number % 5) / 2, 7.2])).max() <= 1
            with Image.open(task.files()[row]) as image:
                assert (image.mode, image.size) == ("L", (12, 12))


def test_images_are_those_that_other_sources_make_of_the_same_files(draw, tmp_path):
    images, masks = draw(tmp_path / "set", NAMES)
    ours = prepare(tmp_path / "set", tmp_path)
    others = prepare_folder(images, tmp_path, name="others", masks=masks, image_size=12, seed=1)
    by_name = {file.stem: file.read_bytes() for file in others.files()}
    assert {file.stem: file.read_bytes() for file in ours.files()} == by_name


def test_another_source_is_the_test_set(draw, tmp_path):
    draw(tmp_path / "set", NAMES)
    others = [name.replace("CHN", "MCU").replace("_0", "_1", 1) for name in NAMES[:6]]
    draw(tmp_path / "other", others, size=(24, 18), mask=lambda n: np.eye(18, 24, n, dtype=np.uint8) * 255)
    task = prepare(tmp_path / "set", tmp_path, test=tmp_path / "other")
    test = task.table["split"] == "test"
    assert set(task.table["group"][test]) == {name[:11] for name in others}
    assert task.info["counts"]["val"] == {"normal": 2, "tuberculosis": 2}
    assert task.split_name == "official"
    assert task.split_in_words == (
        "test images are all of another source (Montgomery County chest X-rays with lung masks); those of the source "
        "(Shenzhen chest X-rays with lung masks) are divided, a stratified 20 % for validation"
    )
    assert "Shenzhen" in task.info["source"]
    assert "Montgomery" in task.info["source"]
    assert "CC BY-NC-SA 4.0" in task.info["licence"]
    with pytest.raises(PathsearchError, match=r"--split random: expected no other than official beside --test"):
        prepare(tmp_path / "set", tmp_path, test=tmp_path / "other", split="random", overwrite=True)


def test_the_same_set_twice_is_refused(draw, tmp_path):
    draw(tmp_path / "set", NAMES)
    with pytest.raises(BadData, match=r"expected each group in one split, got group"):
        prepare(tmp_path / "set", tmp_path, test=tmp_path / "set")


def test_a_split_by_patient_and_another_default_target(draw, tmp_path):
    draw(tmp_path / "set", NAMES)
    task = prepare(tmp_path / "set", tmp_path, split="patient", target="class")
    assert task.split_name == "patient"
    assert task.targets == ("class", "mask", "box", "image")


def test_masks_may_be_called_mask(draw, tmp_path):
    _, masks = draw(tmp_path / "set", NAMES)
    for file in list(masks.iterdir()):
        file.rename(masks / f"{file.stem}_mask.png")
    assert len(prepare(tmp_path / "set", tmp_path).table) == 20


def fails(source, data_dir, message, **options):
    with pytest.raises(BadData) as caught:
        prepare(source, data_dir, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert prepared_tasks(data_dir) == []


def test_other_layouts_and_names_are_refused(draw, tmp_path):
    images, masks = draw(tmp_path / "set", NAMES)
    fails(images, tmp_path, "expected a folder with images/ and masks/, got no images/")
    fails(tmp_path / "none", tmp_path, "--source", test=tmp_path / "set")
    fails(tmp_path / "set", tmp_path, "--test", test=tmp_path / "none")
    draw(tmp_path / "set", ["x_2.png", "scan.png"])
    fails(
        tmp_path / "set", tmp_path, "names that end in _0 (normal) or _1 (tuberculosis), got scan.png, x_2.png; rename"
    )
    assert masks.is_dir()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("CHNCXR_0327_1", "tuberculosis"), ("a_0", "normal"), ("0", None), ("a_2", None), ("a_", None)],
)
def test_the_class_is_read_from_the_file_name(name, expected):
    assert class_of(name) == expected


@pytest.mark.real
def test_the_real_sets(real_data, tmp_path):
    source, test = real_data / "lungs_shenzhen", real_data / "lungs_montgomery"
    task = prepare_lungs(source, tmp_path, test=test, image_size=64)
    counts = task.info["counts"]
    assert counts["test"] == {"normal": 40, "tuberculosis": 29}
    assert counts["train"]["normal"] + counts["val"]["normal"] == 279
    assert counts["train"]["tuberculosis"] + counts["val"]["tuberculosis"] == 287
    for split, n in (("train", 453), ("val", 113), ("test", 69)):
        masks, boxes = task.masks(split), task.boxes(split)
        assert masks.shape == (n, 64, 64)
        assert 0.2 < (masks == 1).mean() < 0.3  # lungs take a quarter of a chest X-ray
        assert set(np.unique(masks)) == {0, 1}
        assert np.isfinite(boxes).all()
    task.verify_images()
