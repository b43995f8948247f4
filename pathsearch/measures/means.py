"""Means over images of whatever is measured image by image, each with its spread and its 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pathsearch.measures.clusters import Floats, Ints, sums
from pathsearch.measures.intervals import GroupDraws, Interval

TINY = 1e-12  # of the range: less than it is rounding, no spread


class Each(NamedTuple):
    """A measure of every image."""

    values: Floats | None  # (n,), NaN for an image that has none; None: it was not measured
    bounds: tuple[float, float] | None = (0.0, 1.0)  # between which it lies; None: anywhere, such as pixels or decibels
    missed: float | None = None  # what an image without an answer has; None: 0 between bounds, else no value


def reported(each: Mapping[str, Each], numbers: Ints | None) -> dict[str, Any]:
    """Every measure's mean by name, and under `sd` and `ci95` its standard deviation and interval; ready for JSON.

    Args:
        each: measures of the same n images, by name.
        numbers: (n,) group of each image, see `clusters`; None for images that are independent.

    Returns:
        The means, None where nothing was measured; `sd`, between images, None below two; `ci95`; and `undefined`, how
        many images have no value, for the measures where there are any.
    """
    told = {name: _one(one, numbers) for name, one in each.items()}
    missing = {name: int(np.isnan(one.values).sum()) for name, one in each.items() if one.values is not None}
    return {
        **{name: one[0] for name, one in told.items()},
        "sd": {name: one[1] for name, one in told.items()},
        "ci95": {name: one[2] for name, one in told.items()},
        "undefined": {name: number for name, number in missing.items() if number},
    }


def _one(one: Each, numbers: Ints | None) -> tuple[float | None, float | None, Interval | None]:
    """Mean, standard deviation and interval."""
    if one.values is None or not len(there := np.flatnonzero(~np.isnan(one.values))):
        return None, None, None
    values = one.values[there].astype(np.float64)
    numbers = None if numbers is None else np.unique(numbers[there], return_inverse=True)[1].astype(np.int64)
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return float(values.mean()), sd, mean_interval(values, numbers, one.bounds)


def mean_interval(
    values: Floats, numbers: Ints | None, bounds: tuple[float, float] | None = (0.0, 1.0)
) -> Interval | None:
    """The 95 % interval of a mean: images, or whole groups, are drawn again (see `GroupDraws`).

    Args:
        values: (n,), n ≥ 1, finite.
        numbers: (n,) group of each image, from 0 on without gaps; None for images that are independent.
        bounds: between which the values lie.

    Returns:
        Low and high. Where nothing varies a bootstrap has no width: of what has bounds it is then Wilson's interval
        with one trial a group, of what has none there is no interval, None.
    """
    own = np.arange(len(values)) if numbers is None else numbers
    low, high = bounds or (float(values.min()), float(values.max()))
    if bounds is None and not _varies(values, own):
        return None
    found = GroupDraws(np.zeros(len(values), np.int64), (values - low) / (high - low), 1, own, 0).accuracy()
    return [low + (high - low) * end for end in found]


def _varies(values: Floats, numbers: Ints) -> bool:
    """Whether groups move the mean."""
    moved = sums(values - values.mean(), numbers, int(numbers.max()) + 1)
    return bool(np.abs(moved).max() > TINY * np.abs(values).max())
