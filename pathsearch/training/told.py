"""What paths say to validation images, reduced batch by batch to what a measure needs of it.

With a thousand classes the log-probabilities of a population for all images would take gigabytes; accuracy, balanced
accuracy and likelihood need two numbers an image. AUC ranks images by every class and keeps them all: fewer paths at
once are scored then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.grid.path import Path
from pathsearch.measures.auc import area

KEPT_BYTES = 128 << 20  # log-probabilities that are kept at most, where they must be


class Fitness(NamedTuple):
    """How good a path is on the validation images; compared in this order."""

    score: float  # accuracy, balanced accuracy or AUC, in [0, 1]
    log_likelihood: float  # mean, nats an image; breaks the ties of small validation sets


class NonFiniteFitness(PathsearchError):
    """A loss or a score became NaN or infinite."""


class Told(NamedTuple):
    """What P paths said to n images."""

    likelihood: Tensor  # (P, n) log-probability of the true class
    right: Tensor  # (P, n) whether the most probable class is the true one
    log_p: Tensor | None  # (P, n, K), for AUC only

    @classmethod
    def of(cls, log_p: Tensor, labels: Tensor, measure: str) -> Told:
        """Of log-probabilities (P, n, K) and true classes (n,)."""
        likelihood = log_p.gather(2, labels.expand(len(log_p), -1)[..., None])[..., 0]
        return cls(likelihood, log_p.argmax(-1) == labels, log_p if measure == "auc" else None)

    @classmethod
    def joined(cls, parts: Iterable[Told]) -> Told:
        """Of the same paths and all images of the parts, in order."""
        likelihood, right, kept = zip(*parts, strict=True)
        log_p = [one for one in kept if one is not None]
        return cls(torch.cat(likelihood, 1), torch.cat(right, 1), torch.cat(log_p, 1) if log_p else None)


def paths_at_once(most: int, measure: str, n: int, n_classes: int) -> int:
    """Paths that are scored in one pass: as many as may be, unless the measure keeps all that they say."""
    return most if measure != "auc" else max(1, min(most, KEPT_BYTES // (4 * n * n_classes)))


def fitnesses(log_p: Tensor, labels: Tensor, measure: str, paths: Sequence[Path]) -> list[Fitness]:
    """Fitness of P paths from their log-probabilities (P, n, K) and the labels (n,); see `fitnesses_of`."""
    return fitnesses_of(Told.of(log_p, labels, measure), labels, measure, paths)


def fitnesses_of(told: Told, labels: Tensor, measure: str, paths: Sequence[Path]) -> list[Fitness]:
    """Fitness of P paths from what they said to images with these labels (n,).

    Raises:
        NonFiniteFitness: a path's score is NaN or infinite; DEAP would let it beat everything.
    """
    likelihood = told.likelihood.mean(1)  # (P,)
    right = told.right.double()  # (P, n)
    if measure == "accuracy":
        scores = right.mean(1)
    elif measure == "balanced_accuracy":
        scores = torch.stack([right[:, labels == k].mean(1) for k in labels.unique()]).mean(0)
    else:
        assert told.log_p is not None
        scores = torch.tensor([_auc(p.exp().double().numpy(), labels.numpy()) for p in told.log_p], dtype=torch.float64)
    for path, score, value in zip(paths, scores.tolist(), likelihood.tolist(), strict=True):
        if not (math.isfinite(score) and math.isfinite(value)):
            raise NonFiniteFitness(
                f"path {path}: fitness became {measure}={score}, log-likelihood={value}; lower the rate"
            )
    return [Fitness(*pair) for pair in zip(scores.tolist(), likelihood.tolist(), strict=True)]


def _auc(probabilities: np.ndarray, labels: np.ndarray) -> float:
    if not np.isfinite(probabilities).all():
        return math.nan
    found = area(labels, probabilities)
    return math.nan if found is None else found.value
