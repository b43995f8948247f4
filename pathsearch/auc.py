"""The area under the ROC curve by ranks, one class against the rest, and what each image adds to its error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pathsearch.clusters import Floats, Ints


class Curve(NamedTuple):
    """One class against the rest."""

    area: float  # Mann-Whitney: share of pairs in the right order, a tie counts half
    positive: NDArray[np.bool_]  # (n,) images of the class
    above: Floats  # (n1,) share of the others that each image of the class stands above
    below: Floats  # (n0,) share of the class that each other image stands below


class Area(NamedTuple):
    """The mean area over the classes that are there."""

    value: float
    each: Floats  # (T,) areas of the T classes
    sizes: Ints  # (T, 2) images of the class, and of the rest
    influence: Floats  # (n,) sums to 0: how the value moves as an image gets more weight


def targets(y: Ints, k: int) -> list[int]:
    """Classes that have a curve: the second of two, else every one with images; none where all are of one class."""
    present = np.unique(y)
    if len(present) < 2:
        return []
    return [1] if k == 2 else present.tolist()


def curves(y: Ints, p: Floats) -> Iterator[Curve]:
    """The curve of each target in turn, in time n log n and memory n.

    Args:
        y: (n,) classes.
        p: (n, K) scores.
    """
    for k in targets(y, p.shape[1]):
        positive, scores = y == k, np.ascontiguousarray(p[:, k])
        ups, downs = scores[positive], scores[~positive]
        above, below = _share_below(ups, downs), 1 - _share_below(downs, ups)
        yield Curve(float(above.mean()), positive, above, below)


def area(y: Ints, p: Floats) -> Area | None:
    """The mean area of (n, K) scores for (n,) classes; None where fewer than two classes are there.

    Source: DeLong et al. 1988 for the influence (their placements); one against the rest after Fawcett 2006, plain
    mean over classes.
    """
    each, sizes, influence = [], [], np.zeros(len(y))
    for one in curves(y, p):
        each.append(one.area)
        sizes.append((len(one.above), len(one.below)))
        influence[one.positive] += (one.above - one.area) / len(one.above)
        influence[~one.positive] += (one.below - one.area) / len(one.below)
    if not each:
        return None
    return Area(float(np.mean(each)), np.array(each), np.array(sizes), influence / len(each))


def pairs_by_group(one: Curve, scores: Floats, numbers: Ints, n_groups: int) -> Floats:
    """(G, G) pairs of an image of the class in group g and another image in group h that are in the right order.

    With it the area of any weights of groups is a quadratic form, whatever the number of images.
    """
    ups, whose = scores[one.positive], numbers[one.positive]
    order = np.argsort(ups, kind="stable")
    ups, whose = ups[order], whose[order]
    downs, theirs = scores[~one.positive], numbers[~one.positive]
    counts = np.zeros((n_groups, n_groups))
    for h in np.unique(theirs):
        own = downs[theirs == h]
        counts[:, h] = np.bincount(whose, len(own) * _share_below(ups, own), minlength=n_groups)
    return counts


def _share_below(scores: Floats, others: Floats) -> Floats:
    """For each score the share of `others` below it; equal ones count half."""
    ordered = np.sort(others)
    places = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(places / (2 * len(others)))
