"""The image target: the image itself, clean, whatever was done to what the network sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data_prep.manifest import Task
from data_prep.warp import Warp
from pathsearch.measures.means import Each
from pathsearch.measures.similarity import LEAST_SIDE, ms_ssim, psnr, ssim
from pathsearch.targets.decoded import Decoded, Size
from pathsearch.targets.dense import DenseTarget
from pathsearch.targets.target import Form, Groups, Said, Saying, register

GREY, COLOURS = ("grey",), ("red", "green", "blue")
ROWS = 64  # pictures that are compared at once


@register("image")
class ImageTarget(DenseTarget):
    """A value for each pixel and channel. Outputs are (…, C, h, w), 0 for black, 1 for white; measures cut the rest.

    Truth is (…, C, H, W) uint8. The names are those of the channels.

    What one network said is kept as `quality` (n,), SSIM, `squared` (n,), the mean squared error after the cut, and
    `loss` (n,); in full also as `ms_ssim` (n,). No picture is kept.
    """

    gives: ClassVar[str] = "image"
    measures: ClassVar[tuple[str, ...]] = ("ssim",)
    rates: ClassVar[tuple[str, ...]] = ("ssim", "psnr", "ms_ssim", "loss")
    summed: ClassVar[tuple[str, ...]] = rates
    shows: ClassVar[Form | None] = "pictures"

    def __init__(self, names: Sequence[str] = GREY) -> None:
        super().__init__(names or GREY)

    @property
    def channels(self) -> int:
        """One of grey pictures, three of others."""
        return len(self.names)

    @classmethod
    def names_of(cls, task: Task) -> tuple[str, ...]:
        """Grey, or the three colours; a head must know how many before it sees a picture."""
        return GREY if task.form.grey else COLOURS

    def truth(self, task: Task, split: str) -> Tensor:
        """(n, C, H, W) uint8."""
        found = torch.from_numpy(task.pictures(split))
        return found[:, None] if found.ndim == 3 else found.movedim(-1, 1).contiguous()

    def warped(self, truth: Tensor, warps: Sequence[Warp]) -> Tensor:
        """As the images: bilinear interpolation, black from beyond the edge."""
        each = [
            np.asarray(warp.image(Image.fromarray(one[0] if len(one) == 1 else np.moveaxis(one, 0, -1))))
            for one, warp in zip(truth.numpy(), warps, strict=True)
        ]
        found = torch.from_numpy(np.stack(each))
        return found[:, None] if found.ndim == 3 else found.movedim(-1, 1).contiguous()

    # --- training ---------------------------------------------------------------------------------------------------

    def each_loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Mean squared error over pixels and channels, as in UMS-Rep and VovUnet; nothing is cut."""
        said = self._pictures(outputs, truth)
        return ((said - _clean(truth, said)) ** 2).flatten(2).mean(2)

    def each_quality(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """SSIM, 0 where it is negative; 2 ms an image of 128 pixels."""
        said = self._pictures(outputs, truth).clamp(0, 1)
        return ssim(said, _clean(truth, said)).clamp(0, 1)

    # --- one network ------------------------------------------------------------------------------------------------

    def said(self, outputs: Tensor, truth: Tensor) -> Said:
        """See the class."""
        said = self._pictures(outputs[None], truth).clamp(0, 1)[0]
        squared = ((said - _clean(truth, said)) ** 2).flatten(1).mean(1)
        return {**super().said(outputs, truth), "squared": squared.double().cpu()}

    def said_in_full(self, outputs: Tensor, truth: Tensor) -> Said:
        """With MS-SSIM, where images are large enough."""
        found = self.said(outputs, truth)
        if min(truth.shape[-2:]) < LEAST_SIDE:
            return found
        said = self._pictures(outputs[None], truth).clamp(0, 1)[0]
        return {**found, "ms_ssim": ms_ssim(said, _clean(truth, said)).clamp(0, 1).double().cpu()}

    def measured(self, said: Said, truth: Tensor, fixed: float | None) -> dict[str, Each]:
        """SSIM, the peak signal-to-noise ratio in dB, and MS-SSIM, where it was measured."""
        fine = said.get("ms_ssim")
        return {
            "ssim": Each(said["quality"].numpy()),
            "psnr": Each(psnr(said["squared"]).numpy(), None, 0.0),  # dB, as of white for black
            "ms_ssim": Each(None if fine is None else fine.numpy()),
        }

    def assess(self, said: Said, truth: Tensor, fixed: float | None, groups: Groups) -> dict[str, Any]:
        """As of every target; `ms_ssim_in_words` says why small images have none."""
        found, side = super().assess(said, truth, fixed, groups), min(truth.shape[-2:])
        if side >= LEAST_SIDE:
            return found
        return {**found, "ms_ssim_in_words": f"MS-SSIM needs images of {LEAST_SIDE} pixels a side, these have {side}."}

    def decoded(self, outputs: Tensor, fixed: float | None, sizes: Sequence[Size]) -> Iterator[Decoded]:
        """The image, drawn at the size of the one that was given, one at a time."""
        for output, (width, height) in zip(outputs, sizes, strict=True):
            said = self.at_size(output[None, None].float().cpu(), (height, width))[0, 0]
            levels = (said.clamp(0, 1) * 255).round().byte()
            yield Decoded(image=(levels[0] if self.channels == 1 else levels.movedim(0, -1)).contiguous().numpy())

    def graphed(self, outputs: Tensor, fixed: float | None) -> tuple[str, Tensor]:
        """(B, C, h, w) from 0 for black to 1 for white."""
        return "image", outputs.clamp(0, 1)

    def blind(self, truth: Tensor) -> float:
        """The mean picture, or an even one of the mean value, whichever is more alike."""
        if not len(truth):
            return 0.0
        sums = sum(_clean(some, torch.zeros(1)).sum(0, dtype=torch.float64) for some in truth.split(ROWS))
        mean = torch.as_tensor(sums / len(truth)).float()
        tried = torch.stack([mean, mean.mean((1, 2), keepdim=True).expand_as(mean)])
        total = torch.zeros(2, dtype=torch.float64)
        for some in truth.split(ROWS):
            said = tried[:, None].expand(-1, len(some), -1, -1, -1)
            total += ssim(said, _clean(some, said)).clamp(0, 1).double().sum(1)
        return float(total.max()) / len(truth)

    def without_network(self, training: Tensor, pictures: bool) -> tuple[str, Saying] | None:
        """What was read, noise and all, where that is a picture."""
        name = "the image as it was read"
        return (
            (name, lambda read, truth: self.said_in_full(read[:, : self.channels] / 255, truth)) if pictures else None
        )

    def shown(self, outputs: Tensor, truth: Tensor) -> Said:
        """Both pictures, of 0 to 255."""
        answer = (255 * self._pictures(outputs[None], truth)[0].clamp(0, 1)).round().byte()
        return {"truth": truth.cpu(), "answer": answer.cpu()}

    def _pictures(self, outputs: Tensor, truth: Tensor) -> Tensor:
        return self.at_size(outputs, (truth.shape[-2], truth.shape[-1]))


def _clean(truth: Tensor, like: Tensor) -> Tensor:
    """The truth in [0, 1]."""
    return truth.to(like.dtype) / 255
