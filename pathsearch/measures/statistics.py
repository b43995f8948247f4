"""Tests that a comparison rests on: two methods on the same images, over seeds, and classes between splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from data_prep.errors import PathsearchError

FEWEST_SEEDS = 5  # below, a test over seeds says nothing
SURE = 0.05  # p below which a difference is called one
SMALL_COUNT = 5  # images: below, in a cell, the chi-square approximation is poor (Cochran 1954)


class McNemar(TypedDict):
    """McNemar's test of two methods on the same images."""

    n: int
    b: int  # images that only the first has right
    c: int  # only the second
    p: float


class PriorShift(TypedDict):
    """Shares of the classes by split, and tests of their equality."""

    shares: dict[str, dict[str, float] | None]
    p: dict[str, float | None]
    in_words: list[str]


class Spread(TypedDict):
    """Over seeds."""

    mean: float | None
    sd: float | None
    each: list[float | None]


class OverSeeds(TypedDict):
    """Difference of two methods over the same seeds, and its tests."""

    seeds: int
    difference: float
    sd: float | None
    ci95: list[float] | None
    p: float | None
    wilcoxon_p: float | None


class Corrected(OverSeeds):
    """One of several such differences."""

    p_holm: float | None


class Equivalence(TypedDict):
    """Whether a difference is within a margin."""

    margin: float
    difference: float
    ci90: list[float] | None
    p: float | None


class RankAgreement(TypedDict):
    """Kendall's tau between two orders of n paths."""

    n: int
    tau: float | None
    p: float | None


def mcnemar(own: ArrayLike, other: ArrayLike) -> McNemar:
    """McNemar's exact test of two methods on the same images.

    Args:
        own: bool[n], whether the first method is right on each image.
        other: bool[n], the same of the second.

    Returns:
        `n`; `b`, images that only the first has right; `c`, those that only the second has right; `p`, two-sided:
        how likely a split of the b + c at least as uneven is if either way were a fair coin's. 1 where b + c is 0.

    Raises:
        PathsearchError: not the same number of images.

    Source: McNemar 1947; the exact binomial form, which holds for few discordant images too.
    """
    first, second = np.asarray(own, bool), np.asarray(other, bool)
    if first.shape != second.shape or first.ndim != 1:
        raise PathsearchError(
            f"mcnemar: expected two answers to the same images, got {list(first.shape)} and {list(second.shape)}; "
            "were both asked of one split?"
        )
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(stats.binomtest(b, b + c).pvalue) if b + c else 1.0
    return {"n": len(first), "b": b, "c": c, "p": p}


def prior_shift(labels: Mapping[str, ArrayLike], classes: Sequence[str]) -> PriorShift:
    """Whether the classes have the same shares in validation as in training and test.

    Args:
        labels: int[n] class indices of each split: `train`, `val`, `test`.
        classes: K names.

    Returns:
        `shares` of the classes by split (None for a split without images), `p` of Pearson's chi-square test of
        equal shares for `train_val` and `val_test` (None where a split is empty or only one class is there), and
        `in_words`, a sentence on each.

    Source: label shift as in Lipton et al. 2018; here only the shares are compared, which labels allow.
    """
    counts = {split: np.bincount(np.asarray(y, np.int64), minlength=len(classes)) for split, y in labels.items()}
    shares = {
        split: dict(zip(classes, (n / n.sum()).tolist(), strict=True)) if n.sum() else None
        for split, n in counts.items()
    }
    p: dict[str, float | None] = {}
    words = []
    names = {"train": "training", "val": "validation", "test": "test"}
    for first, second in (("train", "val"), ("val", "test")):
        both = np.stack([counts[first], counts[second]])
        both = both[:, both.sum(0) > 0]  # a class that neither split has says nothing
        pair, key = f"{names[first]} and {names[second]}", f"{first}_{second}"
        p[key] = None
        if both.sum(1).min() == 0 or both.shape[1] < 2:
            words.append(f"Between {pair} class shares cannot be compared: one of them is empty, or has one class.")
            continue
        test = stats.chi2_contingency(both, correction=False)
        p[key] = float(test.pvalue)
        gaps = np.abs(np.diff(both / both.sum(1, keepdims=True), axis=0))
        verdict = "differ" if test.pvalue < SURE else "do not differ beyond chance"
        poor = "; some expected counts are below 5, so p is rough" if test.expected_freq.min() < SMALL_COUNT else ""
        words.append(
            f"Between {pair} class shares {verdict}: by at most {100 * gaps.max():.1f} points "
            f"(chi-square p = {test.pvalue:.2g}{poor})."
        )
    return {"shares": shares, "p": p, "in_words": words}


