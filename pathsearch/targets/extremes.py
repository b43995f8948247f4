"""The test images that a person is shown, worst to best, and how good answers are against size."""

from __future__ import annotations

from typing import Any

import numpy as np

SHOWN = 5  # at each end, and between them
POINTS = 300  # of a figure: more hide each other


def extremes(files: np.ndarray, each: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    """The `worst`, the `best` and, evenly spread by rank, some `between`: lists of `file` and `value`.

    The most extreme come first, of those between the worse. No image is there twice: of fewer than 15 there are fewer
    at the ends.

    Args:
        files: (n,) names.
        each: (n,) how good each answer is.
    """
    order = np.argsort(each, kind="stable")
    ends = min(SHOWN, (len(order) + 1) // 3)
    middle = order[ends : len(order) - ends]
    parts = min(SHOWN, len(middle))
    between = middle[((np.arange(parts) + 0.5) * len(middle) / max(parts, 1)).astype(int)]  # the middles of equal parts

    def rows(places: np.ndarray) -> list[dict[str, Any]]:
        return [{"file": str(files[i]), "value": float(each[i])} for i in places]

    worst, best = order[:ends], order[::-1][:ends]
    return {"worst": rows(worst), "between": rows(between), "best": rows(best)}


def against_size(size: np.ndarray, each: np.ndarray, measure: str) -> dict[str, Any]:
    """What a figure of a measure against size draws: its name, `n` images, and of at most 300 `size` and `value`.

    Args:
        size: (n,) share of the image that is to be found.
        each: (n,) how good each answer is.
        measure: what that is called.

    Returns:
        Of more images those at even distances in the order of their sizes, smallest and largest among them.
    """
    order = np.argsort(size, kind="stable")
    kept = order[np.unique(np.linspace(0, len(order) - 1, min(POINTS, len(order))).round().astype(int))]
    return {"measure": measure, "n": len(size), "size": size[kept].tolist(), "value": each[kept].tolist()}
