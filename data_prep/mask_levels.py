"""Masks of any source as class indices: their grey levels are read, judged together and named."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from data_prep.errors import BadData
from data_prep.safe_images import check_plain_file, opened
from data_prep.task_form import MOST_MASK_CLASSES

LARGEST = 2**24  # of a grey level: float32 tells whole numbers apart up to here
RawMask = Path | np.ndarray  # a file, or (H, W) whole numbers


class Meaning(NamedTuple):
    """What the grey levels of a source's masks stand for: class k is `names[k]` and has `levels[k]`."""

    names: tuple[str, ...]  # background first
    levels: tuple[int, ...]


def read_levels(mask: RawMask, name: str) -> np.ndarray:
    """Grey levels (H, W) of a mask, upright after EXIF, whole numbers.

    A palette of colours counts as numbers of classes, as segmentation tools write them; one of greys as greys.

    Args:
        mask: an image file of any format, or an array.
        name: what messages call it.

    Raises:
        BadData: it does not decode, has colours, fractions, or more levels than `MOST_MASK_CLASSES`.
    """
    if isinstance(mask, np.ndarray):
        levels = mask.astype(np.uint8) if mask.dtype == np.bool_ else mask
    else:
        check_plain_file(mask)
        with opened(mask) as image:
            levels = _levels(image, name)
    n = len(np.unique(levels))
    if n > MOST_MASK_CLASSES:
        raise BadData(
            f"{name}: expected a mask with at most {MOST_MASK_CLASSES} grey levels, one a class, got {n}; saved as "
            "JPEG, or smoothed? Export it as PNG without smoothing"
        )
    return levels


def levels_of_all(masks: Sequence[RawMask | None], names: Sequence[str]) -> list[set[int] | BadData]:
    """The levels of each mask, none where there is no mask, or what is wrong with it; a few are read at a time."""

    def levels(mask: RawMask | None, name: str) -> set[int] | BadData:
        try:
            return set() if mask is None else set(np.unique(read_levels(mask, name)).tolist())
        except BadData as fault:
            return fault

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(levels, masks, names))


def meaning_of(
    found: Sequence[Collection[int]], names: Sequence[str] | None, where: str, called: Sequence[str]
) -> Meaning:
    """What the grey levels of masks stand for.

    Args:
        found: the levels of each mask.
        names: of the classes, background first: they stand for 0, 1, 2, … if the masks have no others, else for the
            levels that most masks have, from dark to light. None takes every level for a class.
        where: names the task in messages.
        called: what messages call each mask.

    Raises:
        BadData: the masks are all empty; without names, some are of 0 and 1, others of 0 and 255, perhaps one class
            in two encodings; there are fewer levels than names, or more and most masks have some of these.
    """
    count = Counter(level for levels in found for level in set(levels))
    there = sorted(count)
    if len(there) < 2:
        raise BadData(
            f"{where}: expected masks with a class beside the background, got {len(found)} of one grey level each "
            f"({', '.join(map(str, there))}): are these the masks? Give the others"
        )
    if names is None:
        if len(there) > MOST_MASK_CLASSES:
            raise BadData(
                f"{where}: expected at most {MOST_MASK_CLASSES} grey levels in all masks together, got {len(there)}; "
                "name those that are classes with --mask-names"
            )
        _refuse_two_encodings([set(levels) for levels in found], where, called)
        one = ["foreground"] if len(there) == 2 else [f"class {k}" for k in range(1, len(there))]
        return Meaning(("background", *one), tuple(there))
    if set(there) <= set(range(len(names))):
        return Meaning(tuple(names), tuple(range(len(names))))
    usual = sorted(sorted(there, key=lambda level: (-count[level], level))[: len(names)])
    n_odd = sum(not set(levels) <= set(usual) for levels in found)
    if len(there) < len(names) or 2 * n_odd > len(found):
        raise BadData(
            f"{where}: expected {len(names)} grey levels in the masks, one for each of --mask-names {','.join(names)}, "
            f"got {len(there)}: {_listed(there)}; name as many as there are"
        )
    return Meaning(tuple(names), tuple(usual))


def _refuse_two_encodings(found: Sequence[set[int]], where: str, called: Sequence[str]) -> None:
    """Refuse masks of 0 and 1 beside masks of 0 and 255, where no mask has both 1 and 255."""
    if {0, 1} not in found or {0, 255} not in found or any({1, 255} <= levels for levels in found):
        return
    one, other = (called[found.index(levels)] for levels in ({0, 1}, {0, 255}))
    raise BadData(
        f"{where}: expected one encoding of all masks, got grey levels 0, 1 in {one} and 0, 255 in {other}; is it one "
        "class? Export all masks with the same levels. Are they two? Name each with --mask-names"
    )


def names_of(text: str | None) -> tuple[str, ...] | None:
    """Names with commas between them, as an option gives them; None where it was not given."""
    return tuple(name.strip() for name in text.split(",")) if text is not None else None


def check_mask_names(names: Sequence[str]) -> None:
    """Refuse what cannot name the classes of a mask's pixels."""
    good = 2 <= len(names) <= MOST_MASK_CLASSES and len(set(names)) == len(names)
    if not good or not all(name.strip() and name.isprintable() for name in names):
        raise BadData(
            f"--mask-names: expected 2 to {MOST_MASK_CLASSES} different names with commas between them, background "
            f"first, got {','.join(names)!r}; such as background,lung"
        )


def class_indices(levels: np.ndarray, meaning: Meaning, name: str) -> np.ndarray:
    """Class index of each pixel, uint8, from its grey level.

    Raises:
        BadData: a level stands for no class.
    """
    unknown = sorted(set(np.unique(levels).tolist()) - set(meaning.levels))
    if unknown:
        known = ", ".join(f"{level} ({said})" for said, level in zip(meaning.names, meaning.levels, strict=True))
        raise BadData(
            f"{name}: expected a mask with the grey levels {known}, got also {_listed(unknown)}; saved as JPEG, or "
            "smoothed? Export it as PNG without smoothing, or name more classes with --mask-names"
        )
    index = np.zeros(levels.shape, np.uint8)
    for k, level in enumerate(meaning.levels):
        index[levels == level] = k
    return index


def _levels(image: Image.Image, name: str) -> np.ndarray:
    if image.mode == "P":
        colours = np.array(image.getpalette() or [], int).reshape(-1, 3)[np.unique(np.asarray(image))]
        return np.asarray(image.convert("L") if (colours == colours[:, :1]).all() else image)
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image)
        if not ((np.abs(deep) < LARGEST).all() and (deep == np.round(deep)).all()):  # a NaN is below nothing
            raise BadData(f"{name}: expected a mask of whole grey levels, got fractions; export it as PNG")
        return deep.astype(np.int32)
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))
    colour = np.asarray(image.convert("RGB"))
    if (colour != colour[..., :1]).any():
        raise BadData(f"{name}: expected a mask with one grey level a class, got colours; export it as grey PNG")
    return colour[..., 0]


def _listed(levels: Sequence[int]) -> str:
    more = f" and {len(levels) - 8} more" if len(levels) > 8 else ""
    return ", ".join(map(str, levels[:8])) + more
