"""A MedMNIST file (one `.npz` with images and labels of three splits) to a prepared task."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData
from data_prep.image_task import RawImage, prepare_images
from data_prep.manifest import Task
from data_prep.table_words import SPLITS

ROOM = 1 << 29  # bytes that the arrays of any file may take
EXPANSION = (
    20  # times the file's own size that they may take: pictures shrink to a fifth, an empty array to a thousandth
)
SMALLEST_SIDE = 8  # as of all prepared images


def prepare_npz(
    source: str | Path,
    data_dir: str | Path,
    *,
    name: str | None = None,
    split: str | None = None,
    image_size: int | None = None,
    seed: int = 0,
    classes: str | None = None,
    duplicates: str = "report",
    look_alikes: bool = True,
    overwrite: bool = False,
    target: str = "class",
    progress: Progress | None = None,
) -> Task:
    """Prepare an `.npz` in MedMNIST's layout: `{train,val,test}_images` and `{train,val,test}_labels`.

    Args:
        source: the file; images are uint8, N×H×W (grey) or N×H×W×3 (colour), labels integers N or N×1.
        data_dir: where prepared tasks lie.
        name: of the new task; the file's name without its suffix by default.
        split: `official` (the default) or `random`.
        image_size: side of the square images in pixels; None keeps the file's own, which loses nothing,
            since an encoder resizes anyway.
        seed: of the split.
        classes: names of labels 0, 1, … with commas between them; by default "0", "1", ….
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only, which is the default here, because
            these files are published with their splits: numbers on them compare only if both stay as they are.
        look_alikes: count near copies across splits.
        overwrite: replace a finished task of this name.
        target: what the task asks for, see `save_task`.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: not such a file; several labels an image; volumes; more labels than class names.
    """
    file = existing_source(source, "an .npz file in MedMNIST's layout", folder=False)
    parts = _read(file)
    n_classes = int(max(labels.max() for _, labels in parts.values())) + 1
    names = [text.strip() for text in classes.split(",")] if classes else [str(i) for i in range(n_classes)]
    if len(names) < n_classes:
        raise BadData(
            f"--classes: expected {n_classes} names, one for each label of {file.name}, got {len(names)}: {classes!r}"
        )
    images = [
        RawImage(picture, names[label], f"{given}-{number}", given)
        for given, (pictures, labels) in parts.items()
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    ]
    native = images[0].picture
    assert isinstance(native, np.ndarray)
    words, licence = provenance(file.parent, f"arrays in {file.name} (MedMNIST layout)", "unknown")
    return prepare_images(
        images,
        data_dir,
        name=name or file.stem,
        classes=names,
        split=split,
        image_size=image_size or int(native.shape[0]),
        seed=seed,
        source=words,
        licence=licence,
        duplicates=duplicates,
        look_alikes=look_alikes,
        overwrite=overwrite,
        target=target,
        progress=progress,
    )


def _read(file: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (N×H×W or N×H×W×3, uint8) and labels (N, int64) of each split; nothing is loaded before all is judged."""
    allowed = max(ROOM, EXPANSION * file.stat().st_size)
    n_bytes = sum(_judged(file, given) for given in SPLITS)
    if n_bytes > allowed:
        raise BadData(
            f"{file}: expected arrays of at most {allowed:,} bytes in a file of {file.stat().st_size:,}, got "
            f"{n_bytes:,}; damaged, or made to fill memory"
        )
    parts = {given: _loaded(file, given) for given in SPLITS}
    total = sum(len(labels) for _, labels in parts.values())
    for given, (_, labels) in parts.items():
        if not 0 <= int(labels.min()) <= int(labels.max()) < total // len(SPLITS):
            raise BadData(
                f"{file}: expected labels from 0 in {given}_labels, got {int(labels.min())} to {int(labels.max())}, "
                f"and {total} images, fewer than one of each class in each split; number the classes 0, 1, 2, …"
            )
    return {given: (images, labels.astype(np.int64)) for given, (images, labels) in parts.items()}


def _judged(file: Path, given: str) -> int:
    """The bytes that the two arrays of a split take in memory, by their headers, which must say the right form."""
    with _failures_named(file, given), zipfile.ZipFile(file) as members:
        shape, dtype = _header(members, f"{given}_images")
        label_shape, label_dtype = _header(members, f"{given}_labels")
    grey_or_colour = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if dtype != np.uint8 or not grey_or_colour or shape[0] < 1 or min(shape[1:3]) < SMALLEST_SIDE:
        raise BadData(
            f"{file}: expected {given}_images as uint8 N×H×W or N×H×W×3, of {SMALLEST_SIDE} pixels a side or more, got "
            f"{dtype} of shape {shape}; volumes are not supported"
        )
    if label_shape not in ((shape[0],), (shape[0], 1)) or not np.issubdtype(label_dtype, np.integer):
        raise BadData(
            f"{file}: expected {given}_labels as one integer for each of {shape[0]} images, got "
            f"{label_dtype} of shape {label_shape}; several labels an image are not supported"
        )
    return math.prod(shape) + shape[0] * label_dtype.itemsize


def _header(members: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with members.open(f"{name}.npy") as member:
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read[np.lib.format.read_magic(member)](member)
    return shape, dtype


def _loaded(file: Path, given: str) -> tuple[np.ndarray, np.ndarray]:
    # A pickle can run code when it is read. np.load closes a file it opened itself only if all goes well.
    with _failures_named(file, given), file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return arrays[f"{given}_images"], arrays[f"{given}_labels"].reshape(-1)


@contextmanager
def _failures_named(file: Path, given: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of zipfile, zlib and NumPy: KeyError, ValueError, EOFError, RuntimeError, …
        reason = " ".join(str(error).split())
        raise BadData(
            f"{file}: expected {given}_images and {given}_labels in MedMNIST's layout, got {reason or 'another file'}"
        ) from error
