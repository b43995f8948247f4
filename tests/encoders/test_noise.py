"""Noise on pixels: of the strength that is stated, drawn by names, the same for grey channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_world import dense_data, dense_task, trained
from small_world import refused

from pathsearch.encoders.features import Features, encode
from pathsearch.encoders.noise import Noise
from pathsearch.encoders.pixels import make_encoder
from pathsearch.run.settings import TrainingSettings


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grey(level: int = 128, n: int = 4, side: int = 64) -> torch.Tensor:
    return torch.full((n, 3, side, side), level, dtype=torch.uint8)


def noise(text: str) -> Noise:
    found = Noise.of(text)
    assert found is not None
    return found


@pytest.mark.parametrize("sd", [0.02, 0.1])
def test_gaussian_noise_has_its_spread(sd):
    found = noise(f"gaussian:{sd}").on(grey(), stream())
    assert found.dtype == torch.float32
    assert found.std().item() == pytest.approx(255 * sd, rel=0.03)
    assert found.mean().item() == pytest.approx(128, abs=1)


def test_a_range_is_drawn_for_each_image():
    spreads = noise("gaussian:0.01-0.2").on(grey(n=200, side=32), stream()).flatten(1).std(1) / 255
    assert 0.008 < spreads.min() < 0.03
    assert 0.17 < spreads.max() < 0.21


@pytest.mark.parametrize("level", [20, 200])
def test_poisson_noise_counts_photons(level):
    photons = 100
    found = noise(f"poisson:{photons}").on(grey(level), stream())
    counts = found * photons / 255
    assert counts.mean().item() == pytest.approx(level * photons / 255, rel=0.02)
    assert counts.var().item() == pytest.approx(level * photons / 255, rel=0.1)  # as its mean


@pytest.mark.parametrize("text", ["gaussian:0.5", "poisson:3"])
def test_pixels_stay_between_black_and_white(text):
    found = noise(text).on(grey(250), stream())
    assert found.min() >= 0
    assert found.max() <= 255


@pytest.mark.parametrize("text", ["gaussian:0.1", "poisson:50"])
def test_grey_images_stay_grey_and_colours_do_not_share_it(text):
    coloured = grey(n=1)
    coloured[:, 1] = 90
    found = noise(text).on(torch.cat([grey(n=1), coloured]), stream())
    assert torch.equal(found[0, 0], found[0, 2])
    assert not torch.equal(found[1, 0], found[1, 2])


@pytest.mark.parametrize("text", ["gaussian:0.1", "poisson:50"])
def test_of_grey_images_one_channel_is_drawn(text):
    three, one = stream(), stream()
    whole, channel = noise(text).on(grey(), three), noise(text).on(grey()[:, :1], one)
    assert torch.equal(whole, channel.expand_as(whole))
    assert torch.equal(three.get_state(), one.get_state()), "nothing was drawn that is thrown away"


def test_a_stream_gives_the_same_noise_twice():
    both = [noise("poisson:50").on(grey(), stream(3)) for _ in range(2)]
    assert torch.equal(*both)
    assert not torch.equal(both[0], noise("poisson:50").on(grey(), stream(4)))


def test_an_image_is_always_as_noisy_whatever_stands_beside_it():
    together = noise("gaussian:0.1").fixed(grey(n=3), [5, 6, 7])
    assert torch.equal(together[1:2], noise("gaussian:0.1").fixed(grey(n=1), [6]))
    assert not torch.equal(together[0], together[1])
    assert noise("gaussian:0.1").fixed(grey(n=0), []).shape == (0, 3, 64, 64)


NONE = [
    *("gaussian", "gaussian:", "gaussian:0", "gaussian:2", "gaussian:0.2-0.1", "gaussian:nan", "gaussian:-0.1"),
    *("poisson:0", "poisson:10-20", "poisson:inf", "salt:0.1", ""),
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_noise_is_refused(text):
    with refused("noise: expected none, gaussian:SD"):
        TrainingSettings(noise=text)


def test_in_words():
    assert noise("gaussian:0.1").in_words == "Gaussian noise of a standard deviation of 0.1 of the full range"
    assert "0.05 to 0.2 of" in noise("gaussian:0.05-0.2").in_words
    assert noise("poisson:30").in_words == "Poisson noise of 30 photons at full brightness"
    assert Noise.of("none") is None


# --- on splits -------------------------------------------------------------------------------------------------------


def features() -> Features:
    return encode(dense_task(), make_encoder(trained().settings().encoder), dense_data() / "features")


def test_validation_and_test_images_are_always_as_noisy():
    whole = features().asked(TrainingSettings(noise="gaussian:0.1"), 0)
    for split in (whole.validation(), whole.test()):
        positions = torch.arange(len(split))
        assert torch.equal(split.raw(positions), split.raw(positions))
        assert torch.equal(split.batch(positions), split.standardise(split.raw(positions)))
        assert torch.equal(split.raw(positions[3:]), split.raw(positions)[3:])
        clean = torch.from_numpy(split.views[0][split.rows[0]]).float()
        assert (split.raw(positions) - clean).std().item() == pytest.approx(25.5, rel=0.15)
    part = whole.validation().only(np.array([4, 2]))
    assert torch.equal(part.raw(torch.tensor([1])), whole.validation().raw(torch.tensor([2])))


def test_training_images_are_noisy_anew_each_time():
    split = features().asked(TrainingSettings(noise="gaussian:0.1"), 0).train()
    positions = torch.arange(4)
    views = torch.zeros(4, dtype=torch.int64)
    generator = stream()
    first, second = (split.batch(positions, views, generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(split.batch(positions, views, stream()), first)


def test_truth_and_standardiser_are_of_the_clean_images():
    clean, noisy = features(), features().asked(TrainingSettings(noise="gaussian:0.3"), 0)
    assert torch.equal(clean.train().truth, noisy.train().truth)
    assert torch.equal(clean.standardise.mean, noisy.standardise.mean)
    assert torch.equal(
        clean.train().batch(torch.arange(3)), clean.asked(TrainingSettings(), 0).train().batch(torch.arange(3))
    )
