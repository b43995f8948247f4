"""One standard error of a measure, and the rule that the smallest within one of the best is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pathsearch.measures.clusters import Floats, Ints, clusters, sums
from pathsearch.measures.measure import Measured, measured, shrunk


def error_of_score(name: str, score: float, labels: Ints) -> float:
    """Standard error of a measure of which only the value is known, never 0; images are taken as independent.

    Args:
        name: accuracy, balanced_accuracy or auc.
        score: its value.
        labels: (n,) classes of the images that it stands on.

    Source: for rates Agresti and Coull 1998 (two images more on either side), each class of a balanced accuracy as if
    it had the mean recall; for the AUC Hanley and McNeil 1982, one class against the rest as if they were independent.
    """
    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0].astype(np.float64)
    if name == "auc":
        sizes = sizes[-1:] if len(sizes) == 2 else sizes
        both = np.stack([sizes, len(labels) - sizes], 1)
        a = shrunk(np.full(len(sizes), score), both)
        q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
        up, down = both.T
        variance = (a * (1 - a) + (up - 1) * (q1 - a**2) + (down - 1) * (q2 - a**2)) / (up * down)
    else:
        sizes = sizes if name == "balanced_accuracy" else np.array([len(labels)], np.float64)
        rate = (score * sizes + 2) / (sizes + 4)
        variance = rate * (1 - rate) / (sizes + 4)
    return math.sqrt(float(variance.sum())) / len(sizes)


def error(of: Measured, numbers: Ints | None, beside: Measured | None = None) -> float:
    """Standard error of a measure, or of its difference from that of another network on the same images; never 0.

    Args:
        of: the measure.
        numbers: (n,) group of each image; None for independent ones.
        beside: of the other network.

    With groups it is the larger of the error by image and that by group (the sandwich of Liang and Zeger 1986, with
    their number over one less): of few groups the latter may be small by luck.
    """
    influence, grain = of.influence, of.grain
    if beside is not None:
        influence, grain = influence - beside.influence, max(grain, beside.grain)
    variance = float((influence**2).sum())
    if numbers is not None and (groups := int(numbers.max()) + 1) > 1:
        variance = max(variance, groups / (groups - 1) * float((sums(influence, numbers) ** 2).sum()))
    return math.sqrt(variance + grain)


def errors(
    name: str, labels: Ints, said: Sequence[Floats], groups: np.ndarray | None
) -> tuple[list[float], list[float]]:
    """Of several networks on the same images: each one's own error, and that of its difference from the best.

    Args:
        name: of the measure.
        labels: (n,) classes.
        said: of each network (n, K) probabilities.
        groups: (n,) names, or None.
    """
    each = [measured(name, labels, p, p.argmax(1)) for p in said]
    known = [one for one in each if one is not None]
    assert len(known) == len(each), "a search has refused a measure without classes"
    return errors_between(known, clusters(groups, len(labels)))


def errors_between(each: Sequence[Measured], numbers: Ints | None) -> tuple[list[float], list[float]]:
    """Of measures of several networks on the same images: each one's error, and that of its difference from the best.

    Args:
        each: the measure of every network.
        numbers: (n,) group of each image; None for independent ones.
    """
    best = max(each, key=lambda one: one.value)
    return [error(one, numbers) for one in each], [error(one, numbers, best) for one in each]


def choose_smallest(scores: Sequence[float], sizes: Sequence[int], gaps: Sequence[float]) -> int:
    """Index of the smallest path that is within one standard error of the best score.

    Args:
        scores: of each path.
        sizes: of each path.
        gaps: standard error of each path's difference from the best. All paths answer the same images, so that what is
            hard for all says nothing of their difference: it is the paired error that counts, not that of the best.

    Source: the one-standard-error rule of Breiman et al. 1984, section 3.4.3. We differ: theirs is the best one's own
    error.
    """
    best = max(scores)
    near = [i for i, score in enumerate(scores) if best - score <= gaps[i]]
    return min(near, key=lambda i: (sizes[i], -scores[i], i))
