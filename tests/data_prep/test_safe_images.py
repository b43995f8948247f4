from __future__ import annotations

import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from data_prep import safe_images
from data_prep.errors import BadData
from data_prep.images import read_image
from data_prep.safe_images import FORMATS, MAX_PIXELS, _Budget, header, opened

POSTSCRIPT = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"


def png_header(width: int, height: int) -> bytes:
    """A PNG that says its size and then ends: what is refused by it was refused before decoding."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


@pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (MAX_PIXELS + 1, 1), (2**20, 2**20)])
def test_too_many_pixels_are_refused_by_the_header(tmp_path, width, height):
    (tmp_path / "bomb.png").write_bytes(png_header(width, height) + struct.pack(">I", 64) + b"IDAT" + b"\0" * 64)
    with pytest.raises(BadData, match=r"bomb.png: expected an image of at most 67,108,864 pixels, got") as caught:
        read_image(tmp_path / "bomb.png", None, 64)
    assert "\n" not in str(caught.value)


def test_an_image_of_the_largest_size_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_images, "MAX_PIXELS", 48)
    Image.new("L", (8, 6)).save(tmp_path / "fits.png")
    Image.new("L", (8, 7)).save(tmp_path / "not.png")
    assert read_image(tmp_path / "fits.png", None).size == (8, 6)
    with pytest.raises(BadData, match="at most 48 pixels, got 8 × 7"):
        read_image(tmp_path / "not.png", None)


def test_postscript_is_no_picture_whatever_its_name(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    def caught(*arguments, **options):
        raise AssertionError("Ghostscript was called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", caught)
    monkeypatch.setattr(subprocess, "check_call", caught)
    (tmp_path / "x.png").write_text(POSTSCRIPT)
    with pytest.raises(BadData, match=r"x.png: expected an image, got a file that does not decode"):
        read_image(tmp_path / "x.png", None)
    with Image.open(tmp_path / "x.png") as image, pytest.raises(AssertionError):
        image.load()  # the plant works: Pillow left alone goes there


@pytest.mark.parametrize("suffix", [suffix for suffixes in FORMATS.values() for suffix in suffixes])
def test_every_format_of_the_list_is_read(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    Image.new("RGB" if suffix != ".pgm" else "L", (9, 5), 77).save(file)
    with opened(file) as image:
        assert image.size == (9, 5)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(BadData, match=r"none.png: expected an image, got no such file"), opened(tmp_path / "none.png"):
        pass


def test_threads_share_one_budget():
    budget, at_once, most = _Budget(100), [0], [0]
    lock = threading.Lock()

    def work(pixels):
        with budget.take(pixels):
            with lock:
                at_once[0] += pixels
                most[0] = max(most[0], at_once[0])
            time.sleep(0.002)
            with lock:
                at_once[0] -= pixels

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (40, 40, 40, 90, 10, 60, 30, 40) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert 40 < most[0] <= 100
    assert budget.taken == 0
    with budget.take(1000):  # larger than all: let in alone
        assert budget.taken == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
def test_deep_pixels_are_scaled_without_copies_of_eight_bytes(tmp_path):
    side = 4000
    Image.fromarray(np.arange(side, dtype=np.uint16) + np.zeros((side, 1), np.uint16)).save(tmp_path / "deep.png")
    program = (
        "import resource, sys; from pathlib import Path; from data_prep.images import read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "read_image(Path(sys.argv[1]), None, 64)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    said = subprocess.run([sys.executable, "-c", program, tmp_path / "deep.png"], capture_output=True, check=True)
    assert int(said.stdout) * 1024 < 8 * side * side, "less than one copy in double precision"


def test_scaling_in_blocks_is_scaling_at_once(tmp_path):
    deep = np.random.default_rng(0).integers(300, 60_000, (150, 70), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "x.png")
    whole = deep.astype(np.float64)
    expected = np.round((whole - whole.min()) * (255.0 / (whole.max() - whole.min()))).astype(np.uint8)
    assert np.array_equal(np.asarray(read_image(tmp_path / "x.png", None)), expected)


def test_a_jpeg_by_name_and_by_pixels_is_one_picture(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (256, 256), dtype=np.uint8)).save(tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as image:
        pixels = np.asarray(image)
    assert np.array_equal(np.asarray(read_image(tmp_path / "x.jpg", "L", 32)), np.asarray(read_image(pixels, "L", 32)))


def test_a_header_says_size_and_mode_without_decoding(tmp_path):
    Image.new("RGB", (7, 5)).save(tmp_path / "a.png")
    assert header(tmp_path / "a.png") == (7, 5, "RGB")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:45])  # its pixels are cut off
    assert header(tmp_path / "a.png") == (7, 5, "RGB")
    (tmp_path / "a.png").write_bytes(whole[:10])
    with pytest.raises(BadData, match="expected an image, got a file that does not decode"):
        header(tmp_path / "a.png")
