"""A MedMNIST file (one `.npz` with images and labels of three splits) to a prepared task."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from data_prep.construction import Progress, existing_source, provenance
from data_prep.errors import BadData
from data_prep.image_task import RawImage, prepare_images
from data_prep.manifest import Task
from data_prep.table_words import SPLITS


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
    overwrite: bool = False,
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
        overwrite: replace a finished task of this name.
        progress: told `(done, total)` as images are written.

    Raises:
        BadData: not such a file; several labels an image; volumes; more labels than class names.
    """
    file = existing_source(source, "an .npz file in MedMNIST's layout", folder=False)
    parts = {given: _read_split(file, given) for given in SPLITS}
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
        overwrite=overwrite,
        progress=progress,
    )


def _read_split(file: Path, given: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N×H×W or N×H×W×3, uint8) and labels (N, int64) of one split."""
    try:
        # A pickle can run code when it is read. np.load closes a file it opened itself only if all goes well.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            images, labels = arrays[f"{given}_images"], arrays[f"{given}_labels"]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise BadData(
            f"{file}: expected {given}_images and {given}_labels in MedMNIST's layout, got {reason}"
        ) from error
    grey_or_colour = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not grey_or_colour or not len(images):
        raise BadData(
            f"{file}: expected {given}_images as uint8 N×H×W or N×H×W×3, got {images.dtype} of shape "
            f"{images.shape}; volumes are not supported"
        )
    if labels.shape not in ((len(images),), (len(images), 1)) or not np.issubdtype(labels.dtype, np.integer):
        raise BadData(
            f"{file}: expected {given}_labels as one integer for each of {len(images)} images, got "
            f"{labels.dtype} of shape {labels.shape}; several labels an image are not supported"
        )
    flat = labels.reshape(-1).astype(np.int64)
    if flat.min() < 0:
        raise BadData(f"{file}: expected labels from 0 in {given}_labels, got {flat.min()}")
    return images, flat
