"""95 % intervals of rates: by image where images are independent, by group where groups are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from data_prep.errors import PathsearchError
from pathsearch.measures.auc import area, curves, pairs_by_group, targets
from pathsearch.measures.clusters import Floats, Ints, sums

RATE_REPLICATES = 2000
AUC_REPLICATES = 500  # by image, where each draw costs as much as the images
Z = float(stats.norm.ppf(0.975))
SMALL_AUC = 200_000  # images times classes: up to it the images of every draw are ranked
SMALL_PAIRS = 50_000_000  # images times groups times classes: up to it pairs are counted group by group
AT_ONCE = 4_000_000  # weights of groups that are held at once

BY_IMAGE, OVER_IMAGES, BY_GROUP = "by image", "bootstrap over images", "bootstrap over groups"
WORDS = {
    OVER_IMAGES: f"images are counted as independent and drawn again, {RATE_REPLICATES:,} times; BCa percentiles "
    "(Efron 1987), widened for few images by Student's t (Hesterberg 2015); where all images have the same value, "
    "Wilson's interval for what lies between bounds, none for what does not",
    BY_IMAGE: "images are counted as independent: Wilson's interval for accuracy and the recall of each class; "
    "percentiles of a bootstrap over the images of each class for mean recall and AUC",
    BY_GROUP: f"whole groups are drawn again, {RATE_REPLICATES:,} times, images of unknown group as groups of their "
    "own; BCa percentiles (Efron 1987), widened for few groups by Student's t (Hesterberg 2015); where all groups have "
    "the same rate, Wilson's interval with one trial a group. A group that stands in training too is drawn like any "
    "other: the interval is then about other images of such groups, not about new groups",
}


Interval = list[float]  # low and high, of 95 %


class Method(TypedDict):
    """How intervals were made."""

    method: str  # a key of `WORDS`
    groups: int | None  # None: by image


class MethodInWords(Method):
    """The same for a reader."""

    in_words: str


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a rate, as (low, high) in [0, 1].

    Args:
        successes: 0 to `n`.
        n: trials, at least 1.

    Raises:
        PathsearchError: `n` is below 1 or `successes` is not in 0 to `n`.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise PathsearchError(
            f"wilson: expected 0 <= successes <= n and n >= 1, got successes {successes} and n {n}; "
            "a rate of nothing has no interval, leave it out"
        )
    return _wilson(successes / n, n)


def rate_interval(hits: NDArray[np.bool_], numbers: Ints | None, seed: int = 0) -> list[float] | None:
    """The interval of a share of images: Wilson's, or the bootstrap over groups; None without images.

    Args:
        hits: (n,) whether each image counts.
        numbers: (n,) group of each image, see `clusters`; None for images that are independent.
        seed: of the bootstrap.
    """
    if not len(hits):
        return None
    if numbers is None:
        return list(wilson(int(hits.sum()), len(hits)))
    found = GroupDraws(np.zeros(len(hits), np.int64), hits, 1, numbers, seed)
    return found.accuracy()


class GroupDraws:
    """Rates of many draws of groups, from the counts of each group.

    Args:
        y: (n,) classes.
        right: (n,) whether each image got its class, or how good its answer is, from 0 to 1.
        k: number of classes, K.
        numbers: (n,) group of each image, from 0 on.
        seed: of the draws, which depend on it and on the number of groups alone.
    """

    def __init__(self, y: Ints, right: NDArray[np.bool_] | Floats, k: int, numbers: Ints, seed: int) -> None:
        self.n_groups, self.seed = int(numbers.max()) + 1, seed
        shape = (self.n_groups, k)
        totals = sparse.csr_matrix((np.ones(len(y)), (numbers, y)), shape)
        hits = sparse.csr_matrix((right.astype(np.float64), (numbers, y)), shape)
        self.groups_of_class = np.asarray((totals > 0).sum(0)).ravel()
        self._sums = [np.asarray(part.sum(0)).ravel() for part in (hits, totals)]
        self._counts = hits, totals
        parts = [(draw @ hits, draw @ totals) for draw in self.weights()]
        self._hits, self._totals = (np.concatenate(part) for part in zip(*parts, strict=True))  # (draws, K)

    def weights(self) -> Iterator[Floats]:
        """How often each group is drawn, (draws, G) in parts; the same at every call."""
        rng, g = np.random.default_rng([self.seed, 2]), self.n_groups
        part = max(1, AT_ONCE // g)
        for start in range(0, RATE_REPLICATES, part):
            rows = min(part, RATE_REPLICATES - start)
            drawn = rng.integers(g, size=(rows, g)) + g * np.arange(rows)[:, None]
            yield np.bincount(drawn.ravel(), minlength=rows * g).reshape(rows, g).astype(np.float64)

    def accuracy(self) -> list[float]:
        """Of the share of right images."""
        hits, totals = (float(part.sum()) for part in self._sums)
        own = [np.asarray(part.sum(1)).ravel() for part in self._counts]
        moved = (own[0] - hits / totals * own[1]) / totals
        return _interval(self._hits.sum(1) / self._totals.sum(1), hits / totals, moved)

    def recalls(self) -> list[list[float] | None]:
        """Of each class's recall; None for a class without images."""
        rates, own, moved = self._recalls(), self._own(), self._moved()
        return [
            _interval(rates[:, k], float(own[k]), moved[:, [k]].data) if groups else None
            for k, groups in enumerate(self.groups_of_class)
        ]

    def recall(self) -> list[float]:
        """Of the mean recall over the classes with images."""
        present = self.groups_of_class > 0
        rates = self._recalls()[:, present].mean(1)
        moved = np.asarray(self._moved().sum(1)).ravel() / present.sum()
        return _interval(rates, float(self._own()[present].mean()), moved)

    def _moved(self) -> sparse.csc_matrix:
        """(G, K) how each group moves each class's recall; a group without images of a class is not stored."""
        hits, totals = self._counts
        there = sparse.csc_matrix(totals)
        columns = np.repeat(np.arange(there.shape[1]), np.diff(there.indptr))
        rows, all_of = there.indices, self._sums[1][columns]
        own = np.asarray(hits[rows, columns]).ravel()
        values = (own - self._own()[columns] * there.data) / all_of
        return sparse.csc_matrix((values, rows, there.indptr), there.shape)

    def _own(self) -> Floats:
        hits, totals = self._sums
        return np.asarray(hits / np.maximum(totals, 1))

    def _recalls(self) -> Floats:
        """(draws, K); a class that a draw lacks keeps its rate, so that the mean is always over the same classes."""
        there = self._totals > 0
        return np.where(there, self._hits / np.where(there, self._totals, 1), self._own())

    def auc(self, y: Ints, p: Floats, numbers: Ints) -> tuple[float | None, list[float] | None]:
        """The AUC and its interval over answered images; None where fewer than two classes are among them.

        Args:
            y: (m,) classes.
            p: (m, K) scores.
            numbers: (m,) groups, as numbered for all images.
        """
        found = area(y, p)
        if found is None:
            return None, None
        moved = sums(found.influence, numbers, self.n_groups)
        if len(y) * self.n_groups * len(found.each) > SMALL_PAIRS:
            shifts = np.concatenate([draw @ moved for draw in self.weights()])
            return found.value, _interval(np.clip(found.value + shifts, 0, 1), found.value, moved)
        weights, each = np.concatenate(list(self.weights())), []
        for k, one in zip(targets(y, p.shape[1]), curves(y, p), strict=True):
            counts = pairs_by_group(one, p[:, k], numbers, self.n_groups)
            ups, downs = (np.bincount(numbers[part], minlength=self.n_groups) for part in (one.positive, ~one.positive))
            pairs = (weights @ ups) * (weights @ downs)
            won = ((weights @ counts) * weights).sum(1)
            each.append(np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), one.area))
        return found.value, _interval(np.mean(each, axis=0), found.value, moved)


