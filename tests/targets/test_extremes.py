"""Which images a report shows, and which points a figure has."""

from __future__ import annotations

import numpy as np
import pytest

from pathsearch.targets.extremes import POINTS, against_size, extremes


def test_the_most_extreme_first():
    each = np.random.default_rng(0).permutation(40) / 40
    found = extremes(np.arange(40), each)
    values = {end: [row["value"] for row in rows] for end, rows in found.items()}
    assert values["worst"] == [0, 0.025, 0.05, 0.075, 0.1]
    assert values["best"] == [0.975, 0.95, 0.925, 0.9, 0.875]
    assert values["between"] == [0.2, 0.35, 0.5, 0.65, 0.8]  # ranks 5 to 34 in five parts of six: 8, 14, 20, 26, 32
    assert all(each[int(row["file"])] == row["value"] for rows in found.values() for row in rows)


@pytest.mark.parametrize("n", range(18))
def test_no_image_is_shown_twice(n):
    found = extremes(np.arange(n), np.arange(n) / 20)
    files = [row["file"] for rows in found.values() for row in rows]
    assert len(files) == len(set(files)) == min(n, 15)
    assert len(found["worst"]) == len(found["best"]) == min(5, (n + 1) // 3)
    if n > 1:
        assert found["worst"][0] == {"file": "0", "value": 0}
        assert found["best"][0] == {"file": str(n - 1), "value": (n - 1) / 20}


def test_few_points_are_all_kept():
    found = against_size(np.array([0.3, 0.1]), np.array([0.9, 0.8]), "dice")
    assert found == {"measure": "dice", "n": 2, "size": [0.1, 0.3], "value": [0.8, 0.9]}
    assert against_size(np.zeros(0), np.zeros(0), "dice") == {"measure": "dice", "n": 0, "size": [], "value": []}


def test_of_many_points_those_over_all_sizes():
    size = np.random.default_rng(0).permutation(5000) / 5000
    found = against_size(size, 1 - size, "dice")
    assert found["n"] == 5000
    assert len(found["size"]) == POINTS
    assert found["size"][0] == 0
    assert found["size"][-1] == size.max()
    assert np.allclose(np.add(found["size"], found["value"]), 1), "each with its own"
