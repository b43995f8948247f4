"""The loss of masks against one written by hand, pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pathsearch.targets.mask_loss import mask_loss


def drawn(k: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (3, 4, K or 1, 6, 5) and labels (4, 6, 5)."""
    stream = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, 4, 1 if k == 2 else k, 6, 5, generator=stream, dtype=torch.float64)
    return logits, torch.randint(k, (4, 6, 5), generator=stream, dtype=torch.uint8)


def by_hand(logits: Tensor, labels: Tensor) -> float:
    """Of one path and image, (K or 1, H, W) and (H, W), in plain Python."""
    k = max(2, len(logits))
    sums = {label: [0.0, 0.0, 0.0] for label in range(1, k)}  # p·t, p, t
    nats = 0.0
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            own = logits[:, row, column].tolist()
            own = [0.0, *own] if len(own) == 1 else own  # one logit is that of the label less that of background
            total = sum(math.exp(one) for one in own)
            true = int(labels[row, column])
            nats -= math.log(math.exp(own[true]) / total)
            for label, held in sums.items():
                p, t = math.exp(own[label]) / total, float(true == label)
                for place, more in enumerate((p * t, p, t)):
                    held[place] += more
    dices = [(2 * both + 1) / (p + t + 1) for both, p, t in sums.values()]
    return nats / labels.numel() + 1 - sum(dices) / len(dices)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_by_hand(k):
    logits, labels = drawn(k)
    found = mask_loss(logits, labels)
    assert found.shape == (3, 4)
    for path in range(3):
        for image in range(4):
            assert found[path, image].item() == pytest.approx(by_hand(logits[path, image], labels[image]))


def test_two_names_with_two_logits_cost_the_same():
    logits, labels = drawn(2)
    both = torch.cat([torch.zeros_like(logits), logits], 2)
    torch.testing.assert_close(mask_loss(both, labels), mask_loss(logits, labels))


@pytest.mark.parametrize("k", [2, 4])
def test_gradients_are_right_and_no_other_paths(k):
    logits, labels = drawn(k)
    given = logits[:2, :2, :, :3, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mask_loss(x, labels[:2, :3, :3]), given)
    (gradient,) = torch.autograd.grad(mask_loss(given, labels[:2, :3, :3])[0, 1], given)
    assert gradient[0, 1].abs().sum() > 0
    assert not gradient[1].any()
    assert not gradient[0, 0].any()


def test_nothing_found_where_nothing_is_costs_nothing():
    labels = torch.zeros(1, 6, 5, dtype=torch.uint8)
    assert mask_loss(torch.full((1, 1, 1, 6, 5), -20.0), labels).item() == pytest.approx(0, abs=1e-6)
    labels[0, 2, 2] = 1
    assert mask_loss(torch.full((1, 1, 1, 6, 5), -20.0), labels).item() == pytest.approx(20 / 30 + 0.5, rel=1e-5)


def test_huge_logits_stay_finite():
    logits, labels = drawn(3)
    for factor in (1e4, -1e4):
        given = (factor * logits).float().requires_grad_()
        loss = mask_loss(given, labels)
        assert torch.isfinite(loss).all()
        assert torch.isfinite(torch.autograd.grad(loss.sum(), given)[0]).all()
