"""The test images that were answered worst and best, and how good answers are against the size of what they show."""

from __future__ import annotations

from typing import Any

import numpy as np

SHOWN = 5  # at each end
POINTS = 300  # of a figure: more hide each other


def extremes(files: np.ndarray, each: np.ndarray, measure: str) -> dict[str, list[dict[str, Any]]]:
    """The `worst` and the `best` images, each a list of `file` and the measure by its name, the most extreme first.

    Args:
        files: (n,) names.
        each: (n,) how good each answer is.
        measure: what that is called.
    """
    order = np.argsort(each, kind="stable")

    def rows(places: np.ndarray) -> list[dict[str, Any]]:
        return [{"file": str(files[i]), measure: float(each[i])} for i in places[:SHOWN]]

    return {"worst": rows(order), "best": rows(order[::-1])}


def against_size(size: np.ndarray, each: np.ndarray, measure: str) -> dict[str, Any]:
    """What a figure of the measure against size draws: `n` images, and of at most 300 `size` and the measure, by size.

    Args:
        size: (n,) share of the image that is foreground.
        each: (n,) how good each answer is.
        measure: what that is called.

    Returns:
        Of more images those at even distances in the order of their sizes, smallest and largest among them.
    """
    order = np.argsort(size, kind="stable")
    kept = order[np.unique(np.linspace(0, len(order) - 1, min(POINTS, len(order))).round().astype(int))]
    return {"n": len(size), "size": size[kept].tolist(), measure: each[kept].tolist()}
