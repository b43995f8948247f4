"""Overlap of masks: by hand, and against scikit-learn and MONAI."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score, matthews_corrcoef

from pathsearch.measures.overlap import counted, dice, iou, mcc

# Two masks of 2 × 4 pixels: both 2, the first only 1, the second only 2, neither 3.
SAID = torch.tensor([[[1, 1, 1, 0], [0, 0, 0, 0]]], dtype=torch.uint8)
TRUE = torch.tensor([[[1, 1, 0, 0], [1, 1, 0, 0]]], dtype=torch.uint8)


def pair(seed: int, n_names: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    draw = (torch.randint(n_names, (5, 9, 7), generator=stream, dtype=torch.uint8) for _ in range(2))
    one, other = draw
    return one, other


def test_by_hand():
    counts = counted(SAID, TRUE, 1)
    assert counts.tolist() == [[[2, 1, 2, 3]]]
    assert dice(counts).item() == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert iou(counts).item() == pytest.approx(2 / 5)
    assert mcc(counts).item() == pytest.approx((2 * 3 - 1 * 2) / math.sqrt(3 * 4 * 5 * 4))


def test_nothing_to_be_found_and_nothing_found_is_right():
    empty, full = torch.zeros(1, 3, 3, dtype=torch.uint8), torch.ones(1, 3, 3, dtype=torch.uint8)
    for one, other, expected in ((empty, empty, 1), (full, full, 1), (empty, full, 0), (full, empty, 0)):
        counts = counted(one, other, 1)
        assert [measure(counts).item() for measure in (dice, iou, mcc)] == [expected] * 3


def test_like_scikit_learn():
    said, true = pair(0)
    counts = counted(said, true, 3)
    references = ((dice, f1_score), (iou, jaccard_score), (mcc, matthews_corrcoef))
    for image in range(5):
        for label in range(3):
            one, other = (mask[image].flatten().numpy() == label + 1 for mask in (said, true))
            for measure, reference in references:
                assert measure(counts)[image, label].item() == pytest.approx(reference(other, one))


def test_like_monai():
    from monai.metrics import compute_dice, compute_iou
    from monai.networks.utils import one_hot

    said, true = pair(1)
    both = [one_hot(mask[:, None].long(), 4) for mask in (said, true)]
    for measure, reference in ((dice, compute_dice), (iou, compute_iou)):
        expected = reference(*both, include_background=False)
        torch.testing.assert_close(measure(counted(said, true, 3)).float(), expected)


@given(st.integers(0, 10_000))
def test_whatever_the_masks(seed):
    said, true = pair(seed)
    counts = counted(said, true, 3)
    assert (counts >= 0).all()
    assert (counts.sum(-1) == 63).all()
    assert (dice(counts) >= iou(counts)).all(), "each is a rising function of the other"
    torch.testing.assert_close(dice(counts), 2 * iou(counts) / (1 + iou(counts)))
    assert (mcc(counts).abs() <= 1 + 1e-12).all()
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(counted(said[order], true[order], 3), counts[order])
    assert torch.equal(dice(counted(true, said, 3)), dice(counts)), "it does not matter which is the truth"


def test_several_paths_at_once():
    said, true = pair(2)
    several = torch.stack([said, true, torch.zeros_like(said)])
    found = counted(several, true, 3)
    assert found.shape == (3, 5, 3, 4)
    for one, own in zip(several, found, strict=True):
        assert torch.equal(counted(one, true, 3), own)
