"""Distances of outlines, by hand and against every pair of points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from pathsearch.measures.surfaces import hausdorff95


def square(at: int, side: int, size: int = 20) -> torch.Tensor:
    mask = torch.zeros(1, size, size, dtype=torch.uint8)
    mask[:, at : at + side, at : at + side] = 1
    return mask


def test_a_mask_that_is_moved_by_three_pixels():
    moved = torch.roll(square(4, 6), 3, 2)
    assert hausdorff95(moved, square(4, 6), 1).item() == 3


def test_one_stray_pixel_of_many_does_not_count():
    stray = square(2, 12)
    stray[0, 19, 19] = 1  # one of 45 on the outline, 6 pixels to the right of and below the square's corner
    assert hausdorff95(stray, square(2, 12), 1).item() == 0


def test_where_one_mask_is_empty_the_distance_is_the_diagonal():
    empty, corner = torch.zeros(1, 20, 15, dtype=torch.uint8), torch.zeros(1, 20, 15, dtype=torch.uint8)
    corner[0, 0, 0] = 1
    assert hausdorff95(empty, empty, 1).item() == 0
    assert hausdorff95(empty, corner, 1).item() == hausdorff95(corner, empty, 1).item() == 25
    assert hausdorff95(corner.flip(1, 2), corner, 1).item() < 25, "a miss is worse than any answer"


def test_against_every_pair_of_points():
    stream = np.random.default_rng(0)
    said, true = (torch.from_numpy((stream.random((4, 15, 11)) < 0.3).astype(np.uint8)) for _ in range(2))
    said[0, :2] = 2  # another label has its own
    true[0, :4] = 2
    found = hausdorff95(said, true, 2)
    assert found.shape == (4, 2)
    for image in range(4):
        edges = [np.argwhere(m & ~binary_erosion(m)) for m in (said[image].numpy() == 1, true[image].numpy() == 1)]
        far = cdist(*edges)
        expected = max(np.quantile(far.min(axis), 0.95) for axis in (0, 1))
        assert found[image, 0].item() == pytest.approx(expected, rel=1e-6)
    assert found[0, 1].item() == 2
    assert (found[1:, 1] == 0).all(), "neither has any"
