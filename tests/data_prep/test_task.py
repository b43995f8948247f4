"""Truth beyond the label, as a prepared task gives it."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.errors import BadData
from data_prep.manifest import COLUMNS, SPLITS, load_task, save_task
from data_prep.table_words import BOX, NO_MASK

SPLIT = {"name": "official", "words": "official split of the source"}
MASKS = {"names": ["background", "lung", "heart"], "levels": [0, 255, 128]}
WIDTH, HEIGHT = 6, 4


def rows(n=3):
    """`n` images in each split, without labels."""
    names = [f"{split}{i}" for split in SPLITS for i in range(n)]
    table = pd.DataFrame({"file": [f"images/{name}.png" for name in names]})
    return table.assign(label="", split=[name[:-1] for name in names], group="")[list(COLUMNS)]


def pixels(number):
    return np.full((HEIGHT, WIDTH), number, np.uint8)


def mask_of(number):
    """Class indices of image `number`: one lung pixel, one heart pixel."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[0, number % WIDTH], mask[3, number % WIDTH] = 1, 2
    return mask


def whole_table():
    """With every kind of truth; the second image of each split has none of it."""
    table = rows()
    none = [i % 3 == 1 for i in range(len(table))]
    table["mask"] = [file.replace("images", "masks") for file in table["file"]]
    for column, value in zip(BOX, (1, 0, 3.5, 4), strict=True):
        table[column] = f"{value:g}"
    table["age"], table["rr"] = "61", "-1.5e-1"
    table.loc[none, ["mask", *BOX, "age"]] = ""
    return table


