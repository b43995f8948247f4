"""Similarity of pictures, against torchmetrics and a window written by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from pathsearch.measures.similarity import LEAST_SIDE, ms_ssim, psnr, ssim


def pair(shape: tuple[int, ...], noise: float = 0.2) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    true = torch.rand(shape, generator=stream, dtype=torch.float64)
    return (true + noise * torch.randn(shape, generator=stream, dtype=torch.float64)).clamp(0, 1), true


@pytest.mark.parametrize("shape", [(4, 1, 16, 16), (3, 3, 12, 21), (2, 1, 6, 40)])
@pytest.mark.parametrize("noise", [0.02, 0.5])
def test_ssim_like_torchmetrics(shape, noise):
    said, true = pair(shape, noise)
    expected = structural_similarity_index_measure(said, true, reduction="none", data_range=1.0)
    torch.testing.assert_close(ssim(said[None], true)[0], expected)
    torch.testing.assert_close(ssim(said[None].float(), true.float())[0], expected.float(), rtol=1e-3, atol=1e-4)


def test_ssim_of_one_pixel_by_hand():
    """Every window sees that pixel alone: there is no spread, so only the means count."""
    said, true = torch.full((1, 1, 1, 1, 1), 0.2), torch.full((1, 1, 1, 1), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(said, true).item() == pytest.approx(expected, rel=1e-4)


def test_ssim_of_several_paths_is_that_of_each():
    said, true = pair((4, 1, 9, 9))
    several = torch.stack([said, true, 1 - true])
    found = ssim(several, true)
    for one, own in zip(several, found, strict=True):
        torch.testing.assert_close(ssim(one[None], true)[0], own)
    torch.testing.assert_close(found[1], torch.ones(4, dtype=torch.float64))
    assert (found[2] < 0).all(), "the negative is less alike than nothing"


def test_psnr_like_torchmetrics():
    said, true = pair((5, 1, 8, 8))
    expected = [peak_signal_noise_ratio(a, b, data_range=1.0).item() for a, b in zip(said, true, strict=True)]
    assert psnr(((said - true) ** 2).flatten(1).mean(1)).tolist() == pytest.approx(expected)
    assert psnr(torch.tensor([0.01, 1.0, 0.0])).tolist() == pytest.approx([20, 0, 100])


def test_ms_ssim_answers_each_image_by_itself_from_its_least_size_on():
    said, true = pair((2, 1, LEAST_SIDE, LEAST_SIDE + 3), 0.1)
    found = ms_ssim(said, true)
    torch.testing.assert_close(torch.cat([ms_ssim(said[1:], true[1:]), ms_ssim(said[:1], true[:1])]), found.flip(0))
    assert ((found > 0.5) & (found < 1)).all()
    torch.testing.assert_close(ms_ssim(true, true), torch.ones(2, dtype=torch.float64))
    assert math.isfinite(ms_ssim(1 - true, true).sum()), "negative factors have no power"
    assert ms_ssim(said[:0], true[:0]).shape == (0,)
    with pytest.raises(ValueError, match="the image height must be larger"):
        ms_ssim(said[:, :, 1:], true[:, :, 1:])
