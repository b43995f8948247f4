"""The image target: squared error and similarity by hand, grey and in colour."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from data_prep.warp import Warp
from pathsearch.measures.similarity import LEAST_SIDE
from pathsearch.targets import ImageTarget, make_target, target_of

COLOURS = ["red", "green", "blue"]


def drawn(n: int = 3, channels: int = 1, size: int = 12) -> Tensor:
    return torch.randint(256, (n, channels, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def task(pictures: np.ndarray) -> Any:
    form = SimpleNamespace(width=pictures.shape[2], height=pictures.shape[1], grey=pictures.ndim == 3)
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(len(pictures))]})
    given = {"pictures": lambda split: pictures, "table": table, "rows": lambda split: np.arange(len(pictures))}
    return SimpleNamespace(target="image", classes=(), form=form, **given)


def test_truth_is_the_picture_in_channels():
    grey, colour = np.arange(48, dtype=np.uint8).reshape(3, 4, 4), np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3)
    target = target_of(task(grey))
    assert type(target) is ImageTarget
    assert (target.names, target.channels) == (("grey",), 1)
    assert torch.equal(target.truth(task(grey), "val"), torch.from_numpy(grey)[:, None])
    target = target_of(task(colour))
    assert (list(target.names), target.channels) == (COLOURS, 3)
    assert torch.equal(target.truth(task(colour), "val"), torch.from_numpy(colour).permute(0, 3, 1, 2))
    assert target.head((8, 4, 4)) == ("map", (3, 4, 4))
    assert make_target("image").head((8, 4, 4)) == ("map", (1, 4, 4))
    assert target.known(drawn(2, 3)).all()


def test_loss_is_the_mean_squared_error():
    truth = torch.tensor([[[[0, 255], [51, 102]]]], dtype=torch.uint8)  # 0, 1, 0.2, 0.4
    said = torch.tensor([[[[0.5, 1.0], [0.2, -0.6]]]])
    found = ImageTarget().each_loss(said[None], truth)
    assert found.item() == pytest.approx((0.25 + 0 + 0 + 1) / 4), "what is below black is not cut"
    given = torch.randn(2, 3, 1, 12, 12, generator=torch.Generator().manual_seed(1), requires_grad=True)
    (gradient,) = torch.autograd.grad(ImageTarget().each_loss(given, drawn())[0].sum(), given)
    torch.testing.assert_close(gradient[0], 2 * (given[0].detach() - drawn() / 255) / 144)
    assert not gradient[1].any()


def test_measures_by_hand():
    target, truth = ImageTarget(), torch.full((2, 1, 12, 12), 102, dtype=torch.uint8)  # an even 0.4
    said = torch.full((2, 1, 12, 12), 0.5)
    said[1] = 0.4
    found = target.assess(target.said_in_full(said, truth), truth, None, None)
    alike = (2 * 0.4 * 0.5 + 1e-4) / (0.4**2 + 0.5**2 + 1e-4)
    assert found["ssim"] == pytest.approx((alike + 1) / 2, abs=1e-3)
    assert found["psnr"] == pytest.approx((20 + 100) / 2, rel=1e-4), "of decibels, the mean; 100 where nothing is wrong"
    assert found["ms_ssim"] is None
    assert found["ms_ssim_in_words"] == "MS-SSIM needs images of 176 pixels a side, these have 12."
    assert found["loss"] == pytest.approx(0.01 / 2, rel=1e-3)
    assert "log_likelihood" not in found, "no target but classes has one"
    cut = target.said(said + 10, truth)
    assert cut["squared"].tolist() == pytest.approx([0.36, 0.36]), "white is the most that there is"


def test_large_images_have_one_measure_more():
    target, truth = ImageTarget(), drawn(2, size=LEAST_SIDE)
    said = truth.float() / 255 + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    found = target.assess(target.said_in_full(said, truth), truth, None, None)
    assert 0.5 < found["ms_ssim"] < 1
    low, high = found["ci95"]["ms_ssim"]
    assert low <= found["ms_ssim"] <= high
    assert "ms_ssim_in_words" not in found
    assert target.assess(target.said(said, truth), truth, None, None)["ms_ssim"] is None, "too dear for every epoch"


@pytest.mark.parametrize("channels", [1, 3])
def test_truth_moves_with_its_image(channels):
    truth, warps = drawn(2, channels), [Warp(flip=True, scale=1.1, angle=20), Warp()]
    found = ImageTarget(COLOURS[:channels]).warped(truth, warps)
    assert torch.equal(found[1], truth[1])
    for channel in range(channels):
        own = warps[0].image(Image.fromarray(truth[0, channel].numpy()))
        assert np.array_equal(found[0, channel].numpy(), np.asarray(own))


def test_the_image_as_it_was_read_is_an_answer():
    """The noisy image itself; of a coarser one, or one of three equal channels, what it shows at the truth's size."""
    target, truth = ImageTarget(), drawn(3)
    assert target.without_network(truth, pictures=False) is None, "a frozen encoder reads no picture"
    name, says = target.without_network(truth, pictures=True)
    assert name == "the image as it was read"
    grey = truth.expand(-1, 3, -1, -1).float()
    assert says(grey, truth)["quality"].tolist() == pytest.approx([1, 1, 1])
    noisy = (grey + 25.5).clamp(0, 255)
    expected = ((noisy[:, :1] - truth) / 255).square().flatten(1).mean(1)
    assert says(noisy, truth)["squared"].tolist() == pytest.approx(expected.tolist())


def test_the_best_constant_picture():
    target = ImageTarget()
    assert target.blind(drawn(1)) == pytest.approx(1, abs=1e-4), "of one picture, itself"
    even = torch.full((2, 1, 12, 12), 100, dtype=torch.uint8)
    assert target.blind(even) == pytest.approx(1, abs=1e-4)
    assert 0 <= target.blind(drawn(40)) < 0.5, "of noise there is none"
    assert target.blind(drawn(0)) == 0


def test_what_is_drawn_of_it():
    """Bytes, cut to what a picture can be, at the size of the truth."""
    target, truth = ImageTarget(), drawn()
    found = target.shown(truth.float() / 255 + 0.001, truth)
    assert torch.equal(found["truth"], truth)
    assert found["answer"].dtype == torch.uint8
    assert (found["answer"].int() - truth.int()).abs().max() <= 1
    coarse = target.shown(torch.tensor([[[[-1.0, 2.0]]]]).expand(len(truth), 1, 2, 2), truth)["answer"]
    assert coarse.shape == truth.shape
    assert (coarse[..., 0].max(), coarse[..., -1].min()) == (0, 255)