def recall_by_image(hits: Ints, totals: Ints, seed: int) -> list[float] | None:
    """Interval of mean recall, each class drawn again on its own; hits, totals: int[classes with images].

    Drawing the images of a class with replacement makes its hits binomial, so they are drawn as such.
    """
    if not len(totals):
        return None
    rng = np.random.default_rng([seed, 0])
    draws = rng.binomial(totals, hits / totals, size=(RATE_REPLICATES, len(totals)))
    return _percentiles((draws / totals).mean(axis=1))


def auc_by_image(y: Ints, p: Floats, seed: int) -> tuple[float | None, list[float] | None]:
    """AUC and its interval, the images of each class drawn again; `y` int64[n] sorted, `p` float64[n, K].

    Of many images and classes the area is not ranked anew in every draw but moved as far as its images' influence says.
    """
    found = area(y, p)
    if found is None:
        return None, None
    rng = np.random.default_rng([seed, 1])
    present = np.unique(y)
    starts = np.searchsorted(y, present)
    sizes = np.diff(np.append(starts, len(y)))
    first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)  # of each image's class
    draws = (first + rng.integers(size) for _ in range(AUC_REPLICATES))  # the class of every place stays
    if len(y) * len(found.each) > SMALL_AUC:
        shifts = np.array([found.influence[draw].sum() for draw in draws])
        return found.value, _percentiles(np.clip(found.value + shifts, 0, 1))
    ranked = [_ranked(p[:, k], y == k) for k in targets(y, p.shape[1])]
    return found.value, _percentiles(np.array([np.mean([_drawn(*one, draw) for one in ranked]) for draw in draws]))


