"""From probabilities to a class: the most probable one, or for two classes a threshold fixed on validation."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_curve

from data_prep.errors import PathsearchError
from pathsearch.run.training_settings import parse_threshold


def fix_threshold(rule: str, labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """The threshold on the second class's probability that a rule gives on validation images.

    Args:
        rule: `argmax`; `sensitivity:S` for the highest threshold at which at least a share S of the second
            class's images are still found; `balanced` for the highest balanced accuracy.
        labels: (n,) 0 or 1, of validation images.
        probabilities: (n, 2).

    Returns:
        A threshold to be compared with `>=`, or None for `argmax`.
    """
    name, value = parse_threshold(rule)
    check_rule(rule, probabilities.shape[1])
    if name == "argmax":
        return None
    false_positive, sensitivity, thresholds = roc_curve(labels, probabilities[:, 1], drop_intermediate=False)
    if name == "sensitivity":
        at = int(np.argmax(sensitivity >= value))  # thresholds fall, so the first is the highest
        return float(thresholds[at])
    at = 1 + int(np.argmax((sensitivity - false_positive)[1:]))  # the first, infinite, is never better than the last
    upper, lower = thresholds[at], thresholds[min(at + 1, len(thresholds) - 1)]
    return float((upper + lower) / 2)  # between two images, not on one


def check_rule(rule: str, n_classes: int) -> None:
    """Raise `PathsearchError` if a rule has no meaning for so many classes; worth asking before a search."""
    if rule != "argmax" and n_classes != 2:
        raise PathsearchError(f"threshold {rule}: expected two classes, got {n_classes}; use argmax")


def decide(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """(n,) class of each image from (n, K) probabilities."""
    if threshold is None:
        return probabilities.argmax(1)
    return (probabilities[:, 1] >= threshold).astype(np.int64)
