"""What is measured of answers: the numbers that people read, with their errors, over the images that have a truth."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.measures.clusters import clusters
from pathsearch.measures.intervals import OVER_IMAGES, method
from pathsearch.measures.means import Each, reported
from pathsearch.measures.measure import Measured, averaged
from pathsearch.measures.one_error import errors_between
from pathsearch.measures.paired import Paired, compared

Said = dict[str, Tensor]  # what one network said to n images: tensors of n rows on the CPU, by name
Groups = np.ndarray | None  # (n,) names, such as patients, "" where unknown; None: images are independent


class Measuring(ABC):
    """The half of a target that reads what networks said; its attributes are `Target`'s."""

    kind: ClassVar[str]
    measures: ClassVar[tuple[str, ...]]

    def measure(self, asked: str) -> str:
        """The measure that a search maximises; who asks for none, by the settings' default, gets the first."""
        if asked in self.measures:
            return asked
        if asked == "accuracy":
            return self.measures[0]
        raise PathsearchError(f"fitness: expected one of {', '.join(self.measures)}; got {asked!r}")

    # --- images without a truth -------------------------------------------------------------------------------------

    def known(self, truth: Tensor) -> Tensor:
        """(n,) bool, whether an image has a truth (n, …); one that has none counts in no loss and no measure."""
        return torch.ones(len(truth), dtype=torch.bool, device=truth.device)

    def of_known(self, each: Tensor, truth: Tensor) -> Tensor:
        """What each image of a batch (…, B) is worth, so that means over the batch are those over its known images.

        Unknown ones are 0 and the others grow by as much; with none unknown nothing changes, not by a bit.
        """
        known = self.known(truth).to(each.device)
        return each.where(known, 0.0) * (len(known) / known.sum().clamp(min=1))

    def some_known(self, truth: Tensor, split: str) -> None:
        """Raise `PathsearchError` where no image of a split has a truth: nothing could be learned or scored."""
        if len(truth) and not self.known(truth).any():
            raise self._nothing(split, len(truth))

    def _nothing(self, split: str, n: int) -> PathsearchError:
        return PathsearchError(
            f"target {self.kind}: expected {split} images that have a truth, got none among {n}; prepare the task "
            "again with some in every split"
        )

    def _of_known(self, rows: Tensor, truth: Tensor) -> Tensor:
        """What was said to images (n,) whose truth is known."""
        self.some_known(truth, "validation")
        return rows[self.known(truth).cpu()]

    def _averaged(self, measure: str, said: Said, truth: Tensor, fixed: float | None) -> Measured | None:
        """A measure over the images of known truth; None where there are none."""
        known = self.known(truth).cpu().numpy()
        return averaged(self.score(measure, said, truth, fixed)[known]) if known.any() else None

    def _clusters(self, truth: Tensor, groups: Groups) -> np.ndarray | None:
        """The group of each image of known truth; None where they are independent."""
        known = self.known(truth).cpu().numpy()
        return clusters(None if groups is None else groups[known], int(known.sum()))

    # --- how good each answer is ------------------------------------------------------------------------------------

    def quality(self, said: Said, truth: Tensor, fixed: float | None) -> np.ndarray:
        """(n,) how good each answer is, from 0 to 1, decided with what was fixed."""
        return said["quality"].numpy()

    def score(self, measure: str, said: Said, truth: Tensor, fixed: float | None) -> np.ndarray:
        """The same by any of the measures that a search may maximise."""
        return self.quality(said, truth, fixed)

    def measured(self, said: Said, truth: Tensor, fixed: float | None) -> dict[str, Each]:
        """Every measure that a report has, image by image (n,), by name."""
        return {name: Each(self.score(name, said, truth, fixed)) for name in self.measures}

    # --- numbers with their errors ----------------------------------------------------------------------------------

    def error_of(self, measure: str, score: float, truth: Tensor) -> float:
        """Standard error of a score of which only the value is known, never 0."""
        images = int(self.known(truth).sum())
        n = images + 4  # as of a share, which varies most of all that lies between 0 and 1
        rate = (score * images + 2) / n
        return math.sqrt(rate * (1 - rate) / n)

    def errors(
        self, measure: str, said: Sequence[Said], truth: Tensor, groups: Groups
    ) -> tuple[list[float], list[float]]:
        """Of several networks on the same images: each one's own error, and that of its difference from the best."""
        self.some_known(truth, "validation")
        each = [self._averaged(measure, one, truth, None) for one in said]
        return errors_between([one for one in each if one is not None], self._clusters(truth, groups))

    def assess(self, said: Said, truth: Tensor, fixed: float | None, groups: Groups) -> dict[str, Any]:
        """Every measure of one network's answers with its 95 % interval, ready for JSON.

        Returns:
            `n` images of known truth and how many are `without_truth`; each of `measured` by name, the mean over the n
            images, with what `reported` adds; the mean `loss`, or what a target has in its place; and the method of the
            `intervals`.
        """
        known = self.known(truth).cpu()
        found = self.assess_answered(said, truth, fixed, groups, np.ones(len(truth), bool))
        loss = said["loss"][known].mean().item() if known.any() else None
        intervals = found.pop("intervals")
        return {**found, "loss": loss, "intervals": intervals}

    def assess_answered(
        self, said: Said, truth: Tensor, fixed: float | None, groups: Groups, answered: np.ndarray
    ) -> dict[str, Any]:
        """The measures where not every image got an answer: one without is worth nothing.

        Args:
            said: by one network to all n images.
            truth: (n, …).
            fixed: on validation.
            groups: of the images.
            answered: (n,) bool, whether what was said reached who asked.

        Returns:
            As of `assess`, without the loss. An image without an answer has what the measure says of it, `missed`.
        """
        known, numbers = self.known(truth).cpu().numpy(), self._clusters(truth, groups)
        each = {
            name: one if one.values is None else one._replace(values=_worth(one, answered)[known])
            for name, one in self.measured(said, truth, fixed).items()
        }
        return {
            "n": int(known.sum()),
            "without_truth": int((~known).sum()),
            **reported(each, numbers),
            "intervals": method(numbers, OVER_IMAGES),
        }

    def paired(
        self,
        measure: str,
        truth: Tensor,
        own: tuple[Said, float | None],
        other: tuple[Said, float | None],
        groups: Groups,
    ) -> Paired:
        """The first network against the second on the same images; fields as of `measures.paired`."""
        measure = self.measure(measure)
        both = [self._averaged(measure, said, truth, fixed) for said, fixed in (own, other)]
        n, numbers = int(self.known(truth).sum()), self._clusters(truth, groups)
        return compared(measure, n, (both[0], both[1]), numbers)


def _worth(one: Each, answered: np.ndarray) -> np.ndarray:
    """(n,) values, with that of nothing where there was no answer."""
    assert one.values is not None
    missed = np.nan if one.bounds is None else 0.0
    return np.where(answered, one.values, missed if one.missed is None else one.missed)
