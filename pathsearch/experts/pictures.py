"""Whatever a user calls an image, files by the folder included, prepared as the tasks' own images were."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from data_prep.errors import BadData, PathsearchError
from data_prep.images import GREY_MODES, SUFFIXES, Picture, is_image, read_image, read_sized
from data_prep.manifest import Task
from data_prep.safe_images import FORMATS
from data_prep.whole_files import appears_whole
from pathsearch.encoders.views import pixels, square
from pathsearch.targets.decoded import Size

HEAT, OVERLAY = ".heat.png", ".overlay.png"  # ends of names of what an answer is explained by
MASK, IMAGE = ".mask.png", ".image.png"  # and of answers that are pictures
ANSWERS = (HEAT, OVERLAY, MASK, IMAGE)  # none of them is an image to be answered


class Sized(NamedTuple):
    """A picture as the encoder takes it, and the width and height that it came with, upright."""

    pixels: Tensor  # (3, S, S) uint8
    size: Size


@dataclass(frozen=True)
class Preparation:
    """How the images of a model's tasks were prepared, to do the same to new ones.

    Attributes:
        sizes: pixels a side, ascending; none if some task's images were used as they came.
        grey: all images of all tasks are grey.
    """

    sizes: tuple[int, ...]
    grey: bool

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> Preparation:
        """The preparation of prepared tasks; looks at the head of every image file."""
        sizes = [task.info.get("image_size") for task in tasks]
        if not all(sizes):
            return cls((), False)
        grey = all(_is_grey(file) for task in tasks for file in task.files())
        return cls(tuple(sorted({int(side) for side in sizes if side})), grey)

    def sized(self, picture: Picture, image_size: int) -> Sized:
        """One picture as the encoder takes it; a prepared image comes out as training and tests saw it.

        An image that has the size of some task's images is left as it is. Any other is prepared at that size
        (the largest, if tasks differ). Then comes the encoder's own size.

        Raises:
            BadData: a file is missing or does not decode.
        """
        if isinstance(picture, Path) and not picture.is_file():
            raise BadData(f"{picture}: no such file; check its name")
        mode = "L" if self.grey else "RGB"
        one = self.sizes[0] if len(self.sizes) == 1 else None
        image, size = read_sized(picture, mode, one)
        if len(self.sizes) > 1 and image.size not in {(side, side) for side in self.sizes}:
            image = read_image(image, mode, self.sizes[-1])
        return Sized(pixels(square(image.convert("RGB"), image_size)), size)

    def in_words(self) -> str:
        """What happens to a new image before the encoder's own preprocessing."""
        if not self.sizes:
            return "none: the tasks' images were used as they came"
        sizes = " or ".join(f"{side} × {side}" for side in self.sizes)
        return f"upright after EXIF, {'grey' if self.grey else 'RGB'}, eight bits, Lanczos resize to {sizes} pixels"


def as_pictures(images: Any) -> list[Picture]:
    """One or several images as a list: paths, Pillow images, uint8 arrays (H, W), (H, W, 3), or a batch of them.

    Raises:
        PathsearchError: anything else.
    """
    if isinstance(images, (str, Path, Image.Image)):
        return as_pictures([images])
    if isinstance(images, np.ndarray):
        single = images.ndim == 2 or (images.ndim == 3 and images.shape[-1] == 3)
        return as_pictures([images] if single else list(images))
    pictures: list[Picture] = []
    for number, image in enumerate(images):
        if isinstance(image, np.ndarray):
            shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 3)
            if image.dtype != np.uint8 or not shaped or not image.size:
                raise PathsearchError(
                    f"image {number}: expected a uint8 array (H, W) or (H, W, 3), got {image.dtype} "
                    f"{image.shape}; scale it to 0…255 and give the channels last"
                )
        elif not isinstance(image, (str, Path, Image.Image)):
            raise PathsearchError(
                f"image {number}: expected a path, a Pillow image or a uint8 array, got {type(image).__name__}"
            )
        pictures.append(Path(image) if isinstance(image, str) else image)
    return pictures


def image_files(names: Iterable[str], listed: Iterable[bytes]) -> Iterator[Path]:
    """The files that are meant by names of files and folders; `-` stands for `listed`, one name a line.

    A folder means all its images, at any depth, in order of name, hidden files and answers apart. A name that
    is neither file nor folder is passed on, so that it gets its line among the answers.

    Raises:
        PathsearchError: a folder without images.
    """
    for name in names:
        if name == "-":
            lines = (os.fsdecode(line).rstrip("\r\n") for line in listed)
            yield from image_files((line for line in lines if line not in ("", "-")), ())
        elif Path(name).is_dir():
            inside = [file for file in sorted(Path(name).rglob("*")) if _is_image_file(file, Path(name))]
            if not inside:
                raise PathsearchError(
                    f"{name}: expected a folder with images, got none that ends in {', '.join(SUFFIXES)}; "
                    "name files, or another folder"
                )
            yield from inside
        else:
            yield Path(name)


def shown(file: Path, longest: int) -> np.ndarray:
    """(H, W, 3) uint8 of an image file as a person looks at it: upright, in its own proportions, not too large."""
    image = read_image(file, "RGB")
    image.thumbnail((longest, longest))
    return np.asarray(image)


def save_png(picture: np.ndarray, file: Path) -> None:
    """Write (H, W) or (H, W, 3) uint8 as PNG, whole or not at all."""
    with appears_whole(file) as part:
        Image.fromarray(picture).save(part, format="PNG")


def _is_image_file(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and not file.name.endswith(ANSWERS) and file.is_file() and is_image(file)


def _is_grey(file: Path) -> bool:
    with Image.open(file, formats=tuple(FORMATS)) as image:  # its head only
        return image.mode in GREY_MODES
