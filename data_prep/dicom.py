"""DICOM files as images; the only door to pydicom, which comes with the extra `dicom`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.errors import BadData, PathsearchError
from data_prep.safe_images import check_pixels

SUFFIXES = (".dcm", ".dicom")
DEFLATED = "1.2.840.10008.1.2.1.99"  # made for text: pydicom inflates it all, a thousandfold, before any tag is known


def is_dicom(file: Path) -> bool:
    """Whether a file is DICOM by its name, or by the four letters that follow 128 bytes of any content.

    The exports of many archives have no suffix. `DICOMDIR` has the letters too: it lists other files.
    """
    return file.suffix.lower() in SUFFIXES or (file.name != "DICOMDIR" and file.is_file() and _begins_as_dicom(file))


def _begins_as_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_dicom(file: Path) -> np.ndarray:
    """The picture in a DICOM file, as a viewer shows it: uint8 H×W or H×W×3, or float64 H×W of any range.

    Stored values go through the file's own rescaling and its first window (DICOM PS3.3, C.11.1 and C.11.2);
    MONOCHROME1, where high values are dark, is turned round; palettes and YBR become RGB.

    Raises:
        PathsearchError: pydicom is not installed.
        BadData: the file is damaged, has no picture, several, or compressed pixels that need a decoder, too many
            pixels, or is deflated as a whole.
    """
    try:
        import pydicom
        from pydicom import pixels
    except ImportError:
        raise PathsearchError(
            f"{file}: expected pydicom to read a DICOM file, got none installed; pip install 'pathsearch[dicom]', or "
            "save the images as PNG"
        ) from None
    try:
        if pydicom.filereader.read_file_meta_info(file).get("TransferSyntaxUID") == DEFLATED:
            raise ValueError("deflated as a whole; save it without that")
        dataset = pydicom.dcmread(file)
        if int(getattr(dataset, "NumberOfFrames", None) or 1) > 1:
            raise ValueError(f"{dataset.NumberOfFrames} frames; save each as a file of its own")
        check_pixels(file, int(dataset.Columns), int(dataset.Rows))
        stored = pixels.pixel_array(dataset)  # YBR is RGB from here
        _check_shape(stored, int(dataset.Rows), int(dataset.Columns))
        return _shown(pixels, dataset, stored)
    except BadData:
        raise
    except Exception as error:  # pydicom raises AttributeError, KeyError, ValueError, RuntimeError, …
        reason = " ".join(str(error).split())
        raise BadData(
            f"{file}: expected a DICOM file with one picture, got one that does not decode ({reason}); replace or "
            "remove it"
        ) from error


def _check_shape(stored: np.ndarray, rows: int, columns: int) -> None:
    """Refuse pixels that are not one picture: where the file holds more of them, pydicom gives several."""
    if stored.shape not in ((rows, columns), (rows, columns, 3)):
        raise ValueError(f"pixels of shape {stored.shape}, where rows and columns are {rows} × {columns}")


def _shown(pixels: Any, dataset: Any, stored: np.ndarray) -> np.ndarray:
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        stored = pixels.apply_color_lut(stored, dataset)
    if stored.ndim == 3:
        return (stored >> 8 if stored.dtype == np.uint16 else stored).astype(np.uint8)
    values = pixels.apply_voi_lut(pixels.apply_modality_lut(stored, dataset), dataset)
    if values.dtype == np.uint8:  # nothing to scale
        return 255 - values if kind == "MONOCHROME1" else values
    return -values.astype(np.float64) if kind == "MONOCHROME1" else values.astype(np.float64)
