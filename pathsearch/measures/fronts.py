"""Accuracy against size: what each number of parameters buys, and how much of the plane a front covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def front(sizes: Sequence[int], rates: Sequence[float]) -> list[int]:
    """Indices of the networks that no other beats: as small and better, or smaller and as good; by rising size."""
    found: list[int] = []
    for i in sorted(range(len(sizes)), key=lambda i: (sizes[i], -rates[i], i)):
        if not found or rates[i] > rates[found[-1]]:
            found.append(i)
    return found


@dataclass(frozen=True)
class Frame:
    """The part of the plane that is measured: from the smallest path to the full grid, from a floor to all right."""

    smallest: int  # parameters of the smallest path of the grid
    largest: int  # of the full grid
    floor: float  # a rate that is worth nothing

    def hypervolume(self, sizes: Sequence[int], rates: Sequence[float]) -> float:
        """Share of the frame below the curve of networks of rising size; the logarithm of the size counts.

        Args:
            sizes: parameters, rising.
            rates: of the networks in this order. For a front this is the hypervolume of its points. Where they fall
                (a front of validation read on test) the curve falls with them: nothing is chosen anew.

        Returns:
            A share in [0, 1]: 1 for a network of the smallest size that is always right; 0 where the frame has no area,
            as above a floor that is always right.

        Source: Zitzler and Thiele 1999; in two dimensions it is a sum of rectangles.
        """
        if self.floor >= 1 or self.largest <= self.smallest:
            return 0.0
        edges = np.log([*sizes, self.largest]).clip(np.log(self.smallest), np.log(self.largest))
        widths = np.diff(edges) / (np.log(self.largest) - np.log(self.smallest))
        heights = (np.asarray(rates, np.float64) - self.floor) / (1 - self.floor)
        return float(widths @ heights.clip(0, 1))
