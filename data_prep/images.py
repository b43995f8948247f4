"""Any image file or array to one prepared PNG: decoded, grey or colour, square, eight bits."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from data_prep import dicom
from data_prep.construction import Progress
from data_prep.errors import BadData, PathsearchError
from data_prep.fingerprints import Fingerprint, fingerprint
from data_prep.safe_images import FORMATS, check_plain_file, opened
from data_prep.whole_files import cannot_write

Picture = Path | np.ndarray | Image.Image
SUFFIXES = (*(suffix for suffixes in FORMATS.values() for suffix in suffixes), *dicom.SUFFIXES)
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")  # more than eight bits of grey

LISTED = 20  # names of bad files in one message
ROWS = 64  # of an image that are scaled at once

# PNG for every source: lossless, so preparing a prepared image again changes nothing, and a grey image of
# 128 px takes about 10 KB, 50 MB for all 5,500 X-rays: JPEG would save little and add its own artefacts.
SUFFIX = ".png"


def is_image(file: Path) -> bool:
    """Whether a file's name says that it is a picture; DICOM files are known by their content too."""
    return file.suffix.lower() in SUFFIXES or dicom.is_dicom(file)


def check_image_size(image_size: int) -> None:
    """Refuse sides that no encoder here can use."""
    if not 8 <= image_size <= 1024:
        raise PathsearchError(f"--image-size: expected 8 to 1024 pixels, got {image_size}; 64, 128 and 224 are usual")


def read_image(picture: Picture, mode: str | None, image_size: int | None = None) -> Image.Image:
    """An image in memory, mode "L" or "RGB", resized to a square; see `read_sized`."""
    return read_sized(picture, mode, image_size)[0]


def read_sized(
    picture: Picture, mode: str | None, image_size: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """An image in memory, mode "L" or "RGB", resized to a square; and the width and height that it had, upright.

    Args:
        picture: an image file, a Pillow image, or a uint8 array H×W or H×W×3.
        mode: "L" or "RGB" to force it; None keeps what the file has, grey or colour. A transparent
            layer is dropped. Grey of more than eight bits (PNG, TIFF, DICOM; whole numbers or fractions) is scaled
            to 0…255 by the image's own least and greatest value, never clipped: scanners use 10 to 16 of 16 bits
            and seldom say which. So one pixel that is far too bright darkens the rest. Colour of 16 bits keeps
            its upper eight.
        image_size: side of the result; None keeps the size. Width and height are scaled each for
            itself, by Lanczos' filter whatever the source, so that one file is the same image in every task and
            in `predict`: the whole picture is kept, its proportions are not.

    Raises:
        BadData: the file does not decode.
    """
    if isinstance(picture, Path):
        check_plain_file(picture)
        if dicom.is_dicom(picture):
            image = Image.fromarray(_narrow(dicom.read_dicom(picture)))
            return _prepared(image, picture, mode, image_size), image.size
        with opened(picture) as image:
            return _prepared(image, picture, mode, image_size), image.size
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else ImageOps.exif_transpose(picture)
    return _prepared(image, picture, mode, image_size), image.size


def _prepared(image: Image.Image, picture: Picture, mode: str | None, image_size: int | None) -> Image.Image:
    if image.mode in DEEP_MODES:
        image = _eight_bits(image, picture)
    image = image.convert(mode or ("L" if image.mode in GREY_MODES else "RGB"))
    if image_size is not None and image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.LANCZOS)
    return image


def write_images(
    files: Sequence[Path], make: Callable[[int], Image.Image], progress: Progress | None = None
) -> list[Fingerprint | BadData]:
    """Save `make(i)` as `files[i]` for every i, in a few threads; Pillow decodes and resizes outside the GIL.

    Args:
        files: PNG files to write; their folders are made.
        make: the image of one number. `BadData` is kept as that image's result; another error stops the work.
        progress: told how many are done, in order.

    Returns:
        What tells the images apart, or what is wrong with one, in their order.

    Raises:
        CannotWrite: the system refused, such as on a full disk.
    """
    for folder in {file.parent for file in files}:
        folder.mkdir(parents=True, exist_ok=True)

    def write(number: int) -> Fingerprint | BadData:
        try:
            image = make(number)
        except BadData as fault:
            return fault
        save_png(image, files[number])
        return fingerprint(image)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        jobs = threads.map(write, range(len(files)))
        made = []
        try:
            for done, one in enumerate(jobs, start=1):
                made.append(one)
                if progress is not None:
                    progress(done, len(files))
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)  # do not draw the rest before failing
            raise
    return made


