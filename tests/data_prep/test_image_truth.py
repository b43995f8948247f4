"""Masks, boxes and numbers of folders and tables: what arrives, and every planted fault in one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.csv_table import prepare_csv
from data_prep.errors import BadData
from data_prep.folder import prepare_folder
from data_prep.manifest import prepared_tasks
from data_prep.table_words import NO_MASK

FLAT = [f"{number:02d}.png" for number in range(15)]
CLASSED = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(8)]
SPLIT = [f"{part}/{number}.png" for part in ("train", "val", "test") for number in range(4)]


def folder(source, masks, data_dir, **options):
    given = {"name": "pets", "image_size": 12, "mask_names": "background,lung", **options}
    return prepare_folder(source, data_dir, masks=masks, **given)


# --- folders --------------------------------------------------------------------------------------------------------


def test_a_flat_folder_with_masks_is_a_task_without_classes(draw, tmp_path):
    task = folder(*draw(tmp_path, FLAT), tmp_path / "data")
    assert (task.classes, task.targets, task.split_name) == ((), ("mask", "image"), "random")
    assert task.info["counts"] == {"train": {"images": 9}, "val": {"images": 3}, "test": {"images": 3}}
    assert "imbalance" not in task.info
    assert task.table[["file", "label", "mask"]].values[0].tolist() == ["images/00.png", "", "masks/00.png"]
    with Image.open(task.task_dir / "masks" / "00.png") as mask:
        assert set(np.unique(np.asarray(mask))) == {0, 255}, "a person sees black and white"


def test_split_folders_without_classes(draw, tmp_path):
    task = folder(*draw(tmp_path, SPLIT), tmp_path / "data")
    assert task.split_name == "official"
    assert set(task.table["file"]) == {f"images/{name[:-4].replace('/', '-')}.png" for name in SPLIT}


def test_class_folders_with_masks_have_both(draw, tmp_path):
    task = folder(*draw(tmp_path, CLASSED), tmp_path / "data")
    assert task.targets == ("class", "mask", "image")
    assert "masks/dog/3.png" in set(task.table["mask"])
    asked = folder(*draw(tmp_path, CLASSED), tmp_path / "data", target="mask", overwrite=True)
    assert asked.targets == ("mask", "class", "image")


def test_without_names_every_level_is_a_class_and_a_note_says_so(draw, tmp_path):
    levels = np.array([0, 10, 200], np.uint8)
    images, masks = draw(tmp_path, FLAT, mask=lambda n: levels[np.arange(480).reshape(20, 24) * 3 // 480])
    task = folder(images, masks, tmp_path / "data", mask_names=None)
    assert task.mask_names == ("background", "class 1", "class 2")
    assert task.info["masks"]["levels"] == [0, 128, 255]
    assert "grey levels 0, 10, 200 of the masks are called background, class 1, class 2" in task.info["notes"]
    assert task.masks("val")[0, :, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_one_class_in_two_encodings_is_refused_with_a_file_of_each(draw, tmp_path):
    lung = np.kron(np.eye(2, dtype=np.uint8), np.ones((10, 12), np.uint8))
    images, masks = draw(tmp_path, FLAT, mask=lambda n: lung * (1 if n in (2, 5) else 255))
    with pytest.raises(BadData, match=r"levels 0, 1 in \S+02\.png and 0, 255 in \S+00\.png; is it one class\? Export"):
        folder(images, masks, tmp_path / "data", mask_names=None)
    two = folder(images, masks, tmp_path / "data", mask_names="background,old,new")
    assert two.mask_names == ("background", "old", "new")
    Image.fromarray(lung + 255 * lung[::-1]).save(masks / "03.png")  # with both in one mask they are two
    assert len(folder(images, masks, tmp_path / "data", mask_names=None, name="both").mask_names) == 3


def test_empty_masks_are_truth_and_counted(draw, tmp_path):
    lung = np.full((20, 24), 255, np.uint8)
    images, masks = draw(tmp_path, FLAT, mask=lambda n: lung * (n > 3))
    task = folder(images, masks, tmp_path / "data")
    assert "4 of 15 masks are empty: background alone" in task.info["notes"]
    images, masks = draw(tmp_path / "blank", FLAT, mask=lambda n: lung * 0)
    fails(
        images, masks, tmp_path, "expected masks with a class beside the background, got 15 of one grey level each (0)"
    )


def test_masks_that_vanish_at_the_size_of_the_images_are_refused(draw, tmp_path):
    dot = np.zeros((20, 24), np.uint8)
    dot[3, 3] = 255
    images, masks = draw(tmp_path, FLAT, mask=lambda n: dot)
    fails(images, masks, tmp_path, "got 15 that are all background at the size of the images", image_size=8)


def fails(source, masks, data_dir, message, **options):
    with pytest.raises(BadData) as caught:
        folder(source, masks, data_dir / "refused", **options)
    assert message in str(caught.value), caught.value
    assert "\n" not in str(caught.value)
    assert prepared_tasks(data_dir / "refused") == []


def spoiled(kind, masks):
    """Plant one fault in the mask of the fourth image; the start of what is said of it."""
    file = masks / "03.png"
    with Image.open(file) as image:
        pixels = np.array(image)
    if kind == "size":
        Image.fromarray(pixels[:, :20]).save(file)
        return "expected a mask of 24 × 20 pixels, as its image, got 20 × 20; is it the mask of this image?"
    if kind == "level":
        pixels[0, 0] = 100
        Image.fromarray(pixels).save(file)
        return "expected a mask with the grey levels 0 (background), 255 (lung), got also 100; saved as JPEG"
    if kind == "jpeg":
        Image.fromarray(np.arange(480, dtype=np.uint8).reshape(20, 24) // 2).save(file)
        return "expected a mask with at most 32 grey levels, one a class, got "
    if kind == "damaged":
        file.write_bytes(file.read_bytes()[:40])
        return "expected an image, got a file that does not decode"
    Image.fromarray(np.dstack([pixels, pixels, pixels * 0])).save(file)
    return "expected a mask with one grey level a class, got colours"


@pytest.mark.parametrize("kind", ["size", "level", "jpeg", "damaged", "colour"])
def test_a_bad_mask_is_named_or_left_out_with_its_image(draw, tmp_path, kind):
    images, masks = draw(tmp_path, FLAT)
    said = spoiled(kind, masks)
    fails(images, masks, tmp_path, f"1 of 15 images cannot be used: {masks / '03.png'}: {said}")
    task = folder(images, masks, tmp_path / "data", skip_bad=True)
    assert len(task.table) == 14
    assert "1 images that cannot be used were left out: 03.png" in task.info["notes"]
    there = sorted(file.name for file in task.task_dir.rglob("*.png"))
    assert there == sorted(2 * [name for name in FLAT if name != "03.png"]), "nothing of it stays"


def test_an_image_without_mask_and_a_mask_without_image_are_named_or_left_out(draw, tmp_path):
    images, masks = draw(tmp_path, FLAT)
    (masks / "05.png").rename(masks / "stranger.png")
    fails(
        images,
        masks,
        tmp_path,
        "expected a mask for each image, such as 05.png, got none for 1 of 15: 05.png; add them",
    )
    (images / "05.png").unlink()
    fails(images, masks, tmp_path, "expected masks of the images in --source, got 1 without an image: stranger.png")
    draw(tmp_path, FLAT)
    (masks / "05.png").unlink()
    task = folder(images, masks, tmp_path / "data", skip_bad=True)
    assert task.info["notes"][:2] == [
        "1 images without a mask were left out: 05.png",
        "1 masks without an image were ignored: stranger.png",
    ]
    Image.new("L", (24, 20)).save(masks / "06.bmp")
    fails(images, masks, tmp_path, "06.png: expected one mask for each image, got 06.bmp too; remove one")


def test_folders_that_were_meant_otherwise(draw, tmp_path):
    images, masks = draw(tmp_path, FLAT)
    fails(tmp_path, masks, tmp_path, "expected a folder outside --source, got one inside; give the folder")
    fails(images, tmp_path / "none", tmp_path, "--masks", mask_names=None)
    images, masks = draw(tmp_path / "one", [f"pictures/{name}" for name in FLAT])
    fails(images, masks, tmp_path, "got the one folder 'pictures'; give that as --source")
    images, masks = draw(tmp_path / "both", [*CLASSED, "loose.png"])
    fails(images, masks, tmp_path, "expected all images in class folders, or all without, got both")
    images, masks = draw(tmp_path / "half", [f"train/{n}" for n in CLASSED] + ["test/1.png"])
    fails(images, masks, tmp_path, "expected all images in class folders, or all without, got both")
    images, masks = draw(tmp_path / "names", FLAT)
    fails(images, masks, tmp_path, "--mask-names: expected 2 to 32 different names", mask_names="lung")
    fails(images, masks, tmp_path, "expected 3 grey levels in the masks", mask_names="a,b,c")
    fails(images, masks, tmp_path, "expected truth for the target 'box', got none", target="box")


def test_a_mask_removed_as_a_copy_goes_with_its_image(draw, tmp_path):
    images, masks = draw(tmp_path, SPLIT)
    (images / "train/0.png").write_bytes((images / "test/0.png").read_bytes())
    task = folder(images, masks, tmp_path / "data", duplicates="move")
    assert (
        len(task.table) == len(list(task.task_dir.glob("images/*"))) == len(list(task.task_dir.glob("masks/*"))) == 11
    )


# --- tables ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(draw, tmp_path):
    """`pets.csv` beside 15 images and their masks, with the given columns."""
    draw(tmp_path, FLAT)

    def make(**columns):
        rows = {"file": [f"images/{name}" for name in FLAT], **columns}
        pd.DataFrame({name: column for name, column in rows.items() if column is not None}).to_csv(
            tmp_path / "pets.csv", index=False
        )
        return tmp_path / "pets.csv"

    return make


MASKS = [f"masks/{name}" for name in FLAT]
BOXES = {"x_min": [6] * 15, "y_min": [5] * 15, "x_max": [18] * 15, "y_max": [20] * 15}
PARTS = ["train"] * 7 + ["val"] * 4 + ["test"] * 4


def csv(file, data_dir, **options):
    return prepare_csv(file, data_dir, **{"name": "pets", "image_size": 12, **options})


def test_boxes_are_scaled_as_their_images_and_empty_cells_are_none(table, tmp_path):
    boxes = {name: ["", *column[1:]] for name, column in BOXES.items()}
    task = csv(table(split=PARTS, **boxes), tmp_path / "data")
    assert (task.classes, task.targets) == ((), ("box", "image"))
    # 24 × 20 pixels become 12 × 12: 6 / 2, 5 × 0.6, 18 / 2, 20 × 0.6
    assert np.isnan(task.boxes("train")[0]).all()
    assert task.boxes("train")[1].tolist() == [3, 3, 9, 12]
    assert "1 images have no box" in task.info["notes"]


def test_numbers_and_masks_beside_labels(table, tmp_path):
    ages = ["", "61", "0.5", *["7"] * 12]
    masks = [*MASKS[:-1], ""]
    file = table(label=["cat", "dog", "cat"] * 5, split=PARTS, mask=masks, age=ages, weight=["x"] * 15)
    task = csv(file, tmp_path / "data", numbers="age", mask_names="background,lung")
    assert task.targets == ("class", "mask", "image")
    assert task.number_names == ("age",)
    np.testing.assert_array_equal(task.numbers("train")[:3, 0], np.float32([np.nan, 61, 0.5]))
    assert (task.masks("test")[-1] == NO_MASK).all()
    assert (task.masks("test")[:-1] != NO_MASK).all()
    assert "1 images have no mask" in task.info["notes"]
    assert any("columns that were ignored: 'weight'" in note for note in task.info["notes"])


def test_a_task_of_numbers_alone(table, tmp_path):
    task = csv(table(age=["1"] * 15, label=[""] * 15), tmp_path / "data", numbers="age")
    assert task.targets == ("image",)
    assert len(task.numbers("train")) == 9


def test_a_manifest_with_truth_can_be_registered_again(table, tmp_path):
    first = csv(table(split=PARTS, mask=MASKS, age=["3"] * 15, **BOXES), tmp_path / "data", numbers="age", target="box")
    options = {"numbers": "age", "mask_names": "background,foreground", "target": "box", "name": "again"}
    again = csv(first.task_dir / "manifest.csv", tmp_path / "data", **options)
    assert again.mask_names == first.mask_names
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(again.masks(split), first.masks(split))
        np.testing.assert_array_equal(again.boxes(split), first.boxes(split))
        np.testing.assert_array_equal(again.numbers(split), first.numbers(split))


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({**BOXES, "x_max": [6] * 15}, {}, "image images/00.png: expected a box with x_min below x_max"),
        ({**BOXES, "x_max": [25] * 15}, {}, "expected a box inside its image of 24 × 20 pixels, got 6,5,25,20, which"),
        ({**BOXES, "y_max": None}, {}, "expected all of x_min,y_min,x_max,y_max for boxes, got file,x_min,y_min,x_max"),
        (
            {**BOXES, "y_max": ["", *[20] * 14]},
            {},
            "expected all four of x_min,y_min,x_max,y_max or none, got 6,5,18,nan",
        ),
        ({**BOXES, "y_max": ["low"] * 15}, {}, "expected a decimal number as y_max, or nothing, got 'low'"),
        ({"mask": ["masks/x.png", *MASKS[1:]]}, {}, "expected mask masks/x.png, got no such file"),
        (
            {"masks": MASKS, "label": ["a"] * 15},
            {},
            "expected columns called mask, x_min, y_min, x_max, y_max, got 'masks'",
        ),
        (
            {"mask": MASKS, "age": ["old"] * 15},
            {"numbers": "age"},
            "expected a decimal number as age, or nothing, got 'old'",
        ),
        ({"mask": MASKS}, {"numbers": "age"}, "--numbers: expected columns of "),
        ({"mask": MASKS, "label": ["cat", *[""] * 14]}, {}, "expected a file and a label in each row"),
        ({"mask": MASKS}, {"classes": "a,b"}, "expected as label one of 'a', 'b', got ''"),
        ({"group": ["a"] * 15}, {}, "expected rows under a header with file,label"),
        ({"mask": MASKS}, {"numbers": "split"}, "--numbers: expected numbers with names of their own, got 'split'"),
    ],
)
def test_a_bad_table_is_named(table, tmp_path, columns, options, message):
    with pytest.raises(BadData) as caught:
        csv(table(**columns), tmp_path / "data", **options)
    assert message in str(caught.value), caught.value
    assert "\n" not in str(caught.value)


def test_a_missing_mask_and_a_box_beyond_its_image_can_be_left_out(table, tmp_path):
    boxes = {**BOXES, "x_max": [18] * 14 + [30]}
    task = csv(table(mask=["masks/x.png", *MASKS[1:]], **boxes), tmp_path / "data", skip_bad=True)
    assert len(task.table) == 13
    assert task.info["notes"][0] == "1 images with masks of the table that are not there were left out: masks/x.png"
    assert "1 images that cannot be used were left out: images/14.png" in task.info["notes"]
