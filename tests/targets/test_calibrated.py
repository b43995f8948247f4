"""The likelihood at the best temperature."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pathsearch.targets.calibrated import calibrated_likelihood


def test_calibrated_likelihood_by_hand():
    # Three right and one wrong, all with the same margin m: the best temperature gives each right answer 3/4.
    log_p = torch.tensor([[0.9, 0.1]] * 4, dtype=torch.float64).log()
    labels = torch.tensor([0, 0, 0, 1])
    best = (3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    assert calibrated_likelihood(log_p, labels) == pytest.approx(best, abs=2e-3)  # on a grid of temperatures
    assert calibrated_likelihood(log_p, labels) <= best
    assert calibrated_likelihood(log_p, labels) > log_p.gather(1, labels[:, None]).mean()


@pytest.mark.parametrize("k", [2, 7, 40])
def test_calibrated_likelihood_is_the_best_of_all_temperatures(k):
    """The same as when all 41 were tried at once."""
    generator = torch.Generator().manual_seed(k)
    labels = torch.randint(k, (1500,), generator=generator)
    for right, sharpness in ((0.3, 5.0), (2.0, 1.0), (2.0, 0.05), (2.0, 30.0), (20.0, 1.0), (0.0, 1.0)):
        logits = torch.randn(1500, k, generator=generator) + right * F.one_hot(labels, k)
        log_p = (sharpness * logits).log_softmax(-1)
        scales = torch.logspace(-1, 1, 41, dtype=torch.float64)
        scaled = (scales[:, None, None] * log_p.double()).log_softmax(-1)
        best = scaled[:, torch.arange(1500), labels].mean(1).max().item()
        assert calibrated_likelihood(log_p, labels) == pytest.approx(best, abs=1e-12)


def test_calibrated_likelihood_of_a_thousand_classes_holds_a_part_of_them_at_once(monkeypatch):
    """(41, n, K) numbers of float64 were 1.6 GB for 5,000 images of 1,000 classes."""
    largest = 0
    original = torch.Tensor.double

    def spy(self: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, self.numel())
        return original(self)

    log_p = torch.randn(3000, 500, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    monkeypatch.setattr(torch.Tensor, "double", spy)
    calibrated_likelihood(log_p, torch.zeros(3000, dtype=torch.int64))
    assert 0 < largest <= 1024 * 500


def test_calibration_forgives_sharpness_but_not_errors():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(50, 3, generator=generator), torch.randint(3, (50,), generator=generator)
    plain = calibrated_likelihood(logits.log_softmax(-1), labels)
    assert calibrated_likelihood((2 * logits).log_softmax(-1), labels) == pytest.approx(plain, abs=0.01)
    assert math.isnan(calibrated_likelihood(torch.full((50, 3), math.nan), labels))
