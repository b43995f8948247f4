"""Noise on pixels, of a stated kind and strength: what a network that denoises must see through."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pathsearch.run.streams import torch_stream
from pathsearch.run.training_settings import parse_noise

FULL = 255.0  # of a pixel


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of a standard deviation between two, drawn for each image, or Poisson noise of a photon count.

    Noisy pixels are float32 and stay between 0 and 255, as those of a detector do.

    Attributes:
        kind: gaussian or poisson.
        low: standard deviation as a share of the full range; or photons that a pixel of full brightness counts.
        high: the greatest; of Poisson noise the same.
    """

    kind: str
    low: float
    high: float

    @classmethod
    def of(cls, setting: str) -> Noise | None:
        """The noise that `training.noise` names; None for none."""
        read = parse_noise(setting)
        return None if read is None else cls(*read)

    @property
    def in_words(self) -> str:
        """For a reader."""
        if self.kind == "poisson":
            return f"Poisson noise of {self.low:g} photons at full brightness"
        spread = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        return f"Gaussian noise of a standard deviation of {spread} of the full range"

    def on(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Noisy (B, C, H, W) float32 of pixels of 0 to 255; grey images stay grey: their channels share the noise.

        Drawn on the CPU whatever the device, so that a seed means the same everywhere.
        """
        clean = pixels.float()
        grey = (clean == clean[:, :1]).flatten(1).all(1)[:, None, None, None]
        drawn = clean[:, :1] if grey.all() else clean
        if self.kind == "poisson":
            noise = torch.poisson(drawn * (self.low / FULL), generator=generator) * (FULL / self.low) - drawn
        else:
            spread = torch.empty(len(clean), 1, 1, 1).uniform_(self.low, self.high, generator=generator)
            noise = FULL * spread * torch.randn(drawn.shape, generator=generator)
        return (clean + torch.where(grey, noise[:, :1], noise)).clamp(0, FULL)

    def fixed(self, pixels: Tensor, rows: list[int]) -> Tensor:
        """The same by the images' rows in their task: an image is always as noisy, and in the same places."""
        each = [self.on(one[None], torch_stream(0, "noise", row)) for one, row in zip(pixels, rows, strict=True)]
        return torch.cat(each) if each else pixels.float()
