"""A MedMNIST file (one `.npz` with images and labels of three splits) to a prepared task."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData
from data_prep.image_task import RawImage, prepare_images
from data_prep.image_truth import NO_TRUTH, RawTruth, TruthOptions
from data_prep.manifest import Task
from data_prep.mask_levels import names_of
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
    mask_names: str | None = None,
    target: str | None = None,
    mirror: bool | None = None,
    duplicates: str = "report",
    look_alikes: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Task:
    """Prepare an `.npz` in MedMNIST's layout: `{train,val,test}_images` and `{train,val,test}_labels`, `…_masks`.

    Where there are masks, labels may be left out: then the task has no classes.

    Args:
        source: the file; images are uint8, N×H×W (grey) or N×H×W×3 (colour), labels integers N or N×1, masks integers
            N×H×W, one number a class.
        data_dir: where prepared tasks lie.
        name: of the new task; the file's name without its suffix by default.
        split: `official` (the default) or `random`.
        image_size: side of the square images in pixels; None keeps the file's own, which loses nothing,
            since an encoder resizes anyway.
        seed: of the split.
        classes: names of labels 0, 1, … with commas between them; by default "0", "1", ….
        mask_names: classes of the masks' pixels by their numbers with commas between them, background first.
        target: what the task asks for by default, `class`, `mask` or `image`; the first that it has.
        mirror: whether half of the views of training images are mirrored; None: not where names have `left` or `right`.
        duplicates: of images that are, pixel for pixel, in two splits: `refuse`, `move` all copies into one
            split, or `report` them only, which is the default here, because
            these files are published with their splits: numbers on them compare only if both stay as they are.
        look_alikes: count near copies across splits.
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: not such a file; several labels an image; volumes; more labels than class names; a mask that is none.
    """
    file = existing_source(source, "an .npz file in MedMNIST's layout", folder=False)
    parts = _read(file)
    labelled = [part.labels for part in parts.values() if part.labels is not None]
    n_classes = int(max(labels.max() for labels in labelled)) + 1 if labelled else 0
    names = [text.strip() for text in classes.split(",")] if classes else [str(i) for i in range(n_classes)]
    if len(names) < n_classes:
        raise BadData(
            f"--classes: expected {n_classes} names, one for each label of {file.name}, got {len(names)}: {classes!r}"
        )
    images = [
        RawImage(
            picture,
            names[part.labels[number]] if part.labels is not None else "",
            f"{given}-{number}",
            given,
            truth=RawTruth(part.masks[number]) if part.masks is not None else NO_TRUTH,
        )
        for given, part in parts.items()
        for number, picture in enumerate(part.images)
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
        truth=TruthOptions(names_of(mask_names), target=target),
        mirror=mirror,
        duplicates=duplicates,
        look_alikes=look_alikes,
        overwrite=overwrite,
        progress=progress,
    )


class Part(NamedTuple):
    """One split."""

    images: np.ndarray  # N×H×W or N×H×W×3, uint8
    labels: np.ndarray | None  # N, int64
    masks: np.ndarray | None  # N×H×W, integers


def _read(file: Path) -> dict[str, Part]:
    """The arrays of each split; nothing is loaded before all is judged."""
    allowed = max(ROOM, EXPANSION * file.stat().st_size)
    there = _kinds(file)
    n_bytes = sum(_judged(file, given, there) for given in SPLITS)
    if n_bytes > allowed:
        raise BadData(
            f"{file}: expected arrays of at most {allowed:,} bytes in a file of {file.stat().st_size:,}, got "
            f"{n_bytes:,}; damaged, or made to fill memory"
        )
    parts = {given: _loaded(file, given, there) for given in SPLITS}
    total = sum(len(part.images) for part in parts.values())
    for given, part in parts.items():
        labels = part.labels
        if labels is not None and not 0 <= int(labels.min()) <= int(labels.max()) < total // len(SPLITS):
            raise BadData(
                f"{file}: expected labels from 0 in {given}_labels, got {int(labels.min())} to {int(labels.max())}, "
                f"and {total} images, fewer than one of each class in each split; number the classes 0, 1, 2, …"
            )
    return {
        given: part if part.labels is None else part._replace(labels=part.labels.astype(np.int64))
        for given, part in parts.items()
    }


def _kinds(file: Path) -> tuple[str, ...]:
    """Which of labels and masks the file has: labels, unless it has masks alone."""
    with _failures_named(file, SPLITS[0]), zipfile.ZipFile(file) as members:
        names = set(members.namelist())
    found = {kind: [given for given in SPLITS if f"{given}_{kind}.npy" in names] for kind in ("labels", "masks")}
    if 0 < len(found["masks"]) < len(SPLITS):
        got = ", ".join(f"{given}_masks" for given in found["masks"])
        raise BadData(f"{file}: expected masks of all splits or of none, got {got}; add the others")
    return tuple(kind for kind in found if found[kind] or (kind == "labels" and not found["masks"]))


def _judged(file: Path, given: str, there: tuple[str, ...]) -> int:
    """The bytes that the arrays of a split take in memory, by their headers, which must say the right form."""
    with _failures_named(file, given), zipfile.ZipFile(file) as members:
        shape, dtype = _header(members, f"{given}_images")
        others = {kind: _header(members, f"{given}_{kind}") for kind in there}
    grey_or_colour = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
    if dtype != np.uint8 or not grey_or_colour or shape[0] < 1 or min(shape[1:3]) < SMALLEST_SIDE:
        raise BadData(
            f"{file}: expected {given}_images as uint8 N×H×W or N×H×W×3, of {SMALLEST_SIDE} pixels a side or more, got "
            f"{dtype} of shape {shape}; volumes are not supported"
        )
    for kind, (its_shape, its_dtype) in others.items():
        whole = np.issubdtype(its_dtype, np.integer) or (kind == "masks" and its_dtype == np.bool_)
        if kind == "labels" and (its_shape not in ((shape[0],), (shape[0], 1)) or not whole):
            raise BadData(
                f"{file}: expected {given}_labels as one integer for each of {shape[0]} images, got "
                f"{its_dtype} of shape {its_shape}; several labels an image are not supported"
            )
        if kind == "masks" and (its_shape != shape[:3] or not whole):
            raise BadData(
                f"{file}: expected {given}_masks as one integer for each pixel of {given}_images, {shape[:3]}, got "
                f"{its_dtype} of shape {its_shape}; number the classes of pixels 0, 1, 2, …"
            )
    return math.prod(shape) + sum(math.prod(one) * kind.itemsize for one, kind in others.values())


def _header(members: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with members.open(f"{name}.npy") as member:
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read[np.lib.format.read_magic(member)](member)
    return shape, dtype


def _loaded(file: Path, given: str, there: tuple[str, ...]) -> Part:
    # A pickle can run code when it is read. np.load closes a file it opened itself only if all goes well.
    with _failures_named(file, given), file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        labels = arrays[f"{given}_labels"].reshape(-1) if "labels" in there else None
        return Part(arrays[f"{given}_images"], labels, arrays[f"{given}_masks"] if "masks" in there else None)


@contextmanager
def _failures_named(file: Path, given: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of zipfile, zlib and NumPy: KeyError, ValueError, EOFError, RuntimeError, …
        reason = " ".join(str(error).split())
        raise BadData(
            f"{file}: expected {given}_images and {given}_labels in MedMNIST's layout, got {reason or 'another file'}"
        ) from error
