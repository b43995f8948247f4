"""Whose turn it is, and what a loss counts: by hand."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import PathsearchError
from pathsearch.run.together_settings import TogetherSettings
from pathsearch.training.strategies import LossWeights, Turns, check_numbers

ALTERNATING = TogetherSettings("alternating")


def counts(turns: Turns, epoch: int = 1) -> list[int]:
    found = Counter(who for (who,) in turns.of(epoch))
    return [found[i] for i in range(turns.n)]


@given(st.lists(st.integers(1, 50), min_size=2, max_size=5), st.integers(0, 9))
def test_by_size_each_image_has_its_turn_once_an_epoch(steps, epoch):
    assert counts(Turns(ALTERNATING, steps, 0), epoch) == steps


@given(st.lists(st.integers(5, 50), min_size=2, max_size=2), st.floats(0.1, 10))
def test_a_given_ratio_is_kept_to_a_turn(steps, ratio):
    turns = Turns(TogetherSettings("alternating", f"{ratio}:1"), steps, 0)
    first, second = counts(turns)
    assert first + second == sum(steps) == turns.per_epoch
    assert abs(first - sum(steps) * ratio / (ratio + 1)) <= 1


def test_turns_are_mixed_and_drawn_anew_each_epoch():
    turns = Turns(ALTERNATING, [20, 20], 0)
    assert turns.of(1) == turns.of(1)
    assert turns.of(1) != turns.of(2)
    assert turns.of(1) != sorted(turns.of(1))
    assert Turns(ALTERNATING, [20, 20], 1).of(1) != turns.of(1)


def test_jointly_all_step_as_often_as_the_largest():
    turns = Turns(TogetherSettings("joint"), [3, 5], 0)
    assert turns.of(1) == [(0, 1)] * 5


def test_alone_every_step_is_ones_own():
    assert Turns(TogetherSettings(), [4], 0).of(7) == [(0,)] * 4


def test_fixed_weights_sum():
    weights = LossWeights(TogetherSettings("joint", loss_weights="1:0.5"), 2)
    assert weights([torch.tensor(2.0), torch.tensor(4.0)], (0, 1)) == 4
    assert weights([torch.tensor(4.0)], (1,)) == 2
    assert weights.stopping([-2.0, -4.0]) == -4
    assert not list(weights.parameters())


def test_one_loss_is_as_it_is():
    loss = torch.tensor(0.1)
    assert LossWeights(TogetherSettings(), 1)([loss], (0,)) is loss
    assert LossWeights(TogetherSettings(), 1).stopping([-0.3]) == -0.3


def test_learned_weights_become_the_inverse_of_the_losses():
    weights = LossWeights(TogetherSettings("joint", loss_weights="learned"), 2)
    losses = [torch.tensor(0.01), torch.tensor(4.0)]
    optimiser = torch.optim.Adam(weights.parameters(), 0.05)
    for _ in range(500):
        optimiser.zero_grad()
        weights(losses, (0, 1)).backward()
        optimiser.step()
    assert weights.now == pytest.approx([100, 0.25], rel=0.01)
    least = weights(losses, (0, 1)).item()
    assert least == pytest.approx(2 - weights.stopping([-0.01, -4.0]), abs=1e-3)


def test_stopping_by_learned_weights_asks_for_no_unit():
    weights = LossWeights(TogetherSettings("joint", loss_weights="learned"), 2)
    assert weights.stopping([-0.1, -2.0]) - weights.stopping([-0.2, -2.0]) == pytest.approx(math.log(2))
    assert weights.stopping([-100, -2.0]) - weights.stopping([-200, -2.0]) == pytest.approx(math.log(2))
    assert math.isfinite(weights.stopping([0.0, -1.0]))
    assert math.isnan(weights.stopping([math.nan, -1.0]))


@pytest.mark.parametrize("text", ["", "0:1", "-1:1", "nan:1", "1:inf", "1;2", "often"])
def test_other_words_are_refused(text):
    with pytest.raises(PathsearchError, match="turns: expected size, or numbers"):
        TogetherSettings("alternating", turns=text)
    with pytest.raises(PathsearchError, match="loss_weights: expected equal, learned, or numbers"):
        TogetherSettings("joint", loss_weights=text)


def test_as_many_numbers_as_tasks():
    with pytest.raises(PathsearchError, match="loss_weights: expected 3 numbers, one for each task, got 2; give 3"):
        check_numbers(TogetherSettings("joint", loss_weights="1:2"), 3)
    with pytest.raises(PathsearchError, match="turns: expected 3 numbers, one for each task, got 2; give 3"):
        check_numbers(TogetherSettings("alternating", turns="1:2"), 3)


def test_a_ratio_that_leaves_somebody_without_a_turn_is_refused():
    with pytest.raises(
        PathsearchError, match="turns: expected a turn for each task among the 8 steps of an epoch, got"
    ):
        Turns(TogetherSettings("alternating", "100:1"), [4, 4], 0)
    assert counts(Turns(TogetherSettings("alternating", "15:1"), [4, 4], 0)) == [7, 1]


@given(st.lists(st.integers(1, 9), min_size=3, max_size=6), st.lists(st.integers(4, 6), min_size=3, max_size=6))
def test_nobody_is_left_without_a_turn(steps, shares):
    n = min(len(steps), len(shares))
    turns = Turns(TogetherSettings("alternating", ":".join(map(str, shares[:n]))), steps[:n], 0)
    assert min(turns.numbers) >= 1
    assert sum(turns.numbers) == sum(steps[:n])
