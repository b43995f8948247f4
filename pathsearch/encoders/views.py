"""Images as the encoder takes them: decoded, square, and the augmented views of training images."""

from __future__ import annotations

import random
from collections.abc import Sequence
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

MIRROR = "horizontal flip (half of the views), "
AUGMENTATION = "scale 0.9 to 1.1, rotation up to 0.1 degrees"  # the paper's, with the flip where a task allows it


def load_images(files: Sequence[Path], image_size: int, view: int = 0, first: int = 0, mirror: bool = True) -> Tensor:
    """Decode images as (B, 3, S, S) uint8; `view` > 0 augments, by the view's and the image's own number."""
    return stacked([load_image(file, image_size, view, first + i, mirror) for i, file in enumerate(files)])


def load_image(file: Path, image_size: int, view: int = 0, number: int = 0, mirror: bool = True) -> Tensor:
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
        image = view_warp(view, number, mirror).image(image)
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


def augmentation(task: Task) -> str:
    """What `augment` does to a task's images, in words."""
    return (MIRROR if task.mirror else "") + AUGMENTATION


def augment(image: Image.Image, rng: random.Random, mirror: bool = True) -> Image.Image:
    """Return the image flipped if it may be, scaled about its centre and rotated as `augmentation` says."""
    return drawn_warp(rng, mirror).image(image)


def view_warp(view: int, number: int, mirror: bool = True) -> Warp:
    """How view `view` > 0 of training image `number` is warped; a mask or box of it is warped by the same."""
    return drawn_warp(random.Random(derive(0, "view", view, number)), mirror)


def drawn_warp(rng: random.Random, mirror: bool = True) -> Warp:
    """A warp as `augmentation` says."""
    flip = rng.random() < 0.5 and mirror
    return Warp(flip, scale=rng.uniform(0.9, 1.1), angle=rng.uniform(-0.1, 0.1))