def save_png(image: Image.Image, file: Path) -> None:
    """Save an image; its folder is made.

    Raises:
        CannotWrite: the system refused.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file, "PNG")
    except OSError as error:
        raise cannot_write(file, error) from error


def split_bad(
    made: Sequence[Fingerprint | BadData], names: Sequence[str], where: str, skip_bad: bool = False
) -> tuple[list[Fingerprint], dict[int, BadData]]:
    """What `write_images` made, and by number what is wrong with the images that it could not make.

    Raises:
        BadData: there are some, and `skip_bad` is false; names them all, up to `LISTED`.
    """
    bad = {number: one for number, one in enumerate(made) if isinstance(one, BadData)}
    if bad and not skip_bad:
        first, *others = bad
        more = f"; the others: {listed([names[number] for number in others])}" if others else ""
        raise BadData(
            f"{where}: {len(bad)} of {len(made)} images cannot be used: {bad[first]}{more}; --skip-bad leaves them out"
        )
    return [one for one in made if isinstance(one, Fingerprint)], bad


def left_out(bad: Collection[int], names: Sequence[str]) -> list[str]:
    """A note on images that were left out, if there are any."""
    files = listed([names[number] for number in sorted(bad)])
    return [f"{len(bad)} images that cannot be used were left out: {files}"] if bad else []


def check_some_left(
    labels: Sequence[str], splits: Sequence[str], bad: Collection[int], names: Sequence[str], where: str
) -> None:
    """Refuse to leave out images that are all that a class has in its split.

    Args:
        labels: class of each image.
        splits: split of each image, empty where it has none yet.
        bad: numbers of the images that would be left out.
        names: of the images, for the message.
        where: names the task or table in the message.
    """
    places = list(zip(splits, labels, strict=True))
    left = {place for number, place in enumerate(places) if number not in bad}
    for place in dict.fromkeys(places[number] for number in sorted(bad)):
        if place not in left:
            split, label = place
            of_class = f" of class {label!r}" if label else ""
            lost = [names[number] for number in sorted(bad) if places[number] == place]
            raise BadData(
                f"{where}: expected at least one image{of_class}{f' in split {split!r}' if split else ''}, "
                f"got none but {len(lost)} that --skip-bad leaves out: {listed(lost)}; replace them or add images"
            )


def listed(names: Sequence[str]) -> str:
    """Names with commas between them, up to `LISTED`, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def file_names(labels: Sequence[str], stems: Sequence[str]) -> list[str]:
    """Names `images/<class>/<stem>.png`, safe on every file system, no two alike even if case is ignored.

    Of an image without a class (an empty label) it is `images/<stem>.png`.
    """
    taken: set[str] = set()
    names = []
    for label, stem in zip(labels, stems, strict=True):
        base = "/".join(["images", *([safe(label)] if label else []), safe(stem)])
        name, number = base, 1
        while name.lower() in taken:
            number += 1
            name = f"{base}~{number}"
        taken.add(name.lower())
        names.append(name + SUFFIX)
    return names


def safe(text: str) -> str:
    """`text` as a file name: everything but letters, digits, `_`, `-`, `+` and `~` as `%` and its code."""
    return re.sub(r"[^\w+~-]", lambda found: f"%{ord(found.group()):02X}", text)


def _narrow(pixels: np.ndarray) -> np.ndarray:
    """Fractions as float32, the only ones that Pillow holds."""
    return pixels.astype(np.float32) if pixels.dtype == np.float64 else pixels


def _eight_bits(image: Image.Image, picture: Picture) -> Image.Image:
    deep = np.asarray(image)
    low, high = float(deep.min()), float(deep.max())
    if not np.isfinite([low, high]).all():  # a NaN is its image's least and greatest value
        raise BadData(f"{picture}: expected finite pixels, got NaN or infinity; replace or remove it")
    scaled = np.zeros(deep.shape, np.uint8)
    for rows in range(0, len(deep) if high > low else 0, ROWS):  # in double precision the whole would take 8 times it
        block = deep[rows : rows + ROWS].astype(np.float64)
        scaled[rows : rows + ROWS] = np.round((block - low) * (255.0 / (high - low)))
    return Image.fromarray(scaled)
