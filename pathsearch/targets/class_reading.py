"""What paths say of the classes of validation images, reduced batch by batch to what a measure needs of it.

With a thousand classes the log-probabilities of a population for all images would take gigabytes; accuracy, balanced
accuracy and likelihood need two numbers an image. AUC ranks images by every class and keeps them all: fewer paths at
once are scored then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pathsearch.measures.auc import area
from pathsearch.targets.target import Fitness, Reading


class ClassReading(Reading):
    """What P paths said to the images added so far.

    Attributes:
        likelihood: parts (P, b), log-probability of the true class.
        right: parts (P, b), whether the most probable class is the true one.
        labels: parts (b,).
        log_p: parts (P, b, K), for AUC only.
    """

    def __init__(self, measure: str) -> None:
        self.measure = measure
        self.likelihood: list[Tensor] = []
        self.right: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.log_p: list[Tensor] = []

    def add(self, outputs: Tensor, truth: Tensor) -> None:
        """Read logits (P, b, K) for images of these classes (b,)."""
        self.add_log_p(F.log_softmax(outputs, -1).cpu(), truth)

    def add_log_p(self, log_p: Tensor, truth: Tensor) -> None:
        """The same of log-probabilities."""
        self.likelihood.append(log_p.gather(2, truth.expand(len(log_p), -1)[..., None])[..., 0])
        self.right.append(log_p.argmax(-1) == truth)
        self.labels.append(truth)
        if self.measure == "auc":
            self.log_p.append(log_p)

    def aucs(self) -> list[float]:
        """Of each path; NaN where it has none."""
        labels = torch.cat(self.labels).numpy()
        return [_auc(one.exp().double().numpy(), labels) for one in torch.cat(self.log_p, 1)]


def class_fitnesses(readings: Sequence[ClassReading], measure: str) -> list[Fitness]:
    """Fitness of P paths, each over the images of all readings.

    An AUC ranks images, and answers of two networks have no common scale: of several readings it is the mean.
    """
    likelihood = torch.cat([part for one in readings for part in one.likelihood], 1).mean(1)  # (P,)
    right = torch.cat([part for one in readings for part in one.right], 1).double()  # (P, n)
    if measure == "accuracy":
        scores = right.mean(1).tolist()
    elif measure == "balanced_accuracy":
        labels = torch.cat([part for one in readings for part in one.labels])
        scores = torch.stack([right[:, labels == k].mean(1) for k in labels.unique()]).mean(0).tolist()
    else:
        scores = [fmean(several) for several in zip(*(one.aucs() for one in readings), strict=True)]
    return [Fitness(*pair) for pair in zip(scores, likelihood.tolist(), strict=True)]


def _auc(probabilities: np.ndarray, labels: np.ndarray) -> float:
    if not np.isfinite(probabilities).all():
        return math.nan
    found = area(labels, probabilities)
    return math.nan if found is None else found.value
