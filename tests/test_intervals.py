"""Intervals by group: coverage on clustered data, agreement with theory, and what becomes of the edges."""

from __future__ import annotations

import time

import numpy as np
import pytest
from small_world import refused

from pathsearch import intervals
from pathsearch.clusters import clusters
from pathsearch.intervals import rate_interval, wilson
from pathsearch.metrics import evaluate


def patients(n_groups: int, size: int, seed: int, spread: float = 1.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and patients of images; what is hard differs from patient to patient."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), size)
    y = rng.integers(2, size=n_groups * size)
    skill = 1.2 + spread * rng.normal(size=n_groups)[groups]
    z = rng.normal(size=len(y)) + skill * (2 * y - 1)
    p = 1 / (1 + np.exp(-z))
    return y, np.stack([1 - p, p], 1), groups.astype(str)


def test_groups_are_covered_where_images_are_not():
    """Nominal 95 %: over groups at least 90 %, while Wilson's over images of the same data is far below."""
    truth = {rate: [] for rate in ("accuracy", "auc")}
    for seed in range(10):
        y, p, _ = patients(4000, 10, 10_000 + seed)
        found = evaluate(y, p, ["a", "b"], seed=0)
        for rate, values in truth.items():
            values.append(found[rate])
    covered = {"accuracy": 0, "auc": 0, "wilson": 0}
    trials = 150
    for seed in range(trials):
        y, p, groups = patients(22, 40, seed)
        found = evaluate(y, p, ["a", "b"], groups=groups)
        for rate in ("accuracy", "auc"):
            low, high = found["ci95"][rate]
            covered[rate] += low <= np.mean(truth[rate]) <= high
        low, high = wilson(round(found["accuracy"] * found["n"]), found["n"])
        covered["wilson"] += low <= np.mean(truth["accuracy"]) <= high
    shares = {name: count / trials for name, count in covered.items()}
    assert shares["accuracy"] >= 0.9, shares
    assert shares["auc"] >= 0.88, shares  # of 22 patients; three standard errors of 150 trials below 0.95
    assert shares["wilson"] < 0.7, shares


def test_independent_images_in_groups_have_nearly_the_width_of_wilson():
    y, p, groups = patients(60, 20, 1, spread=0)
    by_group, by_image = (evaluate(y, p, ["a", "b"], groups=own)["ci95"] for own in (groups, None))
    for rate in ("accuracy", "recall", "auc"):
        wide, narrow = (float(np.diff(found[rate])[0]) for found in (by_group, by_image))
        assert wide == pytest.approx(narrow, rel=0.3)


@pytest.mark.parametrize("groups", [None, [""] * 200, [f"p{i}" for i in range(200)]])
def test_images_that_nothing_joins_are_counted_one_by_one(groups):
    y, p, _ = patients(20, 10, 2)
    found = evaluate(y, p, ["a", "b"], groups=groups)
    assert found == evaluate(y, p, ["a", "b"])
    assert found["intervals"] == {"method": "by image", "groups": None}
    assert found["ci95"]["accuracy"] == pytest.approx(wilson(round(found["accuracy"] * 200), 200))


def test_an_image_of_unknown_group_is_a_group_of_its_own():
    assert clusters(["b", "", "a", "b", ""], 5).tolist() == [1, 2, 0, 1, 3]
    y, p, groups = patients(20, 10, 2)
    groups[::10] = ""
    found = evaluate(y, p, ["a", "b"], groups=groups)
    assert found["intervals"] == {"method": "bootstrap over groups", "groups": 20 + 20}


def test_the_order_of_images_changes_nothing():
    y, p, groups = patients(12, 9, 3)
    groups[::4] = ""
    order = np.random.default_rng(0).permutation(len(y))
    assert evaluate(y, p, ["a", "b"], groups=groups) == evaluate(y[order], p[order], ["a", "b"], groups=groups[order])


def test_nothing_wrong_is_no_interval_without_width():
    """All right in five groups: as five right of five, not as 500 of 500, and never [1, 1]."""
    right, groups = np.ones(500, bool), np.arange(500) % 5
    assert rate_interval(right, groups) == pytest.approx(wilson(5, 5))
    y = np.arange(500) % 2
    found = evaluate(y, np.eye(2)[y], ["a", "b"], groups=groups.astype(str))
    assert found["ci95"]["accuracy"] == found["ci95"]["auc"] == pytest.approx(wilson(5, 5))


def test_a_class_of_one_group_has_a_wide_interval():
    """250 images of one patient are one patient."""
    y = np.repeat([0, 1], 250)
    groups = np.where(y == 1, "only", (np.arange(500) % 20).astype(str))
    said = np.where(np.arange(500) % 5 == 0, 1 - y, y)
    found = evaluate(y, np.eye(2)[said], ["a", "b"], groups=groups)
    low, high = found["ci95"]["recall_per_class"]["b"]
    assert high - low > 0.6
    assert found["recall_per_class"]["b"] == 0.8


def test_one_group_alone_still_has_an_interval():
    y, p, _ = patients(1, 50, 4)
    low, high = evaluate(y, p, ["a", "b"], groups=["one"] * 50)["ci95"]["accuracy"]
    assert high - low > 0.6


def test_linear_and_counted_areas_agree(monkeypatch):
    """Beyond a size the area of a draw is moved as its images' influence says: nearly the same interval."""
    y, p, groups = patients(40, 30, 5, spread=0.6)
    for names in (groups, None):
        counted = evaluate(y, p, ["a", "b"], groups=names)
        with monkeypatch.context() as small:
            small.setattr(intervals, "SMALL_PAIRS", 0)
            small.setattr(intervals, "SMALL_AUC", 0)
            linear = evaluate(y, p, ["a", "b"], groups=names)
        assert linear["auc"] == counted["auc"]
        assert linear["ci95"]["auc"] == pytest.approx(counted["ci95"]["auc"], abs=0.006)


def test_unknown_answers_belong_to_their_group():
    y, p, groups = patients(10, 10, 6)
    said = p.argmax(1)
    said[groups == "3"] = -1
    found = evaluate(y, p, ["a", "b"], said, groups=groups)
    assert found["columns"][-1] == "unknown"
    assert found["intervals"]["groups"] == 10
    everyone = evaluate(y, p, ["a", "b"], np.full(100, -1), groups=groups)
    assert (everyone["auc"], everyone["ci95"]["auc"]) == (None, None)


def test_groups_of_other_images_are_refused():
    with refused(r"groups: expected one name for each of 3 images, got shape \[2\]"):
        clusters(["a", "b"], 3)


def test_fifty_thousand_beats_of_22_patients_take_seconds_at_most():
    """About half a second on a quiet core; images one by one would take thousands of sorts."""
    rng = np.random.default_rng(0)
    n, k = 49_686, 4
    groups, y = rng.integers(22, size=n), rng.choice(k, p=[0.9, 0.04, 0.05, 0.01], size=n)
    p = np.exp(rng.normal(size=(n, k)) + 3 * np.eye(k)[y])
    p /= p.sum(1, keepdims=True)
    started = time.process_time()
    found = evaluate(y, p, list("NSVF"), groups=groups.astype(str))
    assert time.process_time() - started < 5
    assert found["intervals"]["groups"] == 22
