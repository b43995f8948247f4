from __future__ import annotations

import pytest
from PIL import Image

from data_prep.errors import BadData, PathsearchError
from data_prep.image_tree import read_image_tree
from data_prep.xray import person_of, pooled_person_of, prepare_pneumonia


@pytest.mark.parametrize(
    ("name", "given", "group"),
    [
        ("person42_virus_7.jpeg", "train", "train/person42"),
        ("person42_virus_7_1.jpeg", "val", "train/person42"),
        ("person42_bacteria_9.jpeg", "test", "test/person42"),
        ("IM-0115-0001.jpeg", "train", "train/IM-0115"),
        ("IM-0115-0001-0002.jpeg", "train", "train/IM-0115"),
        ("NORMAL2-IM-1427-0001.jpeg", "test", "test/NORMAL2-IM-1427"),
        ("scan7.jpeg", "train", ""),
    ],
)
def test_the_person_is_read_from_the_file_name(name, given, group):
    assert pooled_person_of(name, given) == group
    assert person_of(name) == group.partition("/")[2]


def test_train_and_val_are_pooled_and_test_is_left_alone(make_images, kaggle_names, tmp_path):
    task = prepare_pneumonia(make_images(kaggle_names), tmp_path, image_size=16)
    assert task.classes == ("NORMAL", "PNEUMONIA")
    assert task.split_name == "official"
    counts = task.info["counts"]
    assert counts["test"] == {"NORMAL": 3, "PNEUMONIA": 6}
    # 10 + 1 normal and 20 + 2 pneumonia images in train and val: the one val person was 3 of 33 images, 9 %,
    # so the source's own validation set is kept.
    assert counts["val"] == {"NORMAL": 1, "PNEUMONIA": 2}
    assert (task.table.groupby("group")["split"].nunique() == 1).all()
    assert any("6 person numbers of the original test split" in note for note in task.info["notes"])
    with Image.open(task.files()[0]) as image:
        assert (image.mode, image.size) == ("L", (16, 16))


def test_a_tiny_validation_set_is_cut_anew(make_images, kaggle_names, tmp_path):
    more = [f"train/NORMAL/IM-{person:04d}-0001.jpeg" for person in range(100, 150)]
    task = prepare_pneumonia(make_images([*kaggle_names, *more]), tmp_path, image_size=16)
    assert "3 validation images pooled with training" in task.split_in_words
    assert 0.1 < len(task.rows("val")) / (len(task.rows("val")) + len(task.rows("train"))) < 0.3
    assert (task.table.groupby("group")["split"].nunique() == 1).all()


def test_a_split_by_patient_never_divides_a_number(make_images, kaggle_names, tmp_path):
    source = make_images([*kaggle_names, "train/NORMAL/scan.jpeg"])
    task = prepare_pneumonia(source, tmp_path, image_size=16, split="patient")
    assert "person1" in set(task.table["group"])  # of train and test together: they may be one child
    assert any("so in this split they are one group each" in note for note in task.info["notes"])
    assert "1 file names without a person number: each is a group of its own" in task.info["notes"]


def test_the_parent_folder_will_do(make_images, kaggle_names, tmp_path):
    make_images(kaggle_names, where="parent/chest_xray")
    make_images(kaggle_names, where="parent/__MACOSX/chest_xray")
    task = prepare_pneumonia(tmp_path / "parent", tmp_path, image_size=16)
    assert len(task.table) == len(kaggle_names)


def test_other_layouts_are_refused(make_images, tmp_path):
    source = make_images(["cat/1.png", "dog/1.png"])
    with pytest.raises(BadData, match=r"got none called train or val or test; for other layouts use: pathsearch"):
        prepare_pneumonia(source, tmp_path)
    source = make_images([f"{part}/{label}/1.png" for part in ("train", "val", "test") for label in "AB"], "other")
    with pytest.raises(BadData, match=r"expected the class folders NORMAL and PNEUMONIA, got A, B"):
        prepare_pneumonia(source, tmp_path)


def test_a_broken_image_is_named(make_images, kaggle_names, tmp_path):
    source = make_images(kaggle_names)
    (source / "train" / "NORMAL" / "IM-0003-0001.jpeg").write_bytes(b"\xff\xd8 nothing")
    with pytest.raises(BadData, match=r"IM-0003-0001.jpeg: expected an image, got a file that does not decode"):
        prepare_pneumonia(source, tmp_path, image_size=16)


@pytest.mark.parametrize("kinds", [("normal", "bacteria", "virus"), ("virus", "bacteria"), ("normal", "virus")])
def test_kinds_are_told_by_folder_and_file_name(make_images, kaggle_names, tmp_path, kinds):
    task = prepare_pneumonia(make_images(kaggle_names), tmp_path, image_size=16, kinds=",".join(kinds))
    assert task.classes == kinds
    assert task.info["counts"]["test"] == dict.fromkeys(kinds, 3)
    assert task.info["options"]["kinds"] == list(kinds)
    for file, label in zip(task.table["file"], task.table["label"], strict=True):
        assert label in file if label != "normal" else "IM-" in file
    left = {"normal", "bacteria", "virus"} - set(kinds)
    notes = [note for note in task.info["notes"] if "of other kinds" in note]
    assert notes == ([f"14 images of other kinds were left out ({left.pop()})"] if left else [])


def test_file_names_of_no_kind_are_named_or_left_out(make_images, kaggle_names, tmp_path):
    source = make_images([*kaggle_names, "train/PNEUMONIA/person3_fungus_1.jpeg"])
    with pytest.raises(BadData, match=r"got 1 others: train/PNEUMONIA/person3_fungus_1.jpeg; rename them, or leave"):
        prepare_pneumonia(source, tmp_path, kinds="normal,virus")
    task = prepare_pneumonia(source, tmp_path, kinds="normal,virus", skip_bad=True, image_size=16)
    assert any("1 images of no known kind were left out" in note for note in task.info["notes"])


@pytest.mark.parametrize("kinds", ["", "virus", "virus,virus", "normal,fungus"])
def test_kinds_that_there_are_not_are_refused(make_images, kaggle_names, tmp_path, kinds):
    with pytest.raises(PathsearchError, match="--kinds: expected two or all of normal,bacteria,virus, got"):
        prepare_pneumonia(make_images(kaggle_names), tmp_path, kinds=kinds)


@pytest.mark.real
def test_the_real_folder_is_found_whole(real_data):
    tree = read_image_tree(real_data / "chest_xray", pooled_person_of)
    count = {
        (part, label): sum(image.given == part and image.label == label for image in tree.images)
        for part in ("train", "val", "test")
        for label in tree.classes
    }
    assert list(count.values()) == [1341, 3875, 8, 8, 117, 195]
    assert all(image.group for image in tree.images)


@pytest.mark.real
@pytest.mark.slow
def test_the_real_folder_as_a_task(real_data, tmp_path):
    task = prepare_pneumonia(real_data / "chest_xray", tmp_path, image_size=64)
    counts = task.info["counts"]
    assert counts["test"] == {"NORMAL": 117, "PNEUMONIA": 195}
    for label, n in (("NORMAL", 1349), ("PNEUMONIA", 3883)):
        assert counts["train"][label] + counts["val"][label] == n
        assert counts["val"][label] / n == pytest.approx(0.2, abs=0.01)
    assert (task.table.groupby("group")["split"].nunique() == 1).all()
