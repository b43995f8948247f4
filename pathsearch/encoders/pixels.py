"""Pixels as a source: no trunk at all, for networks that are complete by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.encoders.encoder import Encoder
from pathsearch.run.settings import EncoderSettings

PIXELS = "pixels"  # as `encoder.name`, and the place that a blueprint reads


class Pixels(Encoder):
    """What stands in for a trunk where networks read images themselves: uint8 in, the same uint8 out.

    Raises:
        PathsearchError: settings that only a trunk can follow.
    """

    dtype = np.uint8

    def __init__(self, settings: EncoderSettings, device: torch.device | str = "cpu") -> None:
        for name in ("map_size", "taps", "precision", "sizes"):
            if (given := getattr(settings, name)) != (wanted := getattr(EncoderSettings, name)):
                raise PathsearchError(
                    f"encoder.{name}: expected {wanted} with encoder.name=pixels, which has no maps, got {given}; "
                    "leave it out"
                )
        if settings.weights not in ("imagenet", "random"):
            raise PathsearchError(
                f"encoder.weights: expected none with encoder.name=pixels, which has no weights, got "
                f"{settings.weights}; leave it out"
            )
        self.settings, self.device = settings, torch.device(device)
        self.weights_label, self.weights_sha256 = "no weights", ""
        self.feature_shape = (3, settings.image_size, settings.image_size)
        self.taps = (3,)

    @property
    def places(self) -> dict[str, tuple[int, ...]]:
        """One, of the image."""
        return {PIXELS: self.feature_shape}

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the values of an image; runs whose identities are equal share a source."""
        return super().identity | {"preprocessing": "RGB of 0 to 255, bilinear resize"}

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 on the CPU, as they came."""
        return images.contiguous().cpu()

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """The images as the only map, (B, 3, S, S) float32."""
        return (images.float(),)

    def averaged(self, maps: Sequence[Tensor]) -> Tensor:
        """The only map, as it is."""
        return maps[0]

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


def make_encoder(settings: EncoderSettings, device: torch.device | str = "cpu") -> Encoder:
    """The trunk that settings name, or the pixels."""
    return Pixels(settings, device) if settings.name == PIXELS else Encoder(settings, device)
