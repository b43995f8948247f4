"""Metrics: worked by hand, against scikit-learn, and at the edges."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score, roc_auc_score

from data_prep.errors import PathsearchError
from pathsearch.intervals import _drawn, _ranked, wilson
from pathsearch.metrics import evaluate


def random_answers(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(k), rng.integers(k, size=n - k)])  # every class is there
    logits = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]
    probabilities = np.exp(logits)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True), [f"c{i}" for i in range(k)]


def test_wilson_golden_value():
    # k = 8, n = 10, z = 1.959964, z² = 3.841459:
    # centre (8 + z²/2) / (10 + z²) = 9.920729 / 13.841459 = 0.716740, half width
    # z / (n + z²) · sqrt(8·2/10 + z²/4) = 0.141601 · sqrt(2.560365) = 0.226577.
    assert wilson(8, 10) == pytest.approx((0.490163, 0.943317), abs=2e-6)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses(successes: int, n: int):
    with pytest.raises(PathsearchError, match=rf"successes {successes} and n {n}"):
        wilson(successes, n)


def test_binary_by_hand():
    got = evaluate([0, 0, 0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8]], ["no", "yes"])
    # Predictions 0 0 1 0 1: truth "no" 2 right of 3, truth "yes" 1 right of 2.
    assert got["confusion"] == [[2, 1], [1, 1]]
    assert got["columns"] == got["classes"] == ["no", "yes"]
    assert got["accuracy"] == 3 / 5
    assert got["recall_per_class"] == {"no": 2 / 3, "yes": 1 / 2}
    assert got["recall"] == got["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # Pairs (yes, no), scores 0.4 and 0.8 against 0.1, 0.4, 0.7:
    # 0.4 wins 1, ties 1, loses 1; 0.8 wins 3: 4.5 of 6.
    assert got["auc"] == pytest.approx(4.5 / 6)
    mean_log = (math.log(0.9) + math.log(0.6) + math.log(0.3) + math.log(0.4) + math.log(0.8)) / 5
    assert got["log_likelihood"] == pytest.approx(mean_log)
    assert got["ci95"]["accuracy"] == list(wilson(3, 5))
    assert got["ci95"]["recall_per_class"]["no"] == list(wilson(2, 3))


def test_unknown_is_wrong_and_has_a_column():
    probabilities = [[0.9, 0.1], [0.0, 0.0], [0.2, 0.8], [0.0, 0.0]]
    got = evaluate([0, 0, 1, 1], probabilities, ["a", "b"], predictions=[0, -1, 1, -1])
    assert got["columns"] == ["a", "b", "unknown"]
    assert got["confusion"] == [[1, 0, 1], [0, 1, 1]]
    assert got["accuracy"] == got["recall"] == 0.5
    assert got["auc"] == 1.0  # of the two that were answered
    assert got["log_likelihood"] == pytest.approx((math.log(0.9) + math.log(0.8)) / 2)


def test_all_unknown():
    got = evaluate([0, 1], np.zeros((2, 2)), ["a", "b"], predictions=[-1, -1])
    assert (got["accuracy"], got["recall"], got["auc"], got["log_likelihood"]) == (0.0, 0.0, None, None)
    assert got["confusion"] == [[0, 0, 1], [0, 0, 1]]


def test_threshold_rule():
    got = evaluate([0, 1], [[0.6, 0.4], [0.55, 0.45]], ["a", "b"], predictions=[0, 1])
    assert got["accuracy"] == 1.0  # argmax would give 0.5


@pytest.mark.parametrize("k", [2, 3, 6])
def test_agrees_with_sklearn(k: int):
    labels, probabilities, classes = random_answers(300, k, seed=k)
    predictions = probabilities.argmax(axis=1)
    got = evaluate(labels, probabilities, classes)
    assert got["accuracy"] == pytest.approx(accuracy_score(labels, predictions))
    assert got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predictions))
    assert got["recall"] == pytest.approx(recall_score(labels, predictions, average="macro"))
    score = probabilities[:, 1] if k == 2 else probabilities
    assert got["auc"] == pytest.approx(roc_auc_score(labels, score, multi_class="ovr"))
    for rate in ("accuracy", "balanced_accuracy", "recall", "auc"):
        low, high = got["ci95"][rate]
        assert 0 <= low < got[rate] < high <= 1


def test_auc_of_a_draw_agrees_with_sklearn_on_ties():
    rng = np.random.default_rng(3)
    score, positive = rng.integers(5, size=80) / 4, np.arange(80) < 30
    draw = np.concatenate([rng.integers(30, size=30), 30 + rng.integers(50, size=50)])
    assert _drawn(*_ranked(score, positive), draw) == pytest.approx(roc_auc_score(positive, score[draw]))


def test_bootstrap_widths_match_theory():
    labels, probabilities, classes = random_answers(2000, 2)
    got = evaluate(labels, probabilities, classes)
    low, high = got["ci95"]["accuracy"]
    assert np.diff(got["ci95"]["recall"])[0] == pytest.approx(high - low, rel=0.15)  # balanced classes: the same
    # Hanley and McNeil 1982, standard error of an AUC A with n1 positives and n2 negatives.
    a, n1, n2 = got["auc"], int(labels.sum()), int((1 - labels).sum())
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = math.sqrt((a * (1 - a) + (n1 - 1) * (q1 - a * a) + (n2 - 1) * (q2 - a * a)) / (n1 * n2))
    assert np.diff(got["ci95"]["auc"])[0] == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_one_class():
    got = evaluate([1, 1, 1], [[0.2, 0.8], [0.7, 0.3], [0.1, 0.9]], ["a", "b"])
    assert got["recall_per_class"] == {"a": None, "b": 2 / 3}
    assert got["recall"] == pytest.approx(2 / 3)  # over the classes with images
    assert got["auc"] is None
    assert got["ci95"]["auc"] is None
    assert got["ci95"]["recall_per_class"]["a"] is None


def test_class_without_images_among_three():
    got = evaluate([0, 0, 2], [[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7]], ["a", "b", "c"])
    assert got["auc"] == 1.0  # a against the rest and c against the rest; b has no positives
    assert got["confusion"][1] == [0, 0, 0]


def test_empty():
    got = evaluate([], np.zeros((0, 3)), ["a", "b", "c"])
    assert got["n"] == 0
    assert got["confusion"] == [[0] * 3] * 3
    rates = ("accuracy", "balanced_accuracy", "recall", "auc", "log_likelihood")
    assert [got[rate] for rate in rates] == [None] * 5
    assert got["ci95"]["accuracy"] is got["ci95"]["recall"] is None


def test_certain_and_wrong_stays_finite():
    got = evaluate([0, 1], [[0.0, 1.0], [0.0, 1.0]], ["a", "b"])
    assert got["log_likelihood"] == pytest.approx(math.log(np.finfo(float).eps) / 2)
    json.dumps(got, allow_nan=False)


def test_is_plain_json_whatever_the_input_types():
    labels, probabilities, classes = random_answers(30, 3)
    got = evaluate(labels.astype(np.int32), probabilities.astype(np.float16), classes)
    assert json.loads(json.dumps(got, allow_nan=False)) == got


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 4), n=st.integers(5, 40))
def test_order_of_images_changes_nothing(seed: int, k: int, n: int):
    labels, probabilities, classes = random_answers(n, k, seed)
    rng = np.random.default_rng(seed)
    predictions = rng.integers(-1, k, size=n)
    order = rng.permutation(n)
    assert evaluate(labels, probabilities, classes, predictions) == evaluate(
        labels[order], probabilities[order], classes, predictions[order]
    )


GOOD = ([0, 1], [[0.5, 0.5], [0.2, 0.8]], ["a", "b"], None)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, [0], r"labels: expected shape \[2\].*got \[1\]"),
        (0, [0, 2], r"labels: expected class indices 0 to 1, got 2"),
        (0, [0, -1], r"labels: expected class indices 0 to 1, got -1"),
        (0, [0.0, 1.0], r"labels: expected integers, got float64"),
        (1, [0.5, 0.5], r"probabilities: expected shape \[n, 2\].*got \[2\]"),
        (1, [[0.5, math.nan], [0.2, 0.8]], r"probabilities: expected finite numbers.*row 0"),
        (1, [[0.5, 0.5], [3.0, -2.0]], r"probabilities: expected rows.*row 1; apply softmax"),
        (1, [[0.5, 0.5], [3.0, 2.0]], r"probabilities: expected rows.*row 1; apply softmax"),
        (2, ["a", "a"], r"classes: expected at least 2 different names"),
        (3, [0, -2], r"predictions: expected class indices -1 to 1, got -2"),
        (3, [0, 1, 1], r"predictions: expected shape \[2\]"),
    ],
)
def test_mistakes_are_named(position: int, value: object, message: str):
    arguments = [value if i == position else good for i, good in enumerate(GOOD)]
    with pytest.raises(PathsearchError, match=message) as caught:
        evaluate(*arguments)
    assert "\n" not in str(caught.value)