def spread(values: Sequence[float | None]) -> Spread:
    """Mean and standard deviation over seeds of what is known; None where nothing is, or one seed has no spread."""
    known = [value for value in values if value is not None]
    return {
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "each": list(values),
    }


def over_seeds(own: Sequence[float], other: Sequence[float]) -> OverSeeds:
    """Difference of two methods' rates over the same seeds, with a paired t-test where there are five or more.

    Args:
        own: a rate of each seed.
        other: the other method's, of the same seeds in the same order.

    Returns:
        `difference`, mean of own - other; `sd`, its spread over seeds (None for one seed); `ci95` of the mean and
        `p`, two-sided, both None below five seeds or where every seed gives the same difference; `wilcoxon_p`, of
        the signed-rank test (with five seeds it is 0.0625 at the least), None likewise.

    The seeds share their images: this speaks of the luck of searching and training, McNemar's test of the images.
    """
    gaps = np.asarray(own, np.float64) - np.asarray(other, np.float64)
    found: OverSeeds = {
        "seeds": len(gaps),
        "difference": float(gaps.mean()),
        "sd": float(gaps.std(ddof=1)) if len(gaps) > 1 else None,
        "ci95": None,
        "p": None,
        "wilcoxon_p": None,
    }
    if len(gaps) < FEWEST_SEEDS or np.ptp(gaps) < 1e-12:
        return found
    test = stats.ttest_1samp(gaps, 0.0)
    low, high = test.confidence_interval(0.95)
    ranked = stats.wilcoxon(np.round(gaps, 12)).pvalue
    return {**found, "ci95": [float(low), float(high)], "p": float(test.pvalue), "wilcoxon_p": float(ranked)}


def equivalence(own: Sequence[float], other: Sequence[float], margin: float) -> Equivalence:
    """Whether two methods' rates over the same seeds are less than a margin apart: two one-sided paired t-tests.

    Args:
        own: a rate of each seed.
        other: the other method's, of the same seeds in the same order.
        margin: above 0, fixed before any rate is seen.

    Returns:
        `margin`; `difference`, mean of own - other; `ci90` of it, which lies within the margin exactly where `p` is
        below 0.05; `p`, the larger of the two one-sided ones. Both are None below five seeds or where every seed
        gives the same difference.

    Source: Schuirmann 1987. A large p is no proof of a difference, only too little to exclude one.
    """
    gaps = np.asarray(own, np.float64) - np.asarray(other, np.float64)
    found: Equivalence = {"margin": margin, "difference": float(gaps.mean()), "ci90": None, "p": None}
    if len(gaps) < FEWEST_SEEDS or np.ptp(gaps) < 1e-12:
        return found
    above, below = (
        stats.ttest_1samp(gaps, bound, alternative=side) for bound, side in ((-margin, "greater"), (margin, "less"))
    )
    low, high = stats.ttest_1samp(gaps, 0.0).confidence_interval(0.9)
    return {**found, "ci90": [float(low), float(high)], "p": float(max(above.pvalue, below.pvalue))}


def rank_agreement(early: Sequence[Sequence[float]], late: Sequence[float]) -> RankAgreement:
    """Whether an early score puts paths in the order of their last one.

    Args:
        early: of each path, one or more numbers, compared in turn as a tuple is: fitness, then likelihood.
        late: of each path, a rate.

    Returns:
        `n`, Kendall's `tau` (b, which counts ties) in [-1, 1] and its `p`; None where one side is all ties.
    """
    order = sorted({tuple(score) for score in early})
    if len(order) < 2 or len(set(late)) < 2:
        return {"n": len(late), "tau": None, "p": None}
    tau, p = stats.kendalltau([order.index(tuple(score)) for score in early], late)
    return {"n": len(late), "tau": float(tau), "p": float(p)}


def holm(p: Sequence[float]) -> list[float]:
    """The p values of several tests, made stricter for their number, in the same order.

    Source: Holm 1979: the i-th smallest of m times m - i + 1, never below the one before, at most 1.
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate([(len(p) - i) * p[at] for i, at in enumerate(order)]) if len(p) else np.zeros(0)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1)
    return [float(value) for value in adjusted]


def corrected(rows: Mapping[str, OverSeeds]) -> dict[str, Corrected]:
    """The rows, each with its `p_holm` from the `p` of all of them; None for rows without a test."""
    tested = {name: row["p"] for name, row in rows.items() if row["p"] is not None}
    raised = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {name: {**row, "p_holm": raised.get(name)} for name, row in rows.items()}


def correct(rows: Mapping[str, dict[str, Any]]) -> None:
    """Set `p_holm` of each row from the `p` of all of them; rows without a test stay as they are."""
    tested = [row for row in rows.values() if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p
