"""Pixels as a source: no trunk at all, for networks that are complete by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.encoders.encoder import ENCODERS, Encoder
from pathsearch.encoders.own import told_as
from pathsearch.encoders.pooled import sketch
from pathsearch.run.settings import EncoderSettings

PIXELS = "pixels"  # as `encoder.name`, and the place that a blueprint reads


class Pixels(Encoder):
    """What stands in for a trunk where networks read images themselves: uint8 in, the same uint8 out.

    A subclass that overrides `read`, and says so in `preprocessing`, keeps something else of them; what the router sees
    of that is `sees`.

    Raises:
        PathsearchError: settings that only a trunk can follow.
    """

    dtype = np.uint8
    preprocessing = "RGB of 0 to 255, bilinear resize"
    has_trunk = False
    feature_shape: tuple[int, ...] = ()  # until a blank image was read
    sees = staticmethod(sketch)

    def __init__(self, settings: EncoderSettings, device: torch.device | str = "cpu") -> None:
        for name in ("map_size", "stages", "taps", "precision", "sizes"):
            if (given := getattr(settings, name)) != (wanted := getattr(EncoderSettings, name)):
                raise PathsearchError(
                    f"encoder.{name}: expected {wanted} with encoder.name={settings.name}, which has no maps, got "
                    f"{given}; leave it out"
                )
        if settings.weights not in ("imagenet", "random"):
            raise PathsearchError(
                f"encoder.weights: expected none with encoder.name={settings.name}, which has no weights, got "
                f"{settings.weights}; leave it out"
            )
        self.settings, self.device = settings, torch.device(device)
        self.weights_label, self.weights_sha256 = "no weights", ""
        blank = torch.zeros(1, 3, settings.image_size, settings.image_size, dtype=torch.uint8)
        self.feature_shape = tuple(self._read(blank).shape[1:])
        self.taps = self.feature_shape[:1]

    @property
    def places(self) -> dict[str, tuple[int, ...]]:
        """One, of the image."""
        return {PIXELS: self.feature_shape}

    def read(self, images: Tensor) -> Tensor:
        """What is kept of images (B, 3, S, S), uint8: here all of it; (B, C, H, W) uint8."""
        return images

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) uint8 on the CPU, as they were read."""
        return self._read(images).contiguous().cpu()

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """What was read as the only map, (B, C, H, W) float32."""
        return (self._read(images).float(),)

    def _read(self, images: Tensor) -> Tensor:
        """What `read` gives, if it is what the cache holds, which would cast any other type in silence."""
        found: Any = self.read(images)
        if isinstance(found, Tensor):
            wanted = (len(images), *(self.feature_shape or found.shape[1:]))
            if found.dtype == torch.uint8 and found.ndim == 4 and found.shape == wanted:
                return found
        got = type(found).__name__
        if isinstance(found, Tensor):
            got = f"{str(found.dtype).removeprefix('torch.')} {tuple(found.shape)}"
        shape = ", ".join(map(str, self.feature_shape)) or "C, H, W"
        raise PathsearchError(
            f"encoder {self.settings.name!r}: expected read to return uint8 ({len(images)}, {shape}), got {got}; mend "
            "its class"
        )

    def graphed(self, images: Tensor) -> Tensor:
        """What is read of float32 images."""
        return self.read(images)

    def averaged(self, maps: Sequence[Tensor]) -> Tensor:
        """The only map, as it is."""
        return maps[0]

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


ENCODERS[PIXELS] = Pixels  # not by `register`, which asks torchvision for its names


def make_encoder(settings: EncoderSettings, device: torch.device | str = "cpu") -> Encoder:
    """The encoder that settings name: one that is registered, such as the pixels, or a torchvision trunk.

    Raises:
        PathsearchError: there is none of this name, or one of a plug-in fails; the message says which and why.
    """
    if settings.name not in ENCODERS:
        return Encoder(settings, device)
    with told_as(settings.name):
        made: Encoder = ENCODERS[settings.name](settings, device)
    return made
