"""Optimisers and the rates of a last training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pathsearch.run.settings import TrainingSettings
from pathsearch.training.optimisers import Rates, optimiser_of

PLAIN = TrainingSettings(learning_rate=0.01, weight_decay=0.0)


def rates_of(settings: TrainingSettings, heard: list[float | None], again: list[float] | None = None) -> list[float]:
    """The rate of each epoch of two steps."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimiser = optimiser_of(settings, [weight])
    rates, found = Rates(optimiser, settings, 2 * len(heard), again or []), []
    for stopping in heard:
        found.append(rates.now)
        for _ in range(2):
            weight.grad = torch.ones(1)
            optimiser.step()
            rates.step()
        rates.epoch(stopping)
    return found


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("adam", torch.optim.Adam),
        ("rmsprop", torch.optim.RMSprop),
        ("sgd", torch.optim.SGD),
    ],
)
def test_each_is_torch_s_own_and_descends(name, kind):
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    optimiser = optimiser_of(replace(PLAIN, optimiser=name), [weight])
    assert type(optimiser) is kind
    assert optimiser.param_groups[0]["lr"] == 0.01
    for _ in range(300):
        optimiser.zero_grad()
        weight.square().sum().backward()
        optimiser.step()
    assert abs(weight.item()) < 1.5


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_decay_is_in_the_gradient(name):
    ours, plain = (torch.nn.Parameter(torch.tensor([3.0])) for _ in range(2))
    with_decay = optimiser_of(replace(PLAIN, optimiser=name, weight_decay=0.5), [ours])
    without = optimiser_of(replace(PLAIN, optimiser=name), [plain])
    for _ in range(5):
        ours.grad, plain.grad = torch.ones(1), torch.ones(1) + 0.5 * plain.detach()
        with_decay.step()
        without.step()
    torch.testing.assert_close(ours, plain)


def test_a_cosine_starts_at_the_rate_and_ends_near_zero():
    found = rates_of(PLAIN, [None] * 10)
    assert found[0] == 0.01
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.0006


def test_a_constant_rate_stays():
    assert rates_of(replace(PLAIN, schedule="constant"), [None] * 5) == [0.01] * 5


def test_on_a_plateau_it_falls_to_a_tenth():
    settings = replace(PLAIN, schedule="plateau", patience=4)  # after more than two epochs without a gain
    found = rates_of(settings, [1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0])
    assert found == pytest.approx([0.01] * 5 + [0.001] * 2)


def test_a_training_that_repeats_another_has_its_rates():
    settings = replace(PLAIN, schedule="plateau", patience=2)
    first = rates_of(settings, [1.0, 1.0, 1.0, 1.0, 1.0])
    assert min(first) < 0.01
    assert rates_of(settings, [None] * 5, first) == first
