"""Images as the encoder takes them: decoded, square, and the augmented views of training images."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data_prep.errors import BadData
from data_prep.manifest import Task
from data_prep.safe_images import opened
from data_prep.warp import Warp
from pathsearch.run.streams import derive

MILD = "scale 0.9 to 1.1, rotation up to 0.1 degrees"  # the paper's, with the flip where a task allows it
STRONG = "scale 0.8 to 1.2, rotation up to 15 degrees, gamma 0.6 to 1.6, contrast 0.7 to 1.3, brightness up to 0.15"


@dataclass(frozen=True)
class Style:
    """How the views of training images differ from them.

    Attributes:
        mirror: whether half of them are mirrored; not where time runs to the right, or names have sides.
        strong: turned and scaled much more than in the paper, and of other brightness and contrast: for images that
            come from other devices than those of training.
    """

    mirror: bool = True
    strong: bool = False

    @classmethod
    def of(cls, task: Task, augmentation: str) -> Style:
        """Of a task's images, as `training.augmentation` names it."""
        return cls(task.mirror, augmentation == "strong")

    @property
    def in_words(self) -> str:
        """For a reader, and for the key of what is encoded."""
        return ("horizontal flip (half of the views), " if self.mirror else "") + (STRONG if self.strong else MILD)

    def view(self, image: Image.Image, view: int, number: int) -> Image.Image:
        """View `view` > 0 of training image `number`."""
        warped = self.warp(view, number).image(image)
        return self.tone(warped, random.Random(derive(0, "tone", view, number))) if self.strong else warped

    def warp(self, view: int, number: int) -> Warp:
        """How that view is warped; a mask or box of the image is warped by the same."""
        return self.drawn(random.Random(derive(0, "view", view, number)))

    def drawn(self, rng: random.Random) -> Warp:
        """A warp as it says in words."""
        flip, (scale, degrees) = rng.random() < 0.5 and self.mirror, (0.2, 15.0) if self.strong else (0.1, 0.1)
        return Warp(flip, scale=rng.uniform(1 - scale, 1 + scale), angle=rng.uniform(-degrees, degrees))

    def tone(self, image: Image.Image, rng: random.Random) -> Image.Image:
        """The image with another gamma, contrast and brightness, the same in all channels."""
        gamma, contrast, shift = math.exp(rng.uniform(-0.5, 0.5)), rng.uniform(0.7, 1.3), rng.uniform(-0.15, 0.15)
        levels = contrast * ((np.arange(256) / 255) ** gamma - 0.5) + 0.5 + shift
        table = np.clip(np.rint(255 * levels), 0, 255).astype(int).tolist()
        return image.point(table * len(image.getbands()))


PLAIN = Style()


def load_images(files: Sequence[Path], image_size: int, view: int = 0, first: int = 0, style: Style = PLAIN) -> Tensor:
    """Decode images as (B, 3, S, S) uint8; `view` > 0 augments, by the view's and the image's own number."""
    return stacked([load_image(file, image_size, view, first + i, style) for i, file in enumerate(files)])


def load_image(file: Path, image_size: int, view: int = 0, number: int = 0, style: Style = PLAIN) -> Tensor:
    """Decode one image as (3, S, S) uint8; see `load_images`.

    Raises:
        BadData: the file does not decode.
    """
    try:
        with opened(file) as image:
            image = square(image.convert("RGB"), image_size)
    except BadData as error:
        raise BadData(f"prepared image {error}, and prepare the task again") from None
    if view:
        image = style.view(image, view, number)
    return pixels(image)


def square(image: Image.Image, size: int) -> Image.Image:
    """Return the image at the encoder's size; its proportions are not kept."""
    return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BILINEAR)


def pixels(image: Image.Image) -> Tensor:
    """(3, H, W) uint8 of an RGB image."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def stacked(images: Sequence[Tensor]) -> Tensor:
    """(B, 3, S, S) uint8 of images as `pixels` gives them, channels last in memory as they are: a plain copy."""
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)