def _ranked(score: Floats, positive: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.bool_]]:
    """Scores as whole ranks: they are ranked once, not once a draw."""
    return np.unique(score, return_inverse=True)[1].astype(np.int64), positive


def _drawn(rank: Ints, positive: NDArray[np.bool_], draw: Ints) -> float:
    """The area of drawn images, in time linear in their number."""
    n_ranks = int(rank.max()) + 1
    ups = np.bincount(rank[draw[positive]], minlength=n_ranks)
    downs = np.bincount(rank[draw[~positive]], minlength=n_ranks)
    return float(ups @ (np.cumsum(downs) - downs / 2)) / (int(ups.sum()) * int(downs.sum()))


def _interval(replicates: Floats, value: float, moved: Floats) -> list[float]:
    """BCa percentiles of the replicates, widened for few groups; without any width, Wilson's with one trial a group.

    Args:
        replicates: (draws,) of the rate.
        value: the rate itself.
        moved: (G,) how each group moves it: its influence, for the acceleration.
    """
    groups, spread = len(moved), float((moved**2).sum())
    if groups < 2 or np.ptp(replicates) < 1e-12 or spread < 1e-24:
        return list(_wilson(value, groups))
    z = float(np.sqrt(groups / (groups - 1)) * stats.t.ppf(0.975, groups - 1))
    below = float(((replicates < value).mean() + (replicates <= value).mean()) / 2)
    bias = float(stats.norm.ppf(np.clip(below, 0.001, 0.999)))
    bound = 0.5 / (z + abs(bias))  # of very few groups the formula would turn its ends round
    skew = float(np.clip((moved**3).sum() / (6 * spread**1.5), -bound, bound))
    ends = np.array([bias - z, bias + z])
    low, high = np.quantile(replicates, stats.norm.cdf(bias + ends / (1 - skew * ends)))
    return [float(low), float(high)]


def _percentiles(replicates: Floats) -> list[float]:
    """The central 95 % of `replicates` as [low, high]."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return [float(low), float(high)]


def _wilson(rate: float, n: int) -> tuple[float, float]:
    centre, room = rate + Z**2 / (2 * n), Z * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    low, high = ((centre + side * room) / (1 + Z**2 / n) for side in (-1, 1))
    return (0.0 if rate == 0 else float(low)), (1.0 if rate == 1 else float(high))


def method(numbers: Ints | None, by_image: str = BY_IMAGE) -> Method:
    """How the intervals of a split were made, for its report; `WORDS` says more of it.

    Args:
        numbers: (n,) group of each image; None for independent ones.
        by_image: what was done with independent ones.
    """
    if numbers is None:
        return {"method": by_image, "groups": None}
    return {"method": BY_GROUP, "groups": int(numbers.max()) + 1}
