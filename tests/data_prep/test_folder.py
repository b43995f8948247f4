from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from data_prep.errors import BadData, PathsearchError
from data_prep.folder import prepare_folder
from data_prep.manifest import prepared_tasks

CLASS_TREE = [f"{label}/{person}_{i}.png" for label in ("cat", "dog") for person in "abcdefgh" for i in range(2)]
SPLIT_TREE = [
    f"{part}/{label}/{part}{i}.png"
    for part, n in (("train", 8), ("valid", 2), ("test", 3))
    for label in ("cat", "dog")
    for i in range(n)
]


def test_class_folders_are_split_at_random(make_images, tmp_path):
    told = []
    source = make_images([*CLASS_TREE, "dog/deep/er/z.PNG"])
    task = prepare_folder(source, tmp_path, name="pets", image_size=16, progress=lambda *step: told.append(step))
    assert (task.split_name, task.classes, len(task.table)) == ("random", ("cat", "dog"), 33)
    assert told[-1] == (33, 33)
    assert "images/dog/deep-er-z.png" in set(task.table["file"])
    assert task.info["source"] == "images in folder pictures"


def test_split_folders_are_official_by_default(make_images, tmp_path):
    task = prepare_folder(make_images(SPLIT_TREE), tmp_path, name="pets", image_size=16)
    assert task.split_name == "official"
    assert task.info["counts"] == {p: {"cat": n, "dog": n} for p, n in (("train", 8), ("val", 2), ("test", 3))}
    again = prepare_folder(make_images(SPLIT_TREE), tmp_path, name="mixed", image_size=16, split="random")
    assert again.info["counts"]["train"] == {"cat": 7, "dog": 7}  # 13 a class, less 3 and 3


def test_groups_come_from_file_names_and_stay_together(make_images, tmp_path):
    source = make_images(CLASS_TREE)
    task = prepare_folder(source, tmp_path, name="pets", image_size=16, groups=r"^(\w)_")
    assert task.split_name == "patient"
    assert set(task.table["group"]) == set("abcdefgh")
    assert (task.table.groupby("group")["split"].nunique() == 1).all()


def test_file_names_without_a_group_are_counted(make_images, tmp_path):
    source = make_images([*CLASS_TREE, "cat/none.png"])
    task = prepare_folder(source, tmp_path, name="pets", image_size=16, groups=r"^(\w)_")
    assert "1 file names without a match for --groups: each is a group of its own" in task.info["notes"]


def test_a_group_in_two_official_splits_is_an_error(make_images, tmp_path):
    source = make_images([*SPLIT_TREE, "test/cat/train1.png"])
    with pytest.raises(BadData, match=r"got group 'train1' in train and test"):
        prepare_folder(source, tmp_path, name="pets", image_size=16, groups=r"^(\w+)\.")


def test_grey_and_colour_are_kept(make_images, tmp_path):
    make_images(CLASS_TREE)
    make_images(["cat/colour.png"], mode="RGB")
    task = prepare_folder(tmp_path / "pictures", tmp_path, name="pets", image_size=16)
    modes = {}
    for file in task.files():
        with Image.open(file) as image:
            modes[file.stem] = image.mode
            assert image.size == (16, 16)
    assert modes.pop("colour") == "RGB"
    assert set(modes.values()) == {"L"}


def test_other_files_are_ignored_and_counted(make_images, tmp_path):
    source = make_images([*SPLIT_TREE, "extra/cat/x.png"])
    for name in ("train/cat/notes.txt", "train/dog/table.csv", "train/dog/.hidden"):
        (source / name).write_text("x")
    task = prepare_folder(source, tmp_path, name="pets", image_size=16)
    assert task.info["notes"][:2] == [
        "2 files that are no images were ignored, such as 'notes.txt'",
        "folders beside train, val and test were ignored: extra",
    ]


def assert_fails(source: Path, data_dir: Path, message: str, error=BadData, **options):
    with pytest.raises(error) as caught:
        prepare_folder(source, data_dir, name="pets", image_size=16, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert prepared_tasks(data_dir) == []
    assert list(data_dir.glob(".*")) == []


def test_an_empty_class_is_named(make_images, tmp_path):
    source = make_images(CLASS_TREE)
    (source / "cow").mkdir()
    (source / "cow" / "readme.txt").write_text("x")
    assert_fails(source, tmp_path, "of class 'cow', got none among 1 files; add images or remove the folder")


def test_a_class_that_misses_a_split_is_named(make_images, tmp_path):
    source = make_images([name for name in SPLIT_TREE if not name.startswith("test/dog")])
    assert_fails(source, tmp_path, "expected at least one image of class 'dog' in split 'test', got none")


def test_an_image_that_does_not_decode_is_named(make_images, tmp_path):
    source = make_images(CLASS_TREE)
    (source / "dog" / "c_1.png").write_bytes((source / "dog" / "c_1.png").read_bytes()[:50])
    assert_fails(source, tmp_path, "c_1.png: expected an image, got a file that does not decode")


def test_no_images_at_all(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_fails(tmp_path / "empty", tmp_path, "expected one folder of images for each class")


def test_one_class_is_not_a_task(make_images, tmp_path):
    assert_fails(make_images(["cat/a.png", "cat/b.png"]), tmp_path, "expected at least two classes, got 'cat'")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("(", "--groups: expected a regular expression, got '('"),
        ("person", "--groups: expected one pair of parentheses, got 0"),
        ("(nobody)", "expected to match file names such as 'a_0.png', got no match at all"),
    ],
)
def test_bad_group_expressions_are_named(make_images, tmp_path, groups, message):
    assert_fails(make_images(CLASS_TREE), tmp_path, message, PathsearchError, groups=groups)


def test_bad_splits_and_sizes_are_named(make_images, tmp_path):
    source = make_images(CLASS_TREE)
    assert_fails(source, tmp_path, "--split: expected random, patient or official", PathsearchError, split="dev")
    assert_fails(source, tmp_path, "expected a train split in the source, got no split", split="official")
    with pytest.raises(PathsearchError, match=r"--image-size: expected 8 to 1024"):
        prepare_folder(source, tmp_path, name="pets", image_size=1)
