"""Which images a report shows, and which points a figure has."""

from __future__ import annotations

import numpy as np

from pathsearch.targets.extremes import POINTS, against_size, extremes


def test_the_most_extreme_first():
    found = extremes(np.array(list("abcdefg")), np.array([0.5, 0.1, 0.9, 0.2, 0.8, 0.3, 0.4]), "dice")
    assert [row["file"] for row in found["worst"]] == list("bdfga")
    assert [row["file"] for row in found["best"]] == list("ceagf")
    assert found["worst"][0] == {"file": "b", "dice": 0.1}
    assert extremes(np.array([]), np.zeros(0), "dice") == {"worst": [], "best": []}


def test_few_points_are_all_kept():
    found = against_size(np.array([0.3, 0.1]), np.array([0.9, 0.8]), "dice")
    assert found == {"n": 2, "size": [0.1, 0.3], "dice": [0.8, 0.9]}
    assert against_size(np.zeros(0), np.zeros(0), "dice") == {"n": 0, "size": [], "dice": []}


def test_of_many_points_those_over_all_sizes():
    size = np.random.default_rng(0).permutation(5000) / 5000
    found = against_size(size, 1 - size, "dice")
    assert found["n"] == 5000
    assert len(found["size"]) == POINTS
    assert found["size"][0] == 0
    assert found["size"][-1] == size.max()
    assert np.allclose(np.add(found["size"], found["dice"]), 1), "each with its own"
