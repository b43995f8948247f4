"""Do probabilities mean what they say? One temperature fitted on validation, and what it changes."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from data_prep.errors import PathsearchError

BINS = 15  # of equal width, as in Guo et al. 2017
COOLEST, HOTTEST = 0.05, 20.0  # temperatures: where the search for one ends

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOW = (
    "temperature fitted on the validation log-probabilities of the chosen path before its refit, so that validation "
    "after it flatters; on test it is applied to the fixed expert, whose own probabilities and decisions stay as they "
    f"are. ece: expected calibration error of the most probable class, {BINS} bins of equal width; brier: mean squared "
    "distance to the true class, 0 to 2; nll: nats an image"
)


class Bins(TypedDict):
    """The bins of a reliability figure; None for the means of an empty one."""

    count: list[int]
    confidence: list[float | None]
    accuracy: list[float | None]


class Assessed(TypedDict):
    """How far probabilities are from what they say: less is better."""

    ece: float
    brier: float
    nll: float  # nats an image
    bins: Bins


class BeforeAfter(TypedDict):
    """The probabilities of a split as they are, and after temperature scaling."""

    n: int
    before: Assessed
    after: Assessed


class Calibration(TypedDict):
    """What `calibration` says; None for a split without images."""

    temperature: float
    fitted: bool
    how: str
    validation: BeforeAfter | None
    test: BeforeAfter | None


def calibration(validation: tuple[Ints, Floats], test: tuple[Ints, Floats]) -> Calibration:
    """Calibration of one expert before and after temperature scaling, ready for JSON.

    Args:
        validation: labels int[n] and probabilities float[n, K], of the network before its refit.
        test: the same of the expert on test images.

    Returns:
        `temperature`, `fitted` (False where validation has no mistake to fit it on), `how` in words, and for
        `validation` and `test` what `assess` says `before` and `after`; None for a split without images.

    Source: Guo et al. 2017, section 4.2.
    """
    labels, p = validation
    temperature = fit_temperature(p, labels)
    return {
        "temperature": temperature,
        "fitted": _has_mistake(p, labels),
        "how": HOW,
        "validation": _beside(*validation, temperature),
        "test": _beside(*test, temperature),
    }


def _beside(y: Ints, probabilities: Floats, temperature: float) -> BeforeAfter | None:
    if not len(y):
        return None
    after = at_temperature(probabilities, temperature)
    return {"n": len(y), "before": assess(probabilities, y), "after": assess(after, y)}


def fit_temperature(probabilities: Floats, labels: Ints) -> float:
    """The temperature in [0.05, 20] at which the true classes are most likely; 1 where no image is mistaken.

    Without a mistake the likelihood rises for ever as the temperature falls, so that the images name none.

    Args:
        probabilities: (n, K), n at least 1.
        labels: (n,).

    Raises:
        PathsearchError: no images.
    """
    if not len(labels):
        raise PathsearchError("temperature: expected validation images, got none; prepare the task with some")
    if not _has_mistake(probabilities, labels):
        return 1.0
    log_p = _log(probabilities)

    def loss(log_t: float) -> float:
        return _nll(log_softmax(log_p / math.exp(log_t), axis=1), labels)

    bounds = (math.log(COOLEST), math.log(HOTTEST))  # in 1/T the loss is convex, so over log T it has one valley
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)


def at_temperature(probabilities: Floats, temperature: float) -> Floats:
    """(n, K) probabilities with their logits divided by `temperature`; the most probable class stays so."""
    return np.asarray(np.exp(log_softmax(_log(probabilities) / temperature, axis=1)), np.float64)


def assess(probabilities: Floats, labels: Ints) -> Assessed:
    """`ece`, `brier`, `nll` and the `bins` of the reliability figure of (n, K) probabilities.

    Returns:
        `bins` holds, for each of 15 bins of confidence, its `count`, mean `confidence` and `accuracy`; None for an
        empty bin. Confidence is the probability of the most probable class, accuracy how often that one is right,
        whatever threshold decides. A bin holds its upper edge, not its lower.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    number = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(number, minlength=BINS).astype(np.int64)
    sure = np.bincount(number, confidence, minlength=BINS)
    hits = np.bincount(number, right.astype(np.float64), minlength=BINS)
    of_truth = probabilities[np.arange(len(labels)), labels]

    def means(sums: np.ndarray) -> list[float | None]:
        return [float(s / n) if n else None for s, n in zip(sums, count, strict=True)]

    return {
        "ece": float(np.abs(hits - sure).sum() / len(labels)),
        "brier": float((np.einsum("nk,nk->n", probabilities, probabilities) - 2 * of_truth + 1).mean()),
        "nll": _nll(_log(probabilities), labels),
        "bins": {"count": count.tolist(), "confidence": means(sure), "accuracy": means(hits)},
    }


def _has_mistake(probabilities: Floats, labels: Ints) -> bool:
    return bool((probabilities.argmax(1) != labels).any())


def _log(probabilities: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float64).tiny)), np.float64)


def _nll(log_p: Floats, labels: Ints) -> float:
    return 0.0 - float(log_p[np.arange(len(labels)), labels].mean())
