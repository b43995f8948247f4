"""Fronts and the share of the plane below them, by hand and against their definitions."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathsearch.measures.fronts import Frame, front

points = st.lists(st.tuples(st.integers(10, 1000), st.integers(0, 100)), min_size=1, max_size=12)


def test_a_front_by_hand():
    # 20 is larger than 10 and no better, the second 40 is worse than the first; 80 is larger and worse than 40
    assert front([40, 10, 20, 40, 80], [0.9, 0.8, 0.8, 0.85, 0.7]) == [1, 0]
    assert front([10, 10], [0.5, 0.5]) == [0], "of equals the first"
    assert front([], []) == []


@given(points)
def test_a_front_is_what_nothing_beats(rows):
    sizes, rates = [size for size, _ in rows], [rate / 100 for _, rate in rows]
    found = front(sizes, rates)
    for i, (size, rate) in enumerate(zip(sizes, rates, strict=True)):
        beaten = any((s <= size and r > rate) or (s < size and r >= rate) for s, r in zip(sizes, rates, strict=True))
        assert beaten == ((size, rate) not in [(sizes[j], rates[j]) for j in found]), i
    assert [sizes[i] for i in found] == sorted({sizes[i] for i in found})


def test_a_hypervolume_by_hand():
    # Sizes 10, 100 and 1000 are two equal halves of the logarithm. Above the floor of 0.5, 0.75 is half, 0.9 is 0.8.
    frame = Frame(10, 1000, 0.5)
    assert frame.hypervolume([10, 100], [0.75, 0.9]) == pytest.approx(0.5 * 0.5 + 0.5 * 0.8)
    assert frame.hypervolume([100], [0.9]) == pytest.approx(0.5 * 0.8), "nothing for what is smaller"
    assert frame.hypervolume([10], [1.0]) == pytest.approx(1)
    assert frame.hypervolume([1000], [1.0]) == 0
    assert frame.hypervolume([10, 100], [0.4, 0.9]) == pytest.approx(0.4), "below the floor counts nothing, not less"
    assert frame.hypervolume([10, 100], [0.9, 0.75]) == pytest.approx(0.4 + 0.25), "a curve may fall"
    assert frame.hypervolume([1, 2000], [0.75, 0.9]) == pytest.approx(0.5), "cut at the frame"
    assert frame.hypervolume([], []) == 0


def covered(points: list[tuple[float, float]]) -> float:
    """Area of the union of the rectangles [x, 1] × [0, y], cell by cell between all their edges."""
    xs, ys = sorted({0.0, 1.0, *(x for x, _ in points)}), sorted({0.0, 1.0, *(y for _, y in points)})
    return sum(
        (right - left) * (top - bottom)
        for left, right in itertools.pairwise(xs)
        for bottom, top in itertools.pairwise(ys)
        if any(x <= left and y >= top for x, y in points)
    )


@given(points)
def test_a_hypervolume_is_the_area_that_all_points_cover(rows):
    frame = Frame(10, 1000, 0.3)
    sizes, rates = [size for size, _ in rows], [rate / 100 for _, rate in rows]
    found = front(sizes, rates)
    own = frame.hypervolume([sizes[i] for i in found], [rates[i] for i in found])
    places = [
        (math.log10(size / 10) / 2, max(0.0, (rate - 0.3) / 0.7)) for size, rate in zip(sizes, rates, strict=True)
    ]
    assert own == pytest.approx(covered(places), abs=1e-9)


def test_a_frame_without_area_holds_nothing():
    """As above a probe that is always right, or on a grid of one path."""
    assert Frame(10, 100, 1.0).hypervolume([10, 50], [1.0, 1.0]) == 0
    assert Frame(10, 10, 0.5).hypervolume([10], [1.0]) == 0
