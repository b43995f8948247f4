"""Every encoder keeps the promises; encoders that break one are seen."""

from __future__ import annotations

import functools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_world import full_model
from torch import Tensor, nn

from pathsearch.encoders.encoder import ENCODERS, Encoder
from pathsearch.encoders.pixels import Pixels
from pathsearch.run.settings import EncoderSettings

from encoder_contract import PROMISES, broken, check_encoder, maker  # isort: skip

SMALL = EncoderSettings("squeezenet1_1", "random", 48)
CASES = {
    "one size": SMALL,
    "averaged": replace(SMALL, map_size=1),
    "two taps": replace(SMALL, taps=2),
    "own size": replace(SMALL, sizes="own"),
    "own sizes": replace(SMALL, taps=2, sizes="own"),
    "bfloat16": replace(SMALL, precision="bfloat16"),
    "batch norm": replace(SMALL, name="resnet18"),
    "dropout": replace(SMALL, name="mobilenet_v3_small"),
    "pixels": EncoderSettings("pixels", image_size=48),
}


@pytest.mark.parametrize("name", CASES)
def test_every_encoder_keeps_every_promise(name):
    check_encoder(maker(CASES[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "densenet121", "efficientnet_b0"])
def test_large_trunks_keep_every_promise(name):
    check_encoder(maker(replace(SMALL, name=name)))


def test_weights_of_a_file_keep_every_promise(tmp_path):
    save_file({k: t.contiguous() for k, t in full_model().state_dict().items()}, tmp_path / "w.safetensors")
    check_encoder(maker(replace(SMALL, weights=str(tmp_path / "w.safetensors"))))


class Tiny(Encoder):
    """A trunk of one's own; each of those below breaks a promise."""

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1))


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setitem(ENCODERS, "tiny", Tiny)


def test_a_trunk_of_ones_own_keeps_every_promise():
    check_encoder(maker(replace(SMALL, name="tiny")))


# --- promises that are broken are seen ------------------------------------------------------------------------------


class _Doubled(Tiny):
    """Puts out float32."""

    def __call__(self, images: Tensor) -> Tensor:
        return super().__call__(images).float()


class _Contrasted(Tiny):
    """Looks at the other images of its batch."""

    def normalised(self, images: Tensor) -> Tensor:
        return super().normalised(images - images.mean(0))


class _Noisy(Tiny):
    """Draws at every call."""

    def normalised(self, images: Tensor) -> Tensor:
        return super().normalised(images + torch.rand_like(images))


class _Blind(Tiny):
    def normalised(self, images: Tensor) -> Tensor:
        return super().normalised(images * 0)


class _Stretched(Tiny):
    """By each image's own range, which may be none."""

    def normalised(self, images: Tensor) -> Tensor:
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        return (images - low) / (high - low)

    def _stage_ends(self, blank: Tensor) -> dict[int, int]:
        return super()._stage_ends(torch.arange(blank.numel()).view_as(blank).byte())

    def __call__(self, images: Tensor) -> Tensor:
        return self.averaged(self.maps(images)).half().contiguous()


class _Learning(Tiny):
    """Batch normalisation goes on learning."""

    def __init__(self, *given):
        super().__init__(*given)
        self.trunk = self.trunk.network.train()
        self.trunk.requires_grad_(False)


class _Loose(Tiny):
    """Its parameters are free."""

    def __init__(self, *given):
        super().__init__(*given)
        self.trunk.network[0].weight.requires_grad_()


class _Writing(Tiny):
    """In what it is given."""

    def __call__(self, images: Tensor) -> Tensor:
        found = super().__call__(images)
        images.zero_()
        return found


class _Global(Tiny):
    def __call__(self, images: Tensor) -> Tensor:
        random.random()
        return super().__call__(images)


class _Cut(Tiny):
    """No gradient comes through."""

    def averaged(self, maps) -> Tensor:
        return super().averaged([one.detach() for one in maps])


class _Alike(Tiny):
    """One key for all image sizes."""

    @property
    def identity(self) -> dict[str, Any]:
        return super().identity | {"image_size": 0, "feature_shape": [0]}


class _Seedless(Tiny):
    """Its weights are not in its key."""

    @property
    def identity(self) -> dict[str, Any]:
        return super().identity | {"weights_sha256": ""}


class _Proud(Tiny):
    def __init__(self, *given):
        super().__init__(*given)
        self.weights_label = "ImageNet"


class _Half(Tiny):
    """A file of half of its weights."""

    def state(self) -> dict[str, Tensor]:
        return {name: tensor / 2 if tensor.is_floating_point() else tensor for name, tensor in super().state().items()}


def _against_the_batch(features: Tensor, places: object) -> Tensor:
    seen = features.float().mean((2, 3))
    return seen - seen.mean(0)


class _Averaging(Tiny):
    """Shows the router how an image differs from its batch."""

    sees = staticmethod(_against_the_batch)


class _Wide(Pixels):
    """Announces another type than it gives."""

    dtype = np.float16


FAULTS = [
    (_Doubled, "puts_out_what_it_announces"),
    (_Averaging, "shows_the_router_few_numbers_of_each_image"),
    (_Wide, "puts_out_what_it_announces"),
    (_Contrasted, "answers_each_image_by_itself"),
    (_Noisy, "answers_the_same_again_and_made_anew"),
    (_Blind, "tells_images_apart"),
    (_Stretched, "is_finite_on_plain_images"),
    (_Learning, "is_frozen"),
    (_Loose, "is_frozen"),
    (_Writing, "leaves_its_input_and_all_generators_alone"),
    (_Global, "leaves_its_input_and_all_generators_alone"),
    (_Cut, "lets_gradients_through_its_averaging"),
    (_Alike, "has_a_key_of_all_that_decides_its_features"),
    (_Seedless, "has_a_key_of_all_that_decides_its_features"),
    (_Proud, "says_what_its_weights_are"),
    (_Half, "is_the_same_from_its_own_file"),
]


@functools.cache
def faults_of(kind: type[Encoder]) -> list[str]:
    return list(broken(maker(replace(SMALL, name="tiny"), kind)))


@pytest.mark.parametrize(("kind", "promise"), FAULTS)
def test_a_broken_promise_is_seen(kind, promise):
    assert promise in faults_of(kind)


def test_every_promise_can_be_broken():
    assert {promise for _, promise in FAULTS} == {promise.__name__ for promise in PROMISES}


def test_no_fault_breaks_all():
    """What cannot even be made would show nothing."""
    for kind, _ in FAULTS:
        assert len(faults_of(kind)) < len(PROMISES) / 2, (kind, faults_of(kind))
