"""Images as the encoder gets them: decoded, resized, and the augmented views of training images."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from small_world import SIZE, task

from pathsearch.encoders.views import MILD, Style, load_images


def test_images_become_rgb_of_the_encoders_size(tmp_path):
    Image.new("L", (20, 10), 7).save(tmp_path / "grey.png")
    loaded = load_images([tmp_path / "grey.png"], 32)
    assert loaded.shape == (1, 3, 32, 32)
    assert loaded.dtype == torch.uint8
    assert loaded.unique().tolist() == [7]


def test_views_are_deterministic_and_differ():
    files = task("blobs").files()[:6]
    views = [load_images(files, SIZE, view) for view in range(4)]
    again = [load_images(files, SIZE, view) for view in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(views, again, strict=True))
    assert all(not torch.equal(views[a], views[b]) for a in range(4) for b in range(a))
    plain = np.stack([np.array(Image.open(file).convert("RGB")) for file in files])
    assert np.array_equal(views[0].permute(0, 2, 3, 1).numpy(), plain), "view 0 is the image as it is"
    # an image's view does not depend on the batch it is loaded in
    assert torch.equal(load_images(files[4:], SIZE, 2, first=4), views[2][4:])


def augment(image: Image.Image, rng: random.Random, mirror: bool = True) -> Image.Image:
    return Style(mirror).drawn(rng).image(image)


class Planned(random.Random):
    """A generator that flips or not, then draws the given scale and angle."""

    def __init__(self, flip: bool = False, scale: float = 1.0, degrees: float = 0.0) -> None:
        super().__init__()
        self.flip, self.draws = flip, [scale, degrees]

    def random(self) -> float:
        return 0.25 if self.flip else 0.75

    def uniform(self, low: float, high: float) -> float:
        return self.draws.pop(0)


def asymmetric(size: int) -> Image.Image:
    """A bright bar in the upper left, none of whose mirror images it equals."""
    pixels = np.zeros((size, size, 3), dtype=np.uint8)
    pixels[size // 8 : size // 4, size // 8 : size // 2] = 200
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [32, 33])
def test_flip_mirrors_exactly(size):
    image = asymmetric(size)
    assert np.array_equal(np.array(augment(image, Planned())), np.array(image))
    assert np.array_equal(np.array(augment(image, Planned(flip=True))), np.array(image)[:, ::-1])


def test_a_task_whose_images_have_a_direction_is_never_mirrored():
    image = asymmetric(32)
    assert np.array_equal(np.array(augment(image, Planned(flip=True), mirror=False)), np.array(image))
    blobs = task("blobs")
    ecg = replace(blobs, info={**blobs.info, "options": {"mirror": False}})
    assert "flip" in Style.of(blobs, "paper").in_words
    assert Style.of(ecg, "paper").in_words == MILD


def centre_and_area(image: Image.Image) -> tuple[float, float, float]:
    """Centre of mass from the image's centre (right, down, in pixels) and sum of the brightness."""
    pixels = np.array(image).astype(float).sum(2)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]] - (len(pixels) - 1) / 2
    return float((x * pixels).sum() / pixels.sum()), float((y * pixels).sum() / pixels.sum()), float(pixels.sum())


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_scale_moves_everything_from_the_centre(scale):
    x, y, area = centre_and_area(asymmetric(64))
    scaled_x, scaled_y, scaled_area = centre_and_area(augment(asymmetric(64), Planned(scale=scale)))
    assert scaled_x == pytest.approx(scale * x, abs=0.1)
    assert scaled_y == pytest.approx(scale * y, abs=0.1)
    assert scaled_area == pytest.approx(scale**2 * area, rel=0.03)


