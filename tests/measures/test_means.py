"""Means with their intervals: coverage, bounds, and what is not defined."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pathsearch.measures.means import Each, mean_interval, reported


def test_by_hand():
    found = reported({"dice": Each(np.array([0.5, 0.75, 1.0]))}, None)
    assert found["dice"] == 0.75
    assert found["sd"]["dice"] == 0.25
    low, high = found["ci95"]["dice"]
    assert 0.5 <= low < 0.75 < high <= 1
    assert found["undefined"] == {}


def test_what_is_undefined_is_left_out_and_counted():
    found = reported({"far": Each(np.array([3.0, np.nan, 5.0, 7.0]), None)}, np.array([0, 1, 2, 2]))
    assert found["far"] == 5
    assert found["undefined"] == {"far": 1}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_was_not_measured_is_none():
    nothing = {"far": None, "sd": {"far": None}, "ci95": {"far": None}}
    assert reported({"far": Each(None, None)}, None) == {**nothing, "undefined": {}}
    assert reported({"far": Each(np.zeros(0), None)}, None) == {**nothing, "undefined": {}}
    assert reported({"far": Each(np.full(3, np.nan), None)}, None) == {**nothing, "undefined": {"far": 3}}


def test_what_has_bounds_has_an_interval_even_where_nothing_varies():
    low, high = mean_interval(np.ones(10), None)
    assert 0.6 < low < high == 1
    low, high = mean_interval(np.full(10, -1.0), None, (-1.0, 1.0))
    assert low == -1 < high < 0
    assert mean_interval(np.full(10, 7.0), None, None) is None
    assert mean_interval(np.array([7.0]), None, None) is None
    assert mean_interval(np.array([1.0, 3.0, 3.0, 1.0]), np.array([0, 0, 1, 1]), None) is None, "groups are alike"


def test_an_interval_moves_with_its_values():
    values = np.random.default_rng(0).normal(size=40)
    low, high = mean_interval(values, None, None)
    moved = mean_interval(10 + 3 * values, None, None)
    assert moved == pytest.approx([10 + 3 * low, 10 + 3 * high])


def test_groups_of_like_images_make_intervals_wider():
    values = np.repeat(np.random.default_rng(0).uniform(size=12), 10)
    alone, grouped = mean_interval(values, None), mean_interval(values, np.repeat(np.arange(12), 10))
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


def test_of_a_hundred_intervals_about_95_hold_the_mean():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        low, high = mean_interval(rng.exponential(size=40), None, None)
        held += low <= 1 <= high
    assert 88 <= held <= 99
