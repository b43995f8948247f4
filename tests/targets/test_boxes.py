"""The box target: corners, loss and IoU by hand, and images that have no box."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from data_prep.mask_pixels import hull
from data_prep.table_words import NO_MASK
from data_prep.warp import Warp
from pathsearch.targets import BoxTarget, target_of
from pathsearch.targets.boxes import corners

TRUE = torch.tensor([[0.2, 0.2, 0.6, 0.4], [0.0, 0.0, 0.5, 0.5], [math.nan] * 4])


def outputs(said: Tensor) -> Tensor:
    """Of a network that says these corners."""
    return said.clamp(1e-6, 1 - 1e-6).logit()


def test_truth_is_in_shares_of_the_image():
    pixels = np.array([[10, 20, 50, 40], [np.nan] * 4], np.float32)
    form = SimpleNamespace(width=100, height=200, grey=True)
    task: Any = SimpleNamespace(target="box", classes=("a", "b"), form=form, boxes=lambda split: pixels)
    target = target_of(task)
    assert type(target) is BoxTarget
    assert target.names == ()
    found = target.truth(task, "val")
    assert found.dtype == torch.float32
    assert found[0].tolist() == pytest.approx([0.1, 0.1, 0.5, 0.2])
    assert target.known(found).tolist() == [True, False]
    assert target.head((64,)) == ("linear", (4,))


def test_corners_may_come_in_any_order():
    box = torch.tensor([0.2, 0.3, 0.6, 0.4])
    for order in ([0, 1, 2, 3], [2, 1, 0, 3], [2, 3, 0, 1]):
        torch.testing.assert_close(corners(outputs(box[order])), box)


def test_loss_by_hand():
    """Said is the left half of the first box: IoU 1/2, and nothing around both but the larger."""
    said = torch.tensor([0.2, 0.2, 0.4, 0.4])
    target = BoxTarget()
    found = target.each_loss(outputs(said).expand(1, 2, 4), TRUE[:2])
    sides = (0.2 - 0.1 / 2) / 4  # one is off by 0.2, beyond the bend at 0.1
    assert found[0, 0].item() == pytest.approx(sides + 1 - 0.5, abs=1e-4)
    # beside the second: 0.04 of 0.25, and both within it; sides off by 0.2, 0.2, 0.1 and 0.1
    sides = (2 * (0.2 - 0.05) + 2 * 0.1**2 / (2 * 0.1)) / 4
    assert found[0, 1].item() == pytest.approx(sides + 1 - 0.04 / 0.25, abs=1e-4)
    apart = target.each_loss(outputs(torch.tensor([[[0.8, 0.0, 1.0, 0.2]]])), TRUE[1:2]).item()
    # no overlap: 0.25 and 0.04 in a hull of 0.5
    sides = (0.75 + 0 + 0.45 + 0.25) / 4
    assert apart == pytest.approx(sides + 1 + (0.5 - 0.29) / 0.5, abs=1e-3)


def test_gradients():
    given = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: BoxTarget().each_loss(x, TRUE[:2].double()), given)


def test_a_box_far_off_still_learns():
    given = outputs(torch.tensor([[[0.9, 0.9, 0.95, 0.95]]])).requires_grad_()
    (gradient,) = torch.autograd.grad(BoxTarget().each_loss(given, TRUE[1:2]).sum(), given)
    assert (gradient[0, 0] > 0).all(), "towards the upper left"


def test_measures_by_hand():
    said = torch.tensor([[0.2, 0.2, 0.4, 0.4], [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]])
    target = BoxTarget()
    found = target.assess(target.said(outputs(said), TRUE), TRUE, None, None)
    assert (found["n"], found["without_truth"]) == (2, 1)
    assert found["iou"] == pytest.approx((0.5 + 1) / 2, abs=1e-4)
    low, high = found["ci95"]["iou"]
    assert low <= found["iou"] <= high


def test_a_box_moves_with_its_image():
    found = BoxTarget().warped(TRUE, [Warp(flip=True), Warp(scale=2), Warp(angle=10)])
    torch.testing.assert_close(found[0], torch.tensor([0.4, 0.2, 0.8, 0.4]))
    torch.testing.assert_close(found[1], torch.tensor([0.0, 0.0, 0.5, 0.5]))  # a quarter of its area is left
    assert found[2].isnan().all()
    target, gone = BoxTarget(), BoxTarget().warped(TRUE[1:2], [Warp(scale=2.2)])
    assert not target.known(gone).item(), "less than a quarter of it is left"


def test_the_box_of_a_mask_moves_with_the_mask():
    """Lungs, so to say: their hull turns otherwise than a box or an ellipse. Boxes of something else do not follow."""
    masks = np.zeros((4, 40, 40), np.uint8)
    masks[:2, 10:30, 8:14], masks[:2, 14:30, 24:30], masks[2] = 1, 1, NO_MASK
    pixels = np.array([[8, 10, 30, 30], [8, 10, 20, 20], [8, 10, 30, 30], [math.nan] * 4], np.float32)
    form = SimpleNamespace(width=40, height=40)
    task: Any = SimpleNamespace(mask_names=("background", "lung"), form=form, masks=lambda split: masks)
    truth, used, warp = torch.from_numpy(pixels) / 40, np.array([1, 0, 2, 3]), Warp(angle=15, scale=0.9)
    found = BoxTarget().in_views(task, "train", used, truth[used], [[warp] * 4, [Warp()] * 4])
    assert (found[0][1] * 40).tolist() == list(hull(warp.mask(masks[0])) or ())
    torch.testing.assert_close(found[0][[0, 2, 3]], BoxTarget().warped(truth[[1, 2, 3]], [warp] * 3), equal_nan=True)
    torch.testing.assert_close(found[1], truth[used], equal_nan=True)
    task.mask_names = ()
    (alone,) = BoxTarget().in_views(task, "train", used, truth[used], [[warp] * 4])
    torch.testing.assert_close(alone, BoxTarget().warped(truth[used], [warp] * 4), equal_nan=True)


def test_a_box_that_takes_no_network():
    target = BoxTarget()
    name, says = target.without_network(torch.tensor([[0.0, 0.0, 0.5, 1.0]]).repeat(3, 1), pictures=False)
    truth = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0], [math.nan] * 4])
    found = target.assess_answered(says(torch.empty(3, 0), truth), truth, None, None, np.ones(3, bool))
    assert (name, found["n"], found["iou"]) == ("the best constant box", 2, 0.75)


def test_the_best_constant_box():
    target = BoxTarget()
    assert target.blind(TRUE[1:2]) == 1
    assert target.blind(TRUE[2:]) == 0
    two = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.5]])
    assert target.blind(two) == pytest.approx(max((1 + 0.5) / 2, (0.75 + 0.5 / 0.75) / 2))


def test_a_report_has_iou_against_the_sizes():
    target, task = BoxTarget(), cast(Any, SimpleNamespace())
    said = torch.tensor([[0.2, 0.2, 0.4, 0.4], [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]])
    found = target.more(task, {"test": target.said(outputs(said), TRUE)}, {"test": TRUE}, None)
    assert found["against_size"]["size"] == pytest.approx([0.08, 0.25])
    assert found["against_size"]["measure"] == "iou"


def test_what_is_drawn_of_it():
    said = torch.tensor([[0.2, 0.2, 0.4, 0.4], [0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]])
    found = BoxTarget().shown(outputs(said), TRUE)
    assert torch.equal(found["truth"][:2], TRUE[:2])
    assert found["truth"].isfinite().all()
    torch.testing.assert_close(found["answer"], said, atol=1e-3, rtol=0)
