"""Two networks on the same images: exact where it can be, of the right size by simulation, by group where known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pathsearch.paired import paired, sign_flips
from pathsearch.statistics import mcnemar


def said(answers: np.ndarray, k: int = 2) -> tuple[np.ndarray, np.ndarray]:
    return np.eye(k)[answers], answers


def wrong_at(y: np.ndarray, *places: int) -> np.ndarray:
    answers = y.copy()
    answers[list(places)] = 1 - y[list(places)]
    return answers


def test_accuracy_by_image_is_mcnemars_test():
    y = np.arange(100) % 2
    own, other = wrong_at(y, 0, 1), wrong_at(y, 1, 2, 3, 4, 5, 6, 7, 8)
    row = paired("accuracy", y, said(own), said(other))
    found = mcnemar(own == y, other == y)
    assert (row["p"], row["test"]) == (found["p"], "McNemar's exact test")
    assert row["difference"] == pytest.approx((found["b"] - found["c"]) / 100)
    assert (row["answer"], row["groups"]) == ("no difference shown", None)  # 7 to 1: p = 0.07
    assert row["p"] == pytest.approx(sign_flips(((own == y) * 1.0 - (other == y)) / 100)), "the same by sign flips"


def test_sign_flips_by_hand():
    assert sign_flips(np.array([1.0, 1, 1, 1, 1])) == 2 / 32
    assert sign_flips(np.array([3.0, 1, 1])) == 2 / 8  # 5; reached by +++ and --- alone
    assert sign_flips(np.array([3.0, -1, -1])) == 1  # 1: every sum is at least that
    assert sign_flips(np.array([1.0, -1, 0, 0])) == 1
    assert sign_flips(np.zeros(4)) == 1


@pytest.mark.parametrize("m", [40, 1500])
def test_drawn_and_normal_signs_agree_with_the_binomial(m):
    up = m // 2 + int(np.sqrt(m))
    d = np.repeat([1.0, -1.0], [up, m - up]) / m
    assert sign_flips(d) == pytest.approx(stats.binomtest(up, m).pvalue, abs=0.012)


def test_the_same_patient_s_images_are_no_further_evidence():
    """100 images of one patient on which one network is better are one patient."""
    y, groups = np.arange(400) % 2, np.repeat(list("abcd"), 100)
    own, other = said(y), said(wrong_at(y, *range(60)))
    by_image, by_group = (paired("accuracy", y, own, other, g) for g in (None, groups))
    assert by_image["answer"] == "better"
    assert (by_group["answer"], by_group["groups"], by_group["p"]) == ("no difference shown", 4, 1.0)
    assert by_group["test"] == "sign flips by group"
    assert by_group["difference"] == pytest.approx(by_image["difference"])


def test_groups_of_one_image_are_images():
    y = np.arange(40) % 2
    own, other = said(y), said(wrong_at(y, *range(9)))
    names = [str(i) for i in range(40)]
    assert paired("accuracy", y, own, other, names) == paired("accuracy", y, own, other)


def test_the_measure_decides():
    """More right in all, fewer in the rare class: better by accuracy, worse by balanced accuracy."""
    y = (np.arange(1000) < 30).astype(int)
    own = np.zeros(1000, int)  # never says the rare class
    other = np.where(np.arange(1000) < 200, 1, 0)  # always where it is, and 170 times too often
    assert paired("accuracy", y, said(own), said(other))["answer"] == "better"
    assert paired("balanced_accuracy", y, said(own), said(other))["answer"] == "worse"


def test_what_cannot_be_tested_is_said():
    row = paired("auc", np.ones(5, int), said(np.ones(5, int)), said(np.ones(5, int)))
    assert (row["p"], row["difference"], row["answer"]) == (None, None, "no difference shown")


def drawn(rng: np.random.Generator, grouped: bool, gap: float) -> tuple:
    """Two networks of equal skill but for `gap`, on images of 20 patients or on images apart."""
    n_groups, size = (20, 15) if grouped else (300, 1)
    groups = np.repeat(np.arange(n_groups), size)
    y = (rng.random(300) < 0.3).astype(int)
    common = rng.normal(size=300)
    both = []
    for skill in (1.0 + gap, 1.0):
        luck = rng.normal(size=n_groups)[groups] if grouped else 0.0  # which patients a network fails at
        z = (common + rng.normal(size=300)) / np.sqrt(2) + (skill + luck) * (2 * y - 1)
        p = 1 / (1 + np.exp(-z))
        both.append((np.stack([1 - p, p], 1), (p > 0.5).astype(int)))
    return y, both[0], both[1], groups.astype(str) if grouped else None


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "auc"])
@pytest.mark.parametrize("grouped", [False, True])
def test_equal_networks_are_told_apart_in_a_twentieth_of_cases(name, grouped):
    rng = np.random.default_rng(7)
    trials = 200
    wrong = sum(paired(name, *drawn(rng, grouped, 0.0))["p"] < 0.05 for _ in range(trials)) / trials
    assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials), wrong
    found = [paired(name, *drawn(rng, grouped, 1.5))["answer"] for _ in range(20)]
    assert found.count("better") >= 15, found


def test_images_as_if_independent_would_be_told_apart_far_too_often():
    """The fault that the test by group mends."""
    rng = np.random.default_rng(7)
    wrong = sum(paired("accuracy", *drawn(rng, True, 0.0)[:3])["p"] < 0.05 for _ in range(100)) / 100
    assert wrong > 0.2
