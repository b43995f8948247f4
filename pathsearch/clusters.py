"""Which images belong together: patients, or whatever else makes images of one source more alike than others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import PathsearchError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def clusters(groups: ArrayLike | None, n: int) -> Ints | None:
    """The number of each image's group, from 0 on; an image of unknown group is a group of its own.

    Args:
        groups: (n,) names, "" where unknown; None where nothing is known.
        n: images.

    Returns:
        int[n], the same whatever the order of the images up to its numbers; None where no group has two images, so
        that images may be counted one by one.

    Raises:
        PathsearchError: not one name an image.
    """
    if groups is None:
        return None
    names = np.asarray(groups)
    if names.shape != (n,):
        raise PathsearchError(
            f"groups: expected one name for each of {n} images, got shape {list(names.shape)}; "
            "do they come from the same split?"
        )
    if not n:
        return None
    found, numbers = np.unique(names.astype(str), return_inverse=True)
    numbers = numbers.astype(np.int64)
    alone = names == ""
    numbers[alone] = len(found) + np.arange(int(alone.sum()))
    numbers = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    return numbers if numbers.max() + 1 < n else None


def sums(values: Floats, numbers: Ints | None, n_groups: int = 0) -> Floats:
    """(G,) sums of (n,) values over each group; the values themselves where images are counted one by one."""
    return values if numbers is None else np.bincount(numbers, values, n_groups).astype(np.float64)
