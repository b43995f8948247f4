"""Masks as they are kept: of their images' size, still labels, in greys that a person can tell apart."""

from __future__ import annotations

import numpy as np
from PIL import Image

TIE = 1e-3  # of a pixel's area: what the class of its centre has ahead of others that cover as much


def resized(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """A mask (h, w) of class indices at another size, (height, width) uint8.

    Each pixel has the class that covers most of it, and of equal ones that of its centre. Taking the nearest pixel
    alone, as is usual, loses or doubles thin lines and roughens borders when masks are made smaller; interpolation
    makes classes that are not there.
    """
    if mask.shape == (height, width):
        return mask
    nearest = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    result, most = np.zeros((height, width), np.uint8), np.full((height, width), -1.0)
    for k in np.unique(mask):
        covered = Image.fromarray((mask == k).astype(np.float32)).resize((width, height), Image.Resampling.BOX)
        share = np.asarray(covered, np.float64) + TIE * (nearest == k)
        result[share > most], most = k, np.maximum(share, most)
    return result


def spread(n_classes: int) -> list[int]:
    """Grey levels of n classes, from black to white, evenly: a mask of 0 and 1 would be black to the eye."""
    return [round(255 * k / (n_classes - 1)) for k in range(n_classes)]


def hull(mask: np.ndarray) -> tuple[float, float, float, float] | None:
    """The box (x_min, y_min, x_max, y_max) around all pixels of a mask but background, edge to edge; None if empty."""
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
