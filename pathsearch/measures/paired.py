"""Two networks on the same images: is one better by the measure that was maximised, and how sure is that?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pathsearch.measures.clusters import Floats, Ints, clusters, sums
from pathsearch.measures.measure import Measured, measured
from pathsearch.measures.standing import Tested, standing
from pathsearch.measures.statistics import mcnemar

EXACT = 14  # differences: up to it, all 2^14 signs are tried
MANY = 1000  # above it, the sum of random signs is normal
FLIPS = 10_000
TINY = 1e-12  # sums of the same differences in another order agree within it


class Paired(Tested):
    """One network against another by a measure."""

    measure: str
    n: int
    own: float | None
    other: float | None
    answer: str  # better, worse, or no difference shown


def paired(
    name: str,
    labels: Ints,
    own: tuple[Floats, Ints],
    other: tuple[Floats, Ints],
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Paired:
    """The first network against the second.

    Args:
        name: of the measure: accuracy, balanced_accuracy or auc.
        labels: (n,) classes.
        own: probabilities (n, K) and answers (n,) of the first.
        other: the same of the second.
        groups: (n,) names of what images come from, "" where unknown; None: images are independent.
        seed: of random signs.

    Returns:
        `measure`, `n`, `groups` (None: by image), `own`, `other`, `difference`, `test`, `p`, two-sided, and `answer`:
        better, worse, or no difference shown. Without images, or classes for an AUC, what cannot be known is None.

    Under accuracy, image by image, the test is McNemar's exact one. Otherwise it flips signs: if neither network is
    better, each group's (or image's) difference might as well have been the other way round. For accuracy and balanced
    accuracy that is exactly what swapping the two networks' answers does; an AUC is no sum over images, and what is
    flipped is its linear part (the placements of DeLong et al. 1988).

    Source: Fisher 1935; by groups as in Gail et al. 1996.
    """
    numbers = clusters(groups, len(labels))
    first, second = (measured(name, labels, *said) for said in (own, other))
    exact = None
    if name == "accuracy" and numbers is None and first is not None:
        exact = mcnemar(own[1] == labels, other[1] == labels)["p"]
    return compared(name, len(labels), (first, second), numbers, exact, seed)


def compared(
    name: str,
    n: int,
    both: tuple[Measured | None, Measured | None],
    numbers: Ints | None,
    exact: float | None = None,
    seed: int = 0,
) -> Paired:
    """The first of two measured networks against the second, as `paired` says it.

    Args:
        name: of the measure.
        n: images.
        both: the measure of each network on them.
        numbers: (n,) group of each image; None for independent ones.
        exact: p of McNemar's exact test, where that is the one to take.
        seed: of random signs.
    """
    by = "image" if numbers is None else "group"
    n_groups = None if numbers is None else int(numbers.max()) + 1
    first, second = both
    if first is None or second is None:
        return {
            "measure": name,
            "n": n,
            "groups": n_groups,
            "own": None,
            "other": None,
            "difference": None,
            "test": None,
            "p": None,
            "answer": standing(0, None),
        }
    gap = first.value - second.value
    if exact is not None:
        test, p = "McNemar's exact test", exact
    else:
        test, p = f"sign flips by {by}", sign_flips(sums(first.shares - second.shares, numbers), seed)
    return {
        "measure": name,
        "n": n,
        "groups": n_groups,
        "own": first.value,
        "other": second.value,
        "difference": gap,
        "test": test,
        "p": p,
        "answer": standing(gap, p),
    }


def sign_flips(differences: Floats, seed: int = 0) -> float:
    """Two-sided p of a sum of differences, each of which might as well have had the other sign.

    Exact for up to 14 differences that are not 0, by the normal limit above 1,000, between them by 10,000 draws.
    """
    d = differences[np.abs(differences) > TINY * max(1.0, float(np.abs(differences).max(initial=0)))]
    seen, m = abs(float(d.sum())), len(d)
    if seen <= TINY:
        return 1.0
    if m > MANY:
        return float(2 * stats.norm.sf(seen / np.sqrt((d**2).sum())))
    if m <= EXACT:
        signs = 2.0 * (np.arange(2**m)[:, None] >> np.arange(m) & 1) - 1
        return float((np.abs(signs @ d) >= seen - TINY).mean())
    rng = np.random.default_rng([seed, 3])
    drawn = np.concatenate([np.abs((2.0 * rng.integers(2, size=(FLIPS // 10, m)) - 1) @ d) for _ in range(10)])
    return float((1 + (drawn >= seen - TINY).sum()) / (1 + FLIPS))  # the seen signs are one of the draws
