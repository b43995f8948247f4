"""Tests between methods, seeds and splits, worked by hand, and shown what they must tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from small_world import refused

from pathsearch.measures.statistics import equivalence, holm, mcnemar, over_seeds, prior_shift

# --- two methods on the same images ---------------------------------------------------------------------------------


def answers(both: int, b: int, c: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    own = np.repeat([True, True, False, False], [both, b, c, neither])
    return own, np.repeat([True, False, True, False], [both, b, c, neither])


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [
        (0, 0, 1.0),  # no image tells them apart
        (5, 0, 2 / 32),  # 2 · (1/2)^5
        (1, 7, 2 * (1 + 8) / 256),  # none or one of eight: 1 + 8 of 2^8, twice
        (3, 3, 1.0),
        (2, 8, 2 * (1 + 10 + 45) / 1024),
    ],
)
def test_mcnemar_by_hand(b, c, p):
    found = mcnemar(*answers(40, b, c, 10))
    assert (found["n"], found["b"], found["c"]) == (50 + b + c, b, c)
    assert found["p"] == pytest.approx(p)
    assert mcnemar(*reversed(answers(40, b, c, 10)))["p"] == found["p"]


def test_images_that_both_have_right_or_wrong_say_nothing():
    assert mcnemar(*answers(0, 1, 7, 0))["p"] == mcnemar(*answers(1000, 1, 7, 500))["p"]


def test_mcnemar_of_different_images_is_refused():
    with refused(r"mcnemar: expected two answers to the same images, got \[3\] and \[4\]"):
        mcnemar([True] * 3, [True] * 4)


# --- class shares ---------------------------------------------------------------------------------------------------


def labels(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def test_prior_shift_by_hand():
    # val 30:10, test 10:30. Expected 20 in every cell: chi-square = 4 · 10²/20 = 20, one degree: p = 7.74e-6.
    # train 60:20 has the shares of val: chi-square 0, p = 1.
    found = prior_shift({"train": labels(60, 20), "val": labels(30, 10), "test": labels(10, 30)}, ["a", "b"])
    assert found["shares"]["val"] == {"a": 0.75, "b": 0.25}
    assert found["p"]["train_val"] == pytest.approx(1)
    assert found["p"]["val_test"] == pytest.approx(7.744e-6, rel=1e-3)
    same, moved = found["in_words"]
    assert same.startswith("Between training and validation class shares do not differ beyond chance")
    assert moved.startswith("Between validation and test class shares differ: by at most 50.0 points")


def test_few_images_and_none_are_said():
    found = prior_shift({"train": labels(60, 20), "val": labels(3, 2), "test": labels(0, 0)}, ["a", "b"])
    assert "below 5" in found["in_words"][0]
    assert found["p"]["val_test"] is None
    assert found["shares"]["test"] is None
    assert "cannot be compared" in found["in_words"][1]


def test_a_class_that_neither_split_has_says_nothing():
    with_it = prior_shift({s: labels(30, 10, 0) for s in ("train", "val", "test")}, ["a", "b", "c"])
    assert with_it["p"] == {"train_val": pytest.approx(1), "val_test": pytest.approx(1)}


# --- over seeds -----------------------------------------------------------------------------------------------------


def test_over_seeds_by_hand():
    # gaps 0.01 … 0.05: mean 0.03, spread sqrt(0.00025) = 0.015811, t = 0.03 / (0.015811 / sqrt 5) = 4.2426,
    # four degrees: p = 0.01324; 2.7764 · 0.0070711 = 0.019632 on either side
    own, other = [0.91, 0.92, 0.93, 0.94, 0.95], [0.9] * 5
    found = over_seeds(own, other)
    assert found["difference"] == pytest.approx(0.03)
    assert found["sd"] == pytest.approx(0.015811, abs=1e-6)
    assert found["p"] == pytest.approx(0.01324, abs=1e-5)
    assert found["ci95"] == pytest.approx([0.010368, 0.049632], abs=1e-6)
    assert found["wilcoxon_p"] == pytest.approx(2 / 32)  # all five ranks on one side: 1 of 2^5, twice
    assert over_seeds(other, own)["difference"] == pytest.approx(-0.03)


def test_too_few_seeds_get_no_p():
    for own in ([0.9], [0.9, 0.8, 0.7, 0.95], [0.9] * 5):  # the last: every seed the same
        assert over_seeds(own, [0.5] * len(own))["p"] is None
    assert over_seeds([0.9], [0.5])["sd"] is None


def test_equivalence_by_hand():
    # gaps -1 … 3 thousandths: mean 1, spread sqrt 2.5, standard error 0.70711 (thousandths); margin 2.
    # t from below (1 + 2) / 0.70711 = 4.2426, from above (2 - 1) / 0.70711 = 1.4142; of four degrees the tails are
    # 0.00662 and 0.11509: the larger counts. 2.13185 · 0.70711 = 1.50745 on either side.
    own = [0.899, 0.900, 0.901, 0.902, 0.903]
    found = equivalence(own, [0.9] * 5, 0.002)
    assert found["difference"] == pytest.approx(0.001)
    assert found["p"] == pytest.approx(0.11509, abs=1e-5)
    assert found["ci90"] == pytest.approx([-0.00050745, 0.00250745], abs=1e-7)
    assert equivalence([0.9] * 5, own, 0.002)["p"] == pytest.approx(found["p"])
    wider = equivalence(own, [0.9] * 5, 0.003)  # (3 - 1) / 0.70711 = 2.8284: 0.02371
    assert wider["p"] == pytest.approx(0.02371, abs=1e-5)


def test_equivalence_and_its_interval_agree():
    """p is below 0.05 exactly where the 90 % interval lies within the margin."""
    rng = np.random.default_rng(0)
    said = set()
    for _ in range(200):
        found = equivalence(rng.normal(0, 1, 6), rng.normal(0, 1, 6), 1.5)
        within = found["ci90"][0] > -1.5 and found["ci90"][1] < 1.5
        assert (found["p"] < 0.05) == within
        said.add(within)
    assert said == {True, False}


def test_equivalence_of_few_seeds_says_nothing():
    for own in ([0.9], [0.9, 0.8, 0.7, 0.95], [0.9] * 5):  # the last: every seed the same
        assert equivalence(own, [0.5] * len(own), 0.002)["p"] is None


def test_holm_by_hand():
    # 0.01 · 4, 0.02 · 3, 0.03 · 2, 0.5 · 1
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.02, 0.019]) == pytest.approx([0.038, 0.038])  # never below the one before
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
