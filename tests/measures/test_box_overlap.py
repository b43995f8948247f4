"""Intersection over union of boxes: by hand, and against torchvision."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_iou as every_pair

from pathsearch.measures.box_overlap import box_iou


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([0, 0, 4, 2], 1),
        ([2, 0, 6, 2], 4 / 12),
        ([1, 1, 2, 2], 1 / 8),
        ([4, 0, 8, 2], 0),  # they touch
        ([5, 5, 6, 6], 0),
        ([1, 1, 1, 1], 0),
    ],
)
def test_by_hand(other, expected):
    one, other = torch.tensor([0.0, 0, 4, 2]), torch.tensor(other).float()
    assert box_iou(one, other).item() == pytest.approx(expected)
    assert box_iou(other, one).item() == pytest.approx(expected)


def test_two_points_do_not_overlap():
    assert box_iou(torch.ones(4), torch.ones(4)).item() == 0


def test_like_torchvision():
    stream = torch.Generator().manual_seed(0)
    low = torch.rand(2, 50, 2, generator=stream)
    one, other = torch.cat([low, low + torch.rand(2, 50, 2, generator=stream)], 2)
    torch.testing.assert_close(box_iou(one, other), every_pair(one, other).diagonal())
    torch.testing.assert_close(box_iou(one[:, None], other), every_pair(one, other))
