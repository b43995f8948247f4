"""The measure that a run maximises, image by image: what each image adds to it, and to its error."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from data_prep.errors import PathsearchError
from pathsearch.measures.auc import area
from pathsearch.measures.clusters import Floats, Ints

MeasureName = Literal["accuracy", "balanced_accuracy", "auc"]


OTHERS = {  # of other targets than classes, where the word is not the name
    **{"dice": "Dice", "iou": "IoU", "mcc": "MCC", "hausdorff95": "95 % Hausdorff distance"},
    **{"psnr": "PSNR", "ssim": "SSIM", "ms_ssim": "MS-SSIM"},
}


class _Names(dict[str, str]):
    """Measures in words; those of other targets are no members, and unknown ones are called as they are."""

    def __missing__(self, name: str) -> str:
        return OTHERS.get(name, name.replace("_", " "))


NAMES = _Names(accuracy="accuracy", balanced_accuracy="balanced accuracy", auc="AUC")


class Measured(NamedTuple):
    """A measure of one network's answers to n images."""

    value: float
    shares: Floats  # (n,) what each image adds; sums to `value`
    influence: Floats  # (n,) sums to about 0; the variance of `value` is that of its sum over independent images
    grain: float  # the variance that one more image of each class may hide: no error is 0


def measured(name: str, labels: Ints, probabilities: Floats, answers: Ints) -> Measured | None:
    """A measure of answers to images; None for an AUC where fewer than two classes are there, or without images.

    Args:
        name: accuracy, balanced_accuracy or auc.
        labels: (n,) classes.
        probabilities: (n, K), for the AUC.
        answers: (n,) the classes that were said, for the other two.

    Source: for rates the variance has one image more on either side, as Agresti and Min 2005 have for paired rates;
    for the AUC that of DeLong et al. 1988.
    """
    n = len(labels)
    if name not in NAMES:
        raise PathsearchError(f"measure: expected one of {', '.join(NAMES)}, got {name!r}")
    if not n:
        return None
    right = (answers == labels).astype(np.float64)
    if name == "accuracy":
        return averaged(right)
    if name == "balanced_accuracy":
        sizes = np.bincount(labels)
        there = sizes > 0
        recalls = np.bincount(labels, right) / np.maximum(sizes, 1)
        k, own = int(there.sum()), sizes[labels]
        influence = (right - recalls[labels]) / (k * (own + 2))
        grain = float(((k * (sizes[there] + 2.0)) ** -2).sum())
        return Measured(float(recalls[there].mean()), right / (k * own), influence, grain)
    found = area(labels, probabilities)
    if found is None:
        return None
    wrong = 1 - shrunk(found.each, found.sizes)
    grain = float((wrong**2 * ((found.sizes + 2.0) ** -2).sum(1)).sum() / len(wrong) ** 2)
    sizes = np.bincount(labels)[labels]
    influence = found.influence * np.sqrt(sizes / np.maximum(sizes - 1, 1))
    return Measured(found.value, found.influence + found.value / n, influence, grain)


def averaged(each: Floats) -> Measured:
    """The mean of what n answers are worth, each from 0 to 1; accuracy where they are right or wrong."""
    n, value = len(each), float(each.mean())
    return Measured(value, each / n, (each - value) / (n + 2), (n + 2.0) ** -2)


def shrunk(areas: Floats, sizes: Ints) -> Floats:
    """AUCs away from 1: half an image is added on the wrong side of as many as the smaller class has; sizes (T, 2)."""
    fewer = sizes.min(1)
    return np.asarray((areas * fewer + 0.5) / (fewer + 1))
