"""From probabilities to a class: the threshold rules, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import PathsearchError
from pathsearch.targets.decision import check_rule, decide, fix_threshold


def two(second: list[float]) -> np.ndarray:
    return np.stack([1 - np.array(second), np.array(second)], axis=1)


# Ten images: second-class probabilities in falling order, and which of them are of the second class.
P = [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
TRUE = np.array([1, 1, 0, 1, 1, 0, 0, 1, 0, 0])


def test_argmax_needs_no_threshold():
    assert fix_threshold("argmax", TRUE, two(P)) is None
    probabilities = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    assert decide(probabilities, None).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("share", "threshold"),
    [
        (0.2, 0.95),  # the first positive alone is 1/5
        (0.21, 0.9),  # 2/5
        (0.6, 0.7),  # 3/5: the third positive stands at 0.7
        (0.8, 0.6),  # 4/5 exactly is enough
        (0.81, 0.3),  # so the fifth is needed
        (0.95, 0.3),
    ],
)
def test_sensitivity_by_hand(share, threshold):
    assert fix_threshold(f"sensitivity:{share}", TRUE, two(P)) == threshold


def test_balanced_by_hand():
    # True less false positive rate, cut below 0.95: 1/5, 0.9: 2/5, 0.8: 2/5-1/5, 0.7: 3/5-1/5, 0.6: 4/5-1/5 = 3/5,
    # 0.5: 4/5-2/5, ..., 0.3: 5/5-3/5. The best cut is below 0.6, halfway to 0.5.
    assert fix_threshold("balanced", TRUE, two(P)) == pytest.approx(0.55)


def test_balanced_on_separable_images_lies_between_them():
    assert fix_threshold("balanced", np.array([0, 0, 1, 1]), two([0.1, 0.2, 0.4, 0.9])) == pytest.approx(0.3)


def test_balanced_is_no_worse_than_chance_where_the_probabilities_mislead():
    labels, probabilities = np.array([1, 0]), two([0.2, 0.8])
    threshold = fix_threshold("balanced", labels, probabilities)
    # Every image alike has a balanced accuracy of 1/2; the cut between the two would have 0.
    assert len(set(decide(probabilities, threshold).tolist())) == 1
    assert threshold is not None
    assert np.isfinite(threshold)  # it is saved with the expert


def test_ties_stay_together():
    # Both images at 0.5 are called alike: sensitivity 1 needs both.
    assert fix_threshold("sensitivity:0.9", np.array([0, 1, 1]), two([0.5, 0.5, 0.9])) == 0.5
    assert decide(two([0.5, 0.5, 0.9]), 0.5).tolist() == [1, 1, 1]


def test_a_threshold_is_met_by_its_own_image():
    got = decide(two([0.29, 0.3, 0.31]), 0.3)
    assert got.tolist() == [0, 1, 1]
    assert got.dtype == np.int64


def balanced_accuracy(labels: np.ndarray, decided: np.ndarray) -> float:
    return float(np.mean([(decided == labels)[labels == k].mean() for k in (0, 1)]))


@st.composite
def validation_sets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    answers = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 100)), min_size=2, max_size=30))
    labels = np.array([0, 1] + [int(label) for label, _ in answers])  # both classes are there
    return labels, two([0.4, 0.6] + [number / 100 for _, number in answers])


@given(validation_sets())
def test_balanced_is_the_best_of_all_cuts(case):
    labels, probabilities = case
    threshold = fix_threshold("balanced", labels, probabilities)
    every_cut = [balanced_accuracy(labels, decide(probabilities, cut / 200)) for cut in range(-1, 203)]
    assert balanced_accuracy(labels, decide(probabilities, threshold)) == pytest.approx(max(every_cut))


@given(validation_sets(), st.floats(0.01, 0.99))
def test_sensitivity_is_the_highest_threshold_that_reaches_its_share(case, share):
    labels, probabilities = case
    threshold = fix_threshold(f"sensitivity:{share}", labels, probabilities)
    assert threshold is not None
    assert decide(probabilities, threshold)[labels == 1].mean() >= share
    higher = probabilities[:, 1][probabilities[:, 1] > threshold]
    for cut in higher:
        assert decide(probabilities, cut)[labels == 1].mean() < share


@pytest.mark.parametrize("rule", ["balanced", "sensitivity:0.95"])
def test_thresholds_are_for_two_classes(rule):
    with pytest.raises(PathsearchError, match=f"threshold {rule}: expected two classes, got 3; use argmax"):
        fix_threshold(rule, np.array([0, 1, 2]), np.eye(3))
    with pytest.raises(PathsearchError, match="expected two classes, got 3"):
        check_rule(rule, 3)
    check_rule(rule, 2)
    check_rule("argmax", 3)