def write(folder, table, colour=False):
    """The files of a table; every third column of grey level after its row."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    levels = np.array(MASKS["levels"], np.uint8)
    for number, row in table.iterrows():
        image = Image.fromarray(pixels(number))
        (image.convert("RGB") if colour and number == 0 else image).save(folder / row["file"])
        if row.get("mask"):
            Image.fromarray(levels[mask_of(number)]).save(folder / row["mask"])


def save(data_dir, table=None, masks=MASKS, numbers=("age", "rr"), classes=(), **options):
    table = whole_table() if table is None else table
    if not (data_dir / "chest").exists():
        write(data_dir / "chest", table)
    about = {"split": SPLIT, "source": "drawn here", "licence": "CC0", "options": {}, "notes": []}
    return save_task(
        data_dir / "chest",
        name="chest",
        classes=classes,
        table=table,
        masks=masks,
        numbers=numbers,
        **{**about, **options},
    )


def test_every_kind_of_truth_comes_back(tmp_path):
    save(tmp_path)
    task = load_task(tmp_path, "chest")
    assert task.mask_names == ("background", "lung", "heart")
    assert task.number_names == ("age", "rr")
    assert task.classes == ()
    masks, boxes, numbers, pictures = (f("val") for f in (task.masks, task.boxes, task.numbers, task.pictures))
    assert (masks.dtype, boxes.dtype, numbers.dtype, pictures.dtype) == (np.uint8, np.float32, np.float32, np.uint8)
    assert masks.shape == pictures.shape == (3, HEIGHT, WIDTH)
    np.testing.assert_array_equal(masks[[0, 2]], [mask_of(3), mask_of(5)])
    assert (masks[1] == NO_MASK).all()
    nan = np.nan
    np.testing.assert_array_equal(boxes, np.float32([[1, 0, 3.5, 4], [nan] * 4, [1, 0, 3.5, 4]]))
    np.testing.assert_array_equal(numbers, np.float32([[61, -0.15], [nan, -0.15], [61, -0.15]]))
    np.testing.assert_array_equal(pictures, [pixels(3), pixels(4), pixels(5)])
    assert task.labels("val").tolist() == [-1, -1, -1]
    assert task.info["counts"] == {split: {"images": 3} for split in SPLITS}


def test_a_task_without_such_truth_has_empty_truth_and_no_new_bytes(tmp_path):
    table = rows().assign(label=["cat", "dog", "cat"] * 3)
    task = save(tmp_path, table, masks=None, numbers=(), classes=("cat", "dog"))
    assert (task.mask_names, task.number_names, task.targets) == ((), (), ("class", "image"))
    assert task.masks("test").shape == (3, HEIGHT, WIDTH)
    assert (task.masks("test") == NO_MASK).all()
    assert task.boxes("test").shape == (3, 4)
    assert np.isnan(task.boxes("test")).all()
    assert task.numbers("test").shape == (3, 0)
    lines = (task.task_dir / "manifest.csv").read_bytes().splitlines(keepends=True)
    assert lines[:2] == [b"file,label,split,group\n", b"images/train0.png,cat,train,\n"]
    info = json.loads((task.task_dir / "task.json").read_text())
    fields = "name classes counts imbalance source licence split image_size options notes leakage"
    assert list(info) == [*fields.split(), "manifest_sha256", "images_sha256", "sha256"]


def test_pictures_are_colour_in_all_splits_if_one_image_of_the_task_is(tmp_path):
    write(tmp_path / "chest", whole_table(), colour=True)  # the first training image
    task = save(tmp_path)
    assert task.pictures("test").shape == (3, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(task.pictures("test")[0], np.repeat(pixels(6)[..., None], 3, 2))


def test_targets_are_those_with_truth_and_the_default_comes_first(tmp_path):
    assert save(tmp_path).targets == ("mask", "box", "image")
    assert save(tmp_path, target="box").targets == ("box", "mask", "image")
    assert save(tmp_path, target="image").targets == ("image", "mask", "box")
    assert save(tmp_path, target="severity").targets == ("severity", "mask", "box", "image")
    table = whole_table().assign(label=["cat", "dog", "cat"] * 3)
    assert save(tmp_path, table, classes=("cat", "dog")).targets == ("class", "mask", "box", "image")
    boxes = whole_table().drop(columns=["mask", "age", "rr"])
    assert save(tmp_path, boxes, masks=None, numbers=()).targets == ("box", "image")
    numbers = whole_table()[[*COLUMNS, "age"]]
    assert save(tmp_path, numbers, masks=None, numbers=("age",)).targets == ("image",)


def test_a_changed_mask_is_refused_by_name(tmp_path):
    task = save(tmp_path)
    task.verify_images()
    listed = (task.task_dir / "images.sha256").read_text().splitlines()
    assert [line.partition("  ")[2] for line in listed[8:11]] == [
        "images/test2.png",
        "masks/train0.png",
        "masks/train2.png",
    ]
    file = task.task_dir / "masks" / "test0.png"
    assert f"{hashlib.sha256(file.read_bytes()).hexdigest()}  masks/test0.png" in listed
    Image.fromarray(np.array(MASKS["levels"], np.uint8)[mask_of(0)[::-1]]).save(file)
    with pytest.raises(BadData, match=r"masks.test0.png: expected the image that was prepared, SHA-256"):
        task.verify_images()
    file.unlink()
    with pytest.raises(BadData, match=r"expected mask masks/test0.png, got no such file"):
        load_task(tmp_path, "chest")


def test_several_sizes_are_one_clear_line(tmp_path):
    task = save(tmp_path)
    Image.new("L", (9, 9)).save(task.files()[-1])  # of test: training images alone would have one size
    for read in (task.pictures, task.masks):
        with pytest.raises(BadData) as caught:
            read("train")
        assert str(caught.value) == (
            "task 'chest': expected images of one size, got 6 × 4 (test1.png) and 9 × 9 (test2.png); "
            "prepare it again with --image-size"
        )


WRONG = (None, True, 7, "", "x", "../x", [], [1], ["a"], ["a", "a"], {}, {"x": []}, {"names": ["a", "b"]}, [[]])
MASK_FIELDS = [
    {**MASKS, **wrong}
    for wrong in (
        {"levels": [0, 0, 1]}, {"levels": [0, 1, 256]}, {"levels": [0, 1]}, {"levels": [0, -1, 2]},
        {"levels": ["0", 1, 2]}, {"names": ["a", "a", "b"]}, {"names": ["a", " ", "b"]}, {"levels": [0.5, 1, 2]},
    )
]  # fmt: skip


@pytest.mark.parametrize("field", ["masks", "numbers", "target", "classes"])
def test_no_field_gives_a_traceback(tmp_path, field):
    save(tmp_path)
    file = tmp_path / "chest" / "task.json"
    info = json.loads(file.read_text())
    refused: list[str] = []
    wrong = [*WRONG, *(MASK_FIELDS if field == "masks" else ())]
    for value in wrong:
        file.write_text(json.dumps({key: one for key, one in {**info, field: value}.items() if key != "sha256"}))
        try:
            task = load_task(tmp_path, "chest")
        except BadData as fault:
            refused.append(str(fault))
        else:
            assert (field, value) in (("classes", []), ("target", "x"))
            assert task.targets
    assert len(refused) >= len(wrong) - 1
    assert all("chest" in said and "\n" not in said for said in refused)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.full((HEIGHT, WIDTH), 7, np.uint8),
            "expected a prepared mask with the grey levels 0, 255, 128, got others",
        ),
        (np.zeros((HEIGHT, WIDTH + 1), np.uint8), "expected 6 × 4 pixels as all images of the task, got 7 × 4"),
        (None, "expected an image, got a file that does not decode"),
    ],
)
def test_a_mask_that_is_none_is_named(tmp_path, mask, message):
    task = save(tmp_path)
    file = task.task_dir / "masks" / "val2.png"
    file.write_bytes(b"text") if mask is None else Image.fromarray(mask).save(file)
    with pytest.raises(BadData) as caught:
        task.masks("val")
    assert message in str(caught.value)
    assert "val2.png" in str(caught.value)
    assert "\n" not in str(caught.value)
