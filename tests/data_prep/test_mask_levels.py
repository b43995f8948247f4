"""What the grey levels of masks stand for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data_prep.errors import BadData
from data_prep.mask_levels import Meaning, check_mask_names, class_indices, levels_of_all, meaning_of, read_levels

LUNG = Meaning(("background", "lung"), (0, 255))
PIXELS = np.array([[0, 1], [2, 1]], np.uint8)


def written(tmp_path, image, name="m.png"):
    image.save(tmp_path / name)
    return read_levels(tmp_path / name, name)


def test_masks_of_many_forms_are_whole_numbers(tmp_path):
    expected = PIXELS.astype(np.int64)
    assert np.array_equal(written(tmp_path, Image.fromarray(PIXELS)), expected)
    assert np.array_equal(written(tmp_path, Image.fromarray(PIXELS.astype(np.uint16) * 300)), expected * 300)
    assert np.array_equal(written(tmp_path, Image.fromarray(np.dstack([PIXELS] * 3))), expected)
    assert np.array_equal(written(tmp_path, Image.fromarray(PIXELS.astype(np.float32)), "m.tif"), expected)
    two = written(tmp_path, Image.fromarray(PIXELS > 1))
    assert two.tolist() == [[0, 0], [255, 0]]
    assert np.array_equal(read_levels(PIXELS, "array"), expected)
    assert np.array_equal(read_levels(PIXELS > 0, "array"), PIXELS > 0)


def test_a_palette_of_colours_counts_classes_and_one_of_greys_is_grey(tmp_path):
    image = Image.fromarray(PIXELS).convert("P")
    image.putpalette([255, 255, 255, 0, 0, 0, 90, 90, 90])
    assert written(tmp_path, image).tolist() == [[255, 0], [90, 0]]
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    assert written(tmp_path, image).tolist() == PIXELS.tolist()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)),
            "m.tif: expected a mask with at most 32 grey levels, one a class, got 64; saved as JPEG, or smoothed?",
        ),
        (
            Image.fromarray(np.dstack([PIXELS, PIXELS, PIXELS * 0])),
            "expected a mask with one grey level a class, got colours",
        ),
        (Image.fromarray(PIXELS.astype(np.float32) / 2), "expected a mask of whole grey levels, got fractions"),
        (Image.fromarray(np.full((2, 2), np.nan, np.float32)), "expected a mask of whole grey levels, got fractions"),
    ],
)
def test_what_is_no_mask_is_named(tmp_path, image, message):
    with pytest.raises(BadData) as caught:
        written(tmp_path, image, "m.tif")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_faults_wait_for_their_image(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    found = levels_of_all([PIXELS, tmp_path / "bad.png", None, tmp_path / "none.png"], ["a", "b", "c", "d"])
    assert (found[0], found[2]) == ({0, 1, 2}, set())
    assert "expected an image, got a file that does not decode" in str(found[1])
    assert "expected an image, got no such file" in str(found[3])


@pytest.mark.parametrize(
    ("found", "names", "meaning"),
    [
        ([{0}, {0, 255}], ["background", "lung"], LUNG),
        ([{0, 255}], None, Meaning(("background", "foreground"), (0, 255))),
        ([{0, 7}, {0, 200}], None, Meaning(("background", "class 1", "class 2"), (0, 7, 200))),
        # numbers of classes, one of which is in no mask
        ([{0, 2}], ["a", "b", "c"], Meaning(("a", "b", "c"), (0, 1, 2))),
        # one mask of three was smoothed: its own levels are unknown
        ([{0, 255}, {0, 255}, {0, 100, 255}], ["background", "lung"], LUNG),
    ],
)
def test_what_levels_stand_for(found, names, meaning):
    assert meaning_of(found, names, "task 'x'", list(map(str, found))) == meaning


@pytest.mark.parametrize(
    ("found", "names", "message"),
    [
        ([{0}, {0}], None, "expected masks with a class beside the background, got 2 of one grey level each (0)"),
        ([{0}], ["background", "lung"], "expected masks with a class beside the background"),
        (
            [{0, 255}],
            ["a", "b", "c"],
            "expected 3 grey levels in the masks, one for each of --mask-names a,b,c, got 2: 0, 255",
        ),
        (
            [{0, 100, 255}] * 3,
            ["a", "b"],
            "expected 2 grey levels in the masks, one for each of --mask-names a,b, got 3",
        ),
        ([{k, k + 1} for k in range(40)], None, "expected at most 32 grey levels in all masks together, got 41"),
    ],
)
def test_levels_that_stand_for_nothing_are_refused(found, names, message):
    with pytest.raises(BadData) as caught:
        meaning_of(found, names, "task 'x'", list(map(str, found)))
    assert message in str(caught.value)


def test_an_unknown_level_is_named():
    assert class_indices(np.array([[255, 0]]), LUNG, "m.png").tolist() == [[1, 0]]
    with pytest.raises(BadData) as caught:
        class_indices(np.array([[255, 0, 3, 128]]), LUNG, "m.png")
    assert str(caught.value).startswith(
        "m.png: expected a mask with the grey levels 0 (background), 255 (lung), got also 3, 128; saved as JPEG"
    )


@pytest.mark.parametrize("names", [("lung",), ("a", "a"), ("a", " "), ("a", "b\n"), tuple(map(str, range(33)))])
def test_names_that_are_none_are_refused(names):
    check_mask_names(("background", "lung"))
    with pytest.raises(BadData, match="--mask-names: expected 2 to 32 different names with commas between them"):
        check_mask_names(names)
