"""How good paths are: a fitness, and what is read of many paths' answers, batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from data_prep.errors import PathsearchError


class Fitness(NamedTuple):
    """How good a path is on the validation images; compared in this order."""

    score: float  # the measure that the search maximises, in [0, 1]
    log_likelihood: float  # mean, nats an image, or minus the mean loss; breaks the ties of small validation sets


class NonFiniteFitness(PathsearchError):
    """A loss or a score became NaN or infinite."""


class Reading(ABC):
    """What P paths said to images, reduced batch by batch to what a measure needs of it."""

    @abstractmethod
    def add(self, outputs: Tensor, truth: Tensor) -> None:
        """Read outputs (P, B, …) for images of this truth (B, …)."""


class Means(Reading):
    """Sums over images of known truth: two numbers a path are held, and how many images there were.

    Args:
        each: from outputs (P, B, …) and truth (B, …) to scores (P, B), losses (P, B) and what is known, bool (B,).
    """

    def __init__(self, each: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]) -> None:
        self.each, self.n = each, 0
        self.sums = torch.zeros(1, 2, dtype=torch.float64)

    def add(self, outputs: Tensor, truth: Tensor) -> None:
        """See `Reading.add`."""
        *each, known = self.each(outputs, truth.to(outputs.device))
        own = [one.double().where(known, 0.0).sum(1) for one in each]
        self.sums = self.sums + torch.stack(own, 1).cpu()
        self.n += int(known.sum())
