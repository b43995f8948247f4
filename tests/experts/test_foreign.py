"""The foreign images of the study of "unknown" are what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.foreign import CHANGED, FOREIGN

SIZE = 48


def slope(images: np.ndarray) -> float:
    """Exponent of amplitude against frequency, over the middle frequencies; about 0 for noise, -1 for nature."""
    grey = images.astype(float).mean(-1)
    amplitude = np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))).mean(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)))
    middle = (frequency > 0.05) & (frequency < 0.4)
    return float(np.polyfit(np.log(frequency[middle]), np.log(amplitude[middle]), 1)[0])


@pytest.mark.parametrize("kind", FOREIGN)
def test_shape_and_seed(kind):
    first, again, other = (FOREIGN[kind](6, SIZE, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (first.shape, first.dtype) == ((6, SIZE, SIZE, 3), np.uint8)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    grey = "grey" in kind
    assert (np.ptp(first.astype(int), axis=-1).max() == 0) == grey


def test_spectra():
    rng = np.random.default_rng(0)
    assert -1.7 < slope(FOREIGN["1/f textures, grey"](40, SIZE, rng)) < -0.6
    assert -2.5 < slope(FOREIGN["photographs"](40, SIZE, rng)) < -0.6
    assert abs(slope(rng.integers(0, 256, (40, SIZE, SIZE, 3)))) < 0.1, "the measure itself"


def test_blank_is_blank_and_noise_is_not():
    rng = np.random.default_rng(0)
    assert FOREIGN["blank"](9, SIZE, rng).std((1, 2)).max() == 0
    assert FOREIGN["noise"](9, SIZE, rng).std((1, 2)).min() > 3


def test_changes():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    for kind in ("inverted", "turned by 180°"):
        changed = CHANGED[kind](images)
        assert not np.array_equal(changed, images)
        assert np.array_equal(CHANGED[kind](changed), images)
    assert np.array_equal(CHANGED["turned by 90°"](images)[0, :, 0], images[0, 0][::-1])
