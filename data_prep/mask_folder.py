"""A folder of masks laid out as the images are: which mask belongs to which image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from data_prep.errors import BadData
from data_prep.image_task import RawImage
from data_prep.image_truth import RawTruth
from data_prep.images import SUFFIXES, check_some_left, listed

ENDING = "_mask"  # what some tools put after the stem


def with_masks(
    images: Sequence[RawImage], masks: Path, argument: str, skip_bad: bool
) -> tuple[list[RawImage], list[str]]:
    """The images with their masks, and notes on what was left out.

    A mask has its image's path below its own folder, whatever the suffix, or the same with `_mask` after the stem.

    Args:
        images: of one folder, `name` relative to it.
        masks: the folder of masks.
        argument: what messages call it, such as `--masks DIR`.
        skip_bad: leave out images without a mask and masks without an image, and say so.

    Raises:
        BadData: two masks for one image; an image without a mask or a mask without an image, unless `skip_bad`.
    """
    found = _found(masks)
    names = [image.name for image in images]
    keys = [_key(name) if _key(name) in found else _key(name) + ENDING for name in names]
    missing = [number for number, key in enumerate(keys) if key not in found]
    strangers = [found[key].relative_to(masks).as_posix() for key in sorted(set(found) - set(keys))]
    notes = []
    if missing:
        lost = [names[number] for number in missing]
        if not skip_bad:
            raise BadData(
                f"{argument}: expected a mask for each image, such as {_key(lost[0])}.png, got none for {len(lost)} of "
                f"{len(images)}: {listed(lost)}; add them (a blank one says that nothing is there), or leave these "
                "images out with --skip-bad"
            )
        check_some_left([one.label for one in images], [one.given for one in images], missing, names, argument)
        notes.append(f"{len(lost)} images without a mask were left out: {listed(lost)}")
    if strangers:
        if not skip_bad:
            raise BadData(
                f"{argument}: expected masks of the images in --source, got {len(strangers)} without an image: "
                f"{listed(strangers)}; remove them, add their images, or pass over them with --skip-bad"
            )
        notes.append(f"{len(strangers)} masks without an image were ignored: {listed(strangers)}")
    kept = [
        replace(image, truth=RawTruth(mask=found[key])) for image, key in zip(images, keys, strict=True) if key in found
    ]
    return kept, notes


def _found(masks: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(masks.rglob("*")):
        if file.is_dir() or file.name.startswith(".") or file.suffix.lower() not in SUFFIXES:
            continue
        key = _key(file.relative_to(masks).as_posix())
        if key in found:
            raise BadData(f"{file}: expected one mask for each image, got {found[key].name} too; remove one of them")
        found[key] = file
    return found


def _key(name: str) -> str:
    """A relative name without its suffix; 1.2.840.7 is a whole name."""
    file = PurePosixPath(name)
    return str(file.with_suffix("") if file.suffix.lower() in SUFFIXES else file)
