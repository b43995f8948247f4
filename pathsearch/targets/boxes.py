"""The box target: the upright box around what an image shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data_prep.manifest import Task
from data_prep.warp import Warp
from pathsearch.measures.box_overlap import box_iou
from pathsearch.targets.decoded import Decoded, Size
from pathsearch.targets.extremes import against_size
from pathsearch.targets.target import Form, Said, Saying, Shape, Target, register

BEND = 0.1  # of the image's side: errors below it cost by their square, those above by their size


@register("box")
class BoxTarget(Target):
    """One box an image. Outputs (…, 4) become two opposite corners by a sigmoid, in whatever order.

    Truth is (…, 4) float32: x_min, y_min, x_max, y_max in shares of the image's width and height, NaN for an image that
    has no box.
    """

    gives: ClassVar[str] = "box"
    measures: ClassVar[tuple[str, ...]] = ("iou",)
    rates: ClassVar[tuple[str, ...]] = ("iou", "loss")
    summed: ClassVar[tuple[str, ...]] = rates
    shows: ClassVar[Form | None] = "boxes"

    @classmethod
    def names_of(cls, task: Task) -> tuple[str, ...]:
        """None: a box has no name."""
        return ()

    def truth(self, task: Task, split: str) -> Tensor:
        """(n, 4) float32, shares of width and height."""
        width, height = task.form.width, task.form.height
        return torch.from_numpy(task.boxes(split)) / torch.tensor([width, height, width, height])

    def known(self, truth: Tensor) -> Tensor:
        """Whether all four are numbers."""
        return ~truth.isnan().any(1)

    def warped(self, truth: Tensor, warps: Sequence[Warp]) -> Tensor:
        """The hull of the warped ellipse that fills the box; unknown where most of it has left the image."""
        each = [warp.box(one, 1, 1) for one, warp in zip(truth.numpy(), warps, strict=True)]
        return torch.from_numpy(np.stack(each))

    def in_views(
        self, task: Task, split: str, used: np.ndarray, truth: Tensor, warps: Sequence[Sequence[Warp]]
    ) -> tuple[Tensor, ...]:
        """The hull of the warped mask where the box is that of the image's mask, else as `warped` says."""
        found = super().in_views(task, split, used, truth, warps)
        if not warps or not task.mask_names:
            return found
        masks, size = task.masks(split)[used], np.array([task.form.width, task.form.height] * 2)
        for row, (box, mask) in enumerate(zip(truth.numpy() * size, masks, strict=True)):
            if np.abs(box - Warp().box_of(mask)).max() <= 1:  # its own: boxes end between pixels, masks do not
                for view, own in zip(found, warps, strict=True):
                    view[row] = torch.from_numpy(own[row].box_of(mask) / size)
        return found

    def head(self, shape: Shape) -> tuple[str, Shape]:
        """A linear map to four numbers."""
        return "linear", (4,)

    def each_loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Smooth L1, mean over the four sides, plus 1 minus the generalised IoU.

        Source: Girshick 2015, with its bend at a tenth of the image; Rezatofighi et al. 2019, as torchvision has
        it.
        """
        from torchvision.ops import generalized_box_iou_loss  # a slow import

        said = corners(outputs)
        true = _filled(truth).to(said.dtype).expand_as(said)
        sides = F.smooth_l1_loss(said, true, reduction="none", beta=BEND).mean(-1)
        return sides + generalized_box_iou_loss(said, true)

    def each_quality(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """IoU."""
        return box_iou(corners(outputs), _filled(truth))

    def decoded(self, outputs: Tensor, fixed: float | None, sizes: Sequence[Size]) -> Iterator[Decoded]:
        """The box in pixels of the image."""
        for (x_min, y_min, x_max, y_max), (width, height) in zip(corners(outputs).tolist(), sizes, strict=True):
            yield Decoded(box=(x_min * width, y_min * height, x_max * width, y_max * height))

    def graphed(self, outputs: Tensor, fixed: float | None) -> tuple[str, Tensor]:
        """(B, 4) x_min, y_min, x_max, y_max in shares of width and height."""
        return "box", corners(outputs)

    def blind(self, truth: Tensor) -> float:
        """See `best_constant`."""
        return best_constant(truth[self.known(truth)])[1]

    def without_network(self, training: Tensor, pictures: bool) -> tuple[str, Saying] | None:
        """The box that is best for all training images."""
        box, _ = best_constant(training[self.known(training)])
        return "the best constant box", lambda read, truth: {"quality": box_iou(box, _filled(truth)).double()}

    def more(self, task: Task, said: dict[str, Said], truth: dict[str, Tensor], fixed: float | None) -> dict[str, Any]:
        """`against_size`: IoU against the share of the image in the box."""
        known = self.known(truth["test"])
        each, true = said["test"]["quality"][known].numpy(), truth["test"][known]
        size = (true[:, 2:] - true[:, :2]).prod(1).numpy()
        return {"against_size": against_size(size, each, "iou")}

    def shown(self, outputs: Tensor, truth: Tensor) -> Said:
        """Both boxes."""
        return {"truth": _filled(truth).float().cpu(), "answer": corners(outputs).float().cpu()}


def corners(outputs: Tensor) -> Tensor:
    """(…, 4) x_min, y_min, x_max, y_max in [0, 1] of outputs (…, 4)."""
    one, other = outputs.sigmoid().split(2, -1)
    return torch.cat([torch.minimum(one, other), torch.maximum(one, other)], -1)


def best_constant(boxes: Tensor) -> tuple[Tensor, float]:
    """Of the mean of boxes (n, 4), that of their medians and the whole image, the one of the highest mean IoU; that."""
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0])
    if not len(boxes):
        return whole, 0.0
    tried = torch.stack([boxes.mean(0), boxes.median(0).values, whole])
    found = box_iou(tried[:, None], boxes).mean(1)
    return tried[found.argmax()], found.max().item()


def _filled(truth: Tensor) -> Tensor:
    """The truth with the whole image where there is none, so that every number is finite."""
    return torch.where(truth.isnan().any(-1, keepdim=True), truth.new_tensor([0.0, 0.0, 1.0, 1.0]), truth)
