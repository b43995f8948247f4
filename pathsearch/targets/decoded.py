"""An answer to one image, decoded: what a person or a program is given of a network's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Size = tuple[int, int]  # width, height of an image in pixels
Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max in pixels, from the outer edge of the first one


class Area(NamedTuple):
    """How much of an image has a label."""

    pixels: int
    share: float  # of all pixels


@dataclass(frozen=True)
class Decoded:
    """An answer in the pixels of the image that was asked about; what its target does not say is None or empty.

    Attributes:
        label: the class.
        probability: of that class.
        probabilities: of every class.
        mask: (H, W) uint8, the label of each pixel: an index of the target's names, 0 for background.
        areas: of each label but background, by its name.
        box: the box.
        image: (H, W) uint8 of a grey image, (H, W, 3) of one in colour.
    """

    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    mask: np.ndarray | None = None
    areas: dict[str, Area] = field(default_factory=dict)
    box: Box | None = None
    image: np.ndarray | None = None


def together(parts: Sequence[Decoded]) -> Decoded:
    """Answers to one image, each of another form, as one."""
    said: dict[str, Any] = {}
    for one in parts:
        for name, value in vars(one).items():
            if not (value is None or (isinstance(value, dict) and not value)):
                said[name] = value
    return Decoded(**said)
