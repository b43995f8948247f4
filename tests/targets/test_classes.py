"""The class target: its measures and weights, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from benches import bench, labelled
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pathsearch.grid.path import Path
from pathsearch.run.settings import SearchSettings
from pathsearch.targets.class_reading import ClassReading, class_fitnesses
from pathsearch.targets.classes import class_weights
from pathsearch.targets.target import Fitness, NonFiniteFitness
from pathsearch.training.fitness import fitnesses

# --- measures, worked by hand -------------------------------------------------------------------------------

# Two classes, labels 0 0 0 1; path A is wrong about the third image, path B about the fourth.
LABELS = torch.tensor([0, 0, 0, 1])
SECOND = torch.tensor([[0.1, 0.4, 0.7, 0.6], [0.2, 0.3, 0.1, 0.25]], dtype=torch.float64)  # p of class 1
LOG_P = torch.stack([1 - SECOND, SECOND], -1).log()
AB = [Path.parse("0"), Path.parse("1")]


def of(log_p: Tensor, labels: Tensor, measure: str) -> list[Fitness]:
    """Fitness of paths from their log-probabilities (P, n, K)."""
    reading = ClassReading(measure)
    reading.add_log_p(log_p, labels)
    return class_fitnesses([reading], measure)


def scores(measure: str) -> list[float]:
    return [one.score for one in of(LOG_P, LABELS, measure)]


def test_accuracy_by_hand():
    assert scores("accuracy") == [3 / 4, 3 / 4]


def test_balanced_accuracy_by_hand():
    # A: recalls 2/3 and 1/1; B: 3/3 and 0/1.
    assert scores("balanced_accuracy") == pytest.approx([5 / 6, 1 / 2], abs=1e-12)


def test_auc_by_hand():
    # A: 0.6 against 0.1, 0.4, 0.7 wins 2 of 3. B: 0.25 against 0.2, 0.3, 0.1 wins 2 of 3.
    assert scores("auc") == pytest.approx([2 / 3, 2 / 3], abs=1e-12)


def test_likelihood_by_hand():
    # B: (log 0.8 + log 0.7 + log 0.9 + log 0.25) / 4
    got = [one.log_likelihood for one in of(LOG_P, LABELS, "accuracy")]
    expected = [
        (math.log(0.9) + math.log(0.6) + math.log(0.3) + math.log(0.6)) / 4,
        (math.log(0.8) + math.log(0.7) + math.log(0.9) + math.log(0.25)) / 4,
    ]
    assert got == pytest.approx(expected)


def test_auc_of_three_classes_is_the_mean_of_one_against_the_rest():
    p = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 2])
    # Class 0: 0.6 and 0.3 against 0.2 and 0.1: 4 of 4. Class 1: 0.5 against 0.3, 0.4, 0.2: 3 of 3. Class 2: 0.7
    # against 0.1, 0.3, 0.3: 3 of 3. Swapping the labels of the middle two images: class 0: 0.6 wins 2, 0.2
    # against 0.3 and 0.1 wins 1: 3 of 4; class 1: 0.4 against 0.3, 0.5, 0.2: 2 of 3.
    assert of(p.log()[None], labels, "auc")[0].score == pytest.approx(1.0, abs=1e-12)
    swapped = torch.tensor([0, 0, 1, 2])
    expected = (3 / 4 + 2 / 3 + 1) / 3
    assert of(p.log()[None], swapped, "auc")[0].score == pytest.approx(expected, abs=1e-12)


def test_accuracy_comes_first_and_likelihood_breaks_ties():
    assert Fitness(0.9, -5.0) > Fitness(0.8, -0.1)
    assert Fitness(0.9, -0.1) > Fitness(0.9, -0.2)


@pytest.mark.parametrize("measure", ["accuracy", "balanced_accuracy", "auc"])
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_non_finite_is_refused_under_every_measure(measure, bad):
    log_p = LOG_P.clone()
    log_p[1, 0] = bad
    here = bench((labelled(LABELS), labelled(LABELS)), SearchSettings(fitness=measure))
    reading = ClassReading(measure)
    reading.add_log_p(log_p, LABELS)
    with pytest.raises(NonFiniteFitness, match=r"path 1: fitness became .*log-likelihood="):
        fitnesses(here, [reading], AB)


# --- class weights --------------------------------------------------------------------------------------


def test_class_weights_by_hand():
    # Three of class 0, one of class 1: 4 / (2 · 3) and 4 / (2 · 1).
    assert class_weights(LABELS, 2).tolist() == pytest.approx([2 / 3, 2.0])


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_class_weights_level_the_classes_and_have_mean_one(counts):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    weights = class_weights(labels, len(counts))
    assert weights[labels].mean().item() == pytest.approx(1, rel=1e-5)
    totals = (weights * torch.tensor(counts)).tolist()
    assert totals == pytest.approx([totals[0]] * len(counts), rel=1e-5)


def test_class_weights_of_half_strength_by_hand():
    # Nine of class 0, one of class 1: as 1/3 to 1; over the ten images 9/3 + 1 = 4, so times 10/4.
    labels = torch.tensor([0] * 9 + [1])
    assert class_weights(labels, 2, 0.5).tolist() == pytest.approx([10 / 12, 2.5])
    assert class_weights(labels, 2, 0).tolist() == pytest.approx([1, 1])
    assert torch.equal(class_weights(labels, 2, 1.0), class_weights(labels, 2))
