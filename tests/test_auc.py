"""The AUC by ranks against scikit-learn's, and its parts against what they are parts of."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pathsearch.auc import area, curves, pairs_by_group


def scores(n: int, k: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])
    p = np.exp(rng.normal(size=(n, k)) + 1.2 * np.eye(k)[y])
    if ties:
        p = np.ceil(3 * p)
    return y, p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize("ties", [False, True])
def test_it_is_scikit_learns(k, ties):
    y, p = scores(200, k, k, ties)
    expected = roc_auc_score(y, p[:, 1] if k == 2 else p, multi_class="ovr")
    assert area(y, p).value == pytest.approx(expected, abs=1e-12)


def test_one_class_has_none():
    assert area(np.ones(5, int), np.full((5, 2), 0.5)) is None


@pytest.mark.parametrize("k", [2, 4])
def test_the_influence_is_the_derivative(k):
    """An image counted 1 + e times moves the area by about e times its influence."""
    y, p = scores(60, k, 3, ties=False)
    found = area(y, p)
    assert found.influence.sum() == pytest.approx(0, abs=1e-12)
    copies = 200
    for i in (0, 7, 31):
        weights = np.full(60, copies)
        weights[i] += 1
        many = np.repeat(np.arange(60), weights)
        moved = area(y[many], p[many]).value - found.value
        assert moved * copies == pytest.approx(found.influence[i], rel=0.05, abs=2e-4)


def test_pairs_by_group_sum_to_the_area():
    y, p = scores(90, 3, 5, ties=True)
    groups = np.arange(90) % 6
    for k, one in enumerate(curves(y, p)):
        counts = pairs_by_group(one, p[:, k], groups, 6)
        assert counts.sum() / (len(one.above) * len(one.below)) == pytest.approx(one.area, abs=1e-12)
        weights = np.array([0, 1, 2, 1, 0, 2])  # groups drawn again: the quadratic form is the area of the drawn images
        drawn = np.repeat(np.arange(90), weights[groups])
        ups, downs = ((y[drawn] == k).sum(), (y[drawn] != k).sum())
        again = roc_auc_score(y[drawn] == k, p[drawn, k])
        assert weights @ counts @ weights / (ups * downs) == pytest.approx(again, abs=1e-12)