@pytest.mark.parametrize("degrees", [-20, 20, 90])
def test_rotation_turns_about_the_centre(degrees):
    x, y, area = centre_and_area(asymmetric(64))
    turned_x, turned_y, turned_area = centre_and_area(augment(asymmetric(64), Planned(degrees=degrees)))
    expected = complex(x, y) * np.exp(-1j * np.radians(degrees))  # y points down: positive is anticlockwise
    other = complex(x, y) * np.exp(1j * np.radians(degrees))
    assert min(abs(complex(turned_x, turned_y) - turn) for turn in (expected, other)) < 0.15
    assert turned_area == pytest.approx(area, rel=0.03)


def augmented_before(image: Image.Image, rng: random.Random, mirror: bool = True) -> Image.Image:
    """`augment` as it was before masks and boxes moved with images."""
    flip = -1.0 if rng.random() < 0.5 and mirror else 1.0
    scale, angle = rng.uniform(0.9, 1.1), math.radians(rng.uniform(-0.1, 0.1))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    cx, cy = image.width / 2, image.height / 2
    a, b, d, e = flip * cos, flip * sin, -sin, cos
    matrix = (a, b, cx - a * cx - b * cy, d, e, cy - d * cx - e * cy)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


@pytest.mark.parametrize("mirror", [True, False])
def test_a_view_has_the_bytes_that_it_always_had(mirror):
    noise = np.random.default_rng(0).integers(0, 256, (33, 40, 3), dtype=np.uint8)
    for number in range(60):
        before = augmented_before(Image.fromarray(noise), random.Random(number), mirror)
        assert augment(Image.fromarray(noise), random.Random(number), mirror).tobytes() == before.tobytes()
    other = augmented_before(Image.fromarray(noise), random.Random(60), mirror)
    assert other.tobytes() != before.tobytes()


def test_the_warp_of_a_view_is_that_of_its_image():
    files = task("blobs").files()[:4]
    for mirror in (True, False):
        views_of_all = load_images(files, SIZE, 3, first=7, style=Style(mirror))
        for i, file in enumerate(files):
            moved = Style(mirror).warp(3, 7 + i).image(Image.open(file).convert("RGB"))
            assert np.array_equal(views_of_all[i].permute(1, 2, 0).numpy(), np.array(moved))


def test_augmentation_stays_within_what_its_description_says():
    drawn = []

    class Watching(random.Random):
        def uniform(self, low: float, high: float) -> float:
            drawn.append((low, high))
            return super().uniform(low, high)

    augment(asymmetric(16), Watching(0))
    assert drawn == [(0.9, 1.1), (-0.1, 0.1)]
    assert "scale 0.9 to 1.1" in MILD
    assert "up to 0.1 degrees" in MILD


# --- strong views ----------------------------------------------------------------------------------------------------


def test_strong_views_stay_within_what_their_description_says():
    warps = [Style(strong=True).warp(view, number) for view in (1, 2) for number in range(300)]
    assert all(0.8 <= warp.scale <= 1.2 and abs(warp.angle) <= 15 for warp in warps)
    assert max(warp.angle for warp in warps) > 13
    assert min(warp.scale for warp in warps) < 0.83
    assert 0.4 < sum(warp.flip for warp in warps) / len(warps) < 0.6


def test_tones_move_all_channels_alike_and_in_order():
    ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2))
    seen = set()
    for number in range(40):
        found = np.array(Style(strong=True).tone(ramp, random.Random(number)))[0]
        assert (found == found[:, :1]).all()
        assert (np.diff(found[:, 0].astype(int)) >= 0).all(), "brighter stays brighter"
        seen.add(found.tobytes())
    assert len(seen) == 40


def test_strong_views_are_the_warped_image_in_another_tone():
    file = task("blobs").files()[0]
    plain, strong = (load_images([file], SIZE, 1, style=Style(strong=one)) for one in (False, True))
    assert not torch.equal(plain, strong)
    moved = Style(strong=True).warp(1, 0).image(Image.open(file).convert("RGB"))
    order = np.argsort(np.array(moved)[..., 0].ravel(), kind="stable")
    tones = strong[0, 0].numpy().ravel()[order].astype(int)
    assert (np.diff(tones) >= 0).all()
