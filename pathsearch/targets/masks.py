"""The mask target: which of K names, background first, each pixel has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from data_prep.table_words import NO_MASK
from data_prep.warp import Warp
from pathsearch.measures.means import Each, reported
from pathsearch.measures.overlap import counted, dice, iou, mcc
from pathsearch.measures.surfaces import diagonal, hausdorff95
from pathsearch.targets.constant_masks import best_constant
from pathsearch.targets.decoded import Area, Decoded, Size
from pathsearch.targets.dense import DenseTarget
from pathsearch.targets.extremes import against_size
from pathsearch.targets.mask_loss import mask_loss
from pathsearch.targets.target import Form, Groups, Said, Saying, register

SCORES = {"dice": dice, "iou": iou}  # what a search may maximise


@register("mask")
class MaskTarget(DenseTarget):
    """A label for each pixel. Outputs are logits (…, 1, h, w) for two names, (…, K, h, w) for more.

    Truth is (…, H, W) uint8, indices of the names, all 255 for an image that has no mask. Measures are those of each
    image, one label against the rest, mean over the labels but background.

    What one network said is kept as `counts` (n, L, 4), see `counted`, `right` (n,), the share of pixels that have
    their label, and `loss` (n,); in full also as `hausdorff95` (n, L). No map of any image is kept.

    Raises:
        PathsearchError: fewer than two names.
    """

    gives: ClassVar[str] = "mask"
    measures: ClassVar[tuple[str, ...]] = ("dice", "iou")
    rates: ClassVar[tuple[str, ...]] = ("dice", "iou", "pixel_accuracy", "mcc", "hausdorff95", "loss")
    summed: ClassVar[tuple[str, ...]] = rates
    shows: ClassVar[Form | None] = "outlines"

    def __init__(self, names: Sequence[str] = ()) -> None:
        super().__init__(names)
        if len(self.names) < 2:
            raise PathsearchError(
                f"target mask: expected the background's name and at least one more, got {list(self.names)}; "
                "has the task been prepared with masks?"
            )

    @property
    def channels(self) -> int:
        """One logit for two names, else one each."""
        return 1 if len(self.names) == 2 else len(self.names)

    @property
    def n_labels(self) -> int:
        """L, the names but background."""
        return len(self.names) - 1

    # --- what is asked ----------------------------------------------------------------------------------------------

    @classmethod
    def names_of(cls, task: Task) -> tuple[str, ...]:
        """Background first."""
        return task.mask_names

    def truth(self, task: Task, split: str) -> Tensor:
        """(n, H, W) uint8."""
        return torch.from_numpy(task.masks(split))

    def known(self, truth: Tensor) -> Tensor:
        """Whether any pixel is not 255."""
        return (truth != NO_MASK).flatten(1).any(1)

    def warped(self, truth: Tensor, warps: Sequence[Warp]) -> Tensor:
        """The nearest pixel, so that labels stay labels."""
        return torch.from_numpy(np.stack([warp.mask(one) for one, warp in zip(truth.numpy(), warps, strict=True)]))

    # --- training ---------------------------------------------------------------------------------------------------

    def each_loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """See `mask_loss`."""
        return mask_loss(self._logits(outputs, truth), _labels(truth))

    def each_quality(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Dice of the most probable labels."""
        return self.each_score("dice", outputs, truth)

    def each_score(self, measure: str, outputs: Tensor, truth: Tensor) -> Tensor:
        """Dice or IoU of the most probable labels; beside them one byte a pixel is held, of each path and image."""
        said = self._decided(self._logits(outputs, truth))
        return SCORES[measure](counted(said, _labels(truth), self.n_labels)).mean(-1)

    # --- one network ------------------------------------------------------------------------------------------------

    def said(self, outputs: Tensor, truth: Tensor) -> Said:
        """See the class."""
        labels, logits = _labels(truth), self._logits(outputs[None], truth)
        answers = self._decided(logits)[0]
        return {**self._compared(answers, labels), "loss": mask_loss(logits, labels)[0].double().cpu()}

    def said_in_full(self, outputs: Tensor, truth: Tensor) -> Said:
        """With the Hausdorff distances, 10 ms an image and label."""
        answers = self._decided(self._logits(outputs[None], truth))[0]
        return {**self.said(outputs, truth), **self._distances(answers, _labels(truth))}

    def quality(self, said: Said, truth: Tensor, fixed: float | None) -> np.ndarray:
        """Dice."""
        return self.score("dice", said, truth, fixed)

    def score(self, measure: str, said: Said, truth: Tensor, fixed: float | None) -> np.ndarray:
        """Dice or IoU."""
        return SCORES[measure](said["counts"]).mean(-1).numpy()

    def measured(self, said: Said, truth: Tensor, fixed: float | None) -> dict[str, Each]:
        """Dice, IoU, the share of right pixels, MCC, and the Hausdorff distance in pixels, where it was measured.

        The distance of an image is the mean over its labels; a label that is missed counts the image's diagonal.
        """
        far = said.get("hausdorff95")
        return {
            **_of_counts(said["counts"]),
            "pixel_accuracy": Each(said["right"].numpy()),
            "hausdorff95": Each(None if far is None else far.mean(1).numpy(), None, diagonal(truth)),
        }

    def assess(self, said: Said, truth: Tensor, fixed: float | None, groups: Groups) -> dict[str, Any]:
        """As of every target; where there are several labels, the same of each under `labels`."""
        found = super().assess(said, truth, fixed, groups)
        if self.n_labels == 1:
            return found
        known, numbers = self.known(truth).cpu(), self._clusters(truth, groups)
        return {**found, "labels": {name: reported(self._label(i, said, known), numbers) for i, name in self._named()}}

    def decoded(self, outputs: Tensor, fixed: float | None, sizes: Sequence[Size]) -> Iterator[Decoded]:
        """The most probable label of each pixel, drawn at the size of the image, and how much has each label.

        One image at a time: a scan may have a hundred times the pixels that the network saw.
        """
        for output, (width, height) in zip(outputs, sizes, strict=True):
            mask = self._decided(self.at_size(output[None, None].float().cpu(), (height, width)))[0, 0]
            pixels = torch.bincount(mask.flatten(), minlength=len(self.names)).tolist()
            areas = {name: Area(pixels[k], pixels[k] / (width * height)) for k, name in enumerate(self.names) if k}
            yield Decoded(mask=mask.numpy(), areas=areas)

    def graphed(self, outputs: Tensor, fixed: float | None) -> tuple[str, Tensor]:
        """(B, K, h, w) probabilities of the names, background first, at the size of the network's map."""
        if self.channels > 1:
            return "mask", outputs.softmax(1)
        p = outputs.sigmoid()
        return "mask", torch.cat([1 - p, p], 1)

    def blind(self, truth: Tensor) -> float:
        """See `best_constant`."""
        return best_constant(truth[self.known(truth)], self.n_labels)[1]

    def without_network(self, training: Tensor, pictures: bool) -> tuple[str, Saying] | None:
        """The mask that is best for all training images."""
        mask, _ = best_constant(training[self.known(training)], self.n_labels)

        def says(read: Tensor, truth: Tensor) -> Said:
            answers = mask.expand(len(truth), -1, -1)
            return self._compared(answers, _labels(truth)) | self._distances(answers, _labels(truth))

        return "the best constant mask", says

    def more(self, task: Task, said: dict[str, Said], truth: dict[str, Tensor], fixed: float | None) -> dict[str, Any]:
        """`against_size`: Dice against the share of the image that is not background."""
        known = self.known(truth["test"]).numpy()
        each = self.quality(said["test"], truth["test"], fixed)[known]
        size = (_labels(truth["test"]) > 0).flatten(1).double().mean(1).numpy()[known]
        return {"against_size": against_size(size, each, "dice")}

    def shown(self, outputs: Tensor, truth: Tensor) -> Said:
        """The true and the most probable labels."""
        answers = self._decided(self._logits(outputs[None], truth))[0]
        return {"truth": _labels(truth).cpu(), "answer": answers.cpu()}

    # --- inside -----------------------------------------------------------------------------------------------------

    def _compared(self, answers: Tensor, labels: Tensor) -> Said:
        """What is kept of masks (B, H, W) beside the true ones, but for what outlines say."""
        return {
            "counts": counted(answers, labels, self.n_labels).cpu(),
            "right": (answers == labels).flatten(1).double().mean(1).cpu(),
        }

    def _distances(self, answers: Tensor, labels: Tensor) -> Said:
        return {"hausdorff95": hausdorff95(answers, labels, self.n_labels)}

    def _logits(self, outputs: Tensor, truth: Tensor) -> Tensor:
        return self.at_size(outputs, (truth.shape[-2], truth.shape[-1]))

    def _decided(self, logits: Tensor) -> Tensor:
        """(P, B, H, W) the most probable labels, one byte each."""
        if self.channels == 1:
            return (logits[:, :, 0] > 0).byte()
        return logits.max(2).indices.byte()  # argmax is six times slower on a CPU

    def _named(self) -> list[tuple[int, str]]:
        return list(enumerate(self.names[1:]))

    def _label(self, label: int, said: Said, known: Tensor) -> dict[str, Each]:
        """The measures of one label over images of known truth."""
        own = {name: rows[known][:, label, None] for name, rows in said.items() if rows.ndim > 1}
        far = own.get("hausdorff95")
        distance = Each(None if far is None else far[:, 0].numpy(), None)
        return {**_of_counts(own["counts"]), "hausdorff95": distance}


def _labels(truth: Tensor) -> Tensor:
    """The truth with background where there is none, so that every number is finite."""
    return truth.masked_fill(truth == NO_MASK, 0)


def _of_counts(counts: Tensor) -> dict[str, Each]:
    """What counts (n, L, 4) say, mean over the labels."""
    dices, ious, mccs = (measure(counts).mean(-1).numpy() for measure in (dice, iou, mcc))
    return {"dice": Each(dices), "iou": Each(ious), "mcc": Each(mccs, (-1.0, 1.0))}
