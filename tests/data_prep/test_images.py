from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data_prep.errors import BadData, CannotWrite, PathsearchError
from data_prep.images import check_image_size, file_names, read_image, safe, split_bad, write_images


def saved(tmp_path, array, name="x.png", mode=None):
    file = tmp_path / name
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file)
    return file


GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)


@pytest.mark.parametrize(
    ("mode", "expected"), [("L", "L"), ("1", "L"), ("LA", "L"), ("RGB", "RGB"), ("RGBA", "RGB"), ("P", "RGB")]
)
def test_grey_stays_grey_and_colour_colour(tmp_path, mode, expected):
    assert read_image(saved(tmp_path, GREY, mode=mode), None).mode == expected
    assert read_image(saved(tmp_path, GREY, mode=mode), "L").mode == "L"


def test_sixteen_bits_are_scaled_by_the_images_own_range(tmp_path):
    deep = np.array([[1000, 2000], [3000, 2000]], dtype=np.uint16)
    # (2000 - 1000) / (3000 - 1000) · 255 = 127.5, rounded to even: 128.
    assert np.asarray(read_image(saved(tmp_path, deep), None)).tolist() == [[0, 128], [255, 128]]
    flat = np.full((2, 2), 700, dtype=np.uint16)
    assert np.asarray(read_image(saved(tmp_path, flat), None)).tolist() == [[0, 0], [0, 0]]


def test_floats_must_be_finite(tmp_path):
    file = saved(tmp_path, np.array([[0.0, np.nan]], dtype=np.float32), "x.tiff")
    with pytest.raises(BadData, match=r"x.tiff: expected finite pixels, got NaN or infinity"):
        read_image(file, None)


def test_a_square_of_the_asked_size(tmp_path):
    assert read_image(saved(tmp_path, GREY), None, 16).size == (16, 16)
    assert read_image(GREY, None, 16).size == (16, 16)
    assert np.array_equal(np.asarray(read_image(GREY, None)), GREY)


def test_making_smaller_averages_instead_of_skipping(tmp_path):
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (128, 64))
    small = np.asarray(read_image(stripes, None, 16))
    assert small.min() > 100
    assert small.max() < 155


def test_the_camera_orientation_is_applied(tmp_path):
    image = Image.fromarray(GREY)
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png", None).size == (6, 8)


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: b"no image", lambda data: data[: len(data) // 2]])
def test_a_file_that_does_not_decode_is_named(tmp_path, spoil):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    file = saved(tmp_path, noise, "broken.jpg")
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(BadData, match=r"broken.jpg: expected an image, got a file that does not decode") as caught:
        read_image(file, "L", 32)
    assert "\n" not in str(caught.value)


def test_names_are_safe_and_never_alike():
    assert safe("../a b/ü.x") == "%2E%2E%2Fa%20b%2Fü%2Ex"
    names = file_names(["A", "a", "A", "B"], ["x", "X", "x", "x"])
    assert names == ["images/A/x.png", "images/a/X~2.png", "images/A/x~3.png", "images/B/x.png"]


def test_an_error_of_another_kind_stops_the_rest(tmp_path):
    made = []

    def make(number):
        made.append(number)
        if number == 3:
            raise PathsearchError("number 3")
        return Image.new("L", (4, 4))

    with pytest.raises(PathsearchError, match=r"number 3"):
        write_images([tmp_path / f"{i}.png" for i in range(2000)], make)
    assert len(made) < 2000


def test_bad_images_are_results_and_the_rest_is_made(tmp_path):
    def make(number):
        if number % 3 == 0:
            raise BadData(f"number {number}")
        return Image.new("L", (4, 4))

    made = write_images([tmp_path / f"{i}.png" for i in range(10)], make)
    assert [number for number, one in enumerate(made) if isinstance(one, BadData)] == [0, 3, 6, 9]
    names = [f"{i}.png" for i in range(10)]
    with pytest.raises(BadData, match=r"t: 4 of 10 images cannot be used: number 0; the others: 3.png, 6.png, 9.png;"):
        split_bad(made, names, "t")
    prints, bad = split_bad(made, names, "t", skip_bad=True)
    assert (len(prints), sorted(bad)) == (6, [0, 3, 6, 9])


@pytest.mark.parametrize("size", [0, -1, 7, 5000])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(PathsearchError, match=f"--image-size: expected 8 to 1024 pixels, got {size}"):
        check_image_size(size)


def test_a_full_disk_stops_the_work_and_names_the_file(tmp_path):
    resource = pytest.importorskip("resource", reason="limits of POSIX")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(CannotWrite, match=r"x.png: expected to be written, got .*; free some space") as caught:
            write_images([tmp_path / "x.png"], lambda number: Image.fromarray(noise))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
