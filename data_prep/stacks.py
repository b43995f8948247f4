"""Prepared images and masks of one size, stacked to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.errors import BadData
from data_prep.safe_images import header, opened
from data_prep.table_words import NO_MASK

GREY = ("1", "L", "LA")


class Form(NamedTuple):
    """What all images of a task have in common."""

    width: int
    height: int
    grey: bool  # whether all are


def form_of(files: Sequence[Path], where: str) -> Form:
    """Size of images, and whether all are grey, from their headers alone.

    Raises:
        BadData: they have several sizes; `where` names the task.
    """
    headers = [header(file) for file in files]
    sizes = {(one.width, one.height): file for one, file in zip(headers, files, strict=True)}
    if len(sizes) > 1:
        (size, file), (other, another) = list(sizes.items())[:2]
        raise BadData(
            f"{where}: expected images of one size, got {_by(size)} ({file.name}) and {_by(other)} ({another.name}); "
            "prepare it again with --image-size"
        )
    return Form(*next(iter(sizes)), grey=all(one.mode in GREY for one in headers))


def picture_stack(files: Sequence[Path], form: Form) -> np.ndarray:
    """(n, H, W) uint8 of grey images, (n, H, W, 3) of others."""
    stack = np.empty((len(files), form.height, form.width, *(() if form.grey else (3,))), np.uint8)
    for number, file in enumerate(files):
        stack[number] = _sized(file, "L" if form.grey else "RGB", form)
    return stack


def mask_stack(files: Sequence[Path | None], levels: Sequence[int], form: Form) -> np.ndarray:
    """(n, H, W) uint8 of prepared masks.

    Args:
        files: a mask's, or None where an image has none.
        levels: the grey level of each class.
        form: of the images.

    Returns:
        Class indices; `NO_MASK` where there is no mask.

    Raises:
        BadData: a mask does not decode, has another size than the images or another grey level.
    """
    index = np.full(256, NO_MASK, np.uint8)
    index[list(levels)] = np.arange(len(levels))
    stack = np.full((len(files), form.height, form.width), NO_MASK, np.uint8)
    for number, file in enumerate(files):
        if file is None:
            continue
        stack[number] = index[_sized(file, "L", form)]
        if (stack[number] == NO_MASK).any():
            raise BadData(
                f"{file}: expected a prepared mask with the grey levels {', '.join(map(str, levels))}, got others; "
                "put it back, or prepare the task again with --overwrite"
            )
    return stack


def _sized(file: Path, mode: str, form: Form) -> np.ndarray:
    try:
        with opened(file) as image:
            pixels = np.asarray(image.convert(mode) if image.mode != mode else image)
    except BadData as error:
        raise BadData(f"prepared {error}, and prepare the task again") from None
    if pixels.shape[:2] != (form.height, form.width):
        raise BadData(
            f"{file}: expected {_by((form.width, form.height))} pixels as all images of the task, got "
            f"{_by((pixels.shape[1], pixels.shape[0]))}; prepare the task again with --image-size"
        )
    return pixels


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"
