"""Which of the visited paths are trained to the end, and which of those becomes the expert."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from pathsearch.config import RunSettings
from pathsearch.fitness import Evaluator
from pathsearch.path import Path
from pathsearch.search import SearchState


def standard_error(rate: float, n: int) -> float:
    """Standard error of a rate over n images."""
    return math.sqrt(rate * (1 - rate) / n)


def finalists(
    evaluator: Evaluator, state: SearchState, size_of: Callable[[Path], int], settings: RunSettings, n: int
) -> list[Path]:
    """A few paths worth training to the end: of rising size, each the best of its size or smaller.

    Every path that the search visited is scored once more with its last weights, in one pass, and so is
    every sub-path of the best ones (under `fresh` weights only what was visited). From the front of fitness
    against size those within two standard errors of the best score are taken, spread evenly over the
    logarithm of the size; where they are too few, the next best of the front. Under `pareto` the whole front
    is spread over: a search for every size ends with candidates of every size.
    """
    pool = [Path.parse(text) for text in state.visited]
    hall = [Path.parse(text) for text in state.hall_of_fame]
    if settings.search.weights == "shared":
        pool += [sub for path in hall[:3] for sub in path.subpaths()]
    pool = list(dict.fromkeys([*hall, *pool]))
    scores = dict(zip(pool, evaluator.score(pool), strict=True))
    front: list[Path] = []
    for path in sorted(pool, key=lambda p: (size_of(p), [-v for v in scores[p]], p)):
        if not front or scores[path] > scores[front[-1]]:
            front.append(path)
    best = scores[front[-1]].score
    bar = -math.inf if settings.search.pareto else best - 2 * standard_error(min(best, 1 - 1 / n), n)
    near = [path for path in front if scores[path].score >= bar]
    wanted = settings.training.finalists
    if len(near) > wanted:
        sizes = np.log([size_of(path) for path in near])
        places = np.linspace(sizes[0], sizes[-1], wanted)
        picked = {int(np.abs(sizes - place).argmin()) for place in places} | {len(near) - 1}
        return [near[i] for i in sorted(picked)][-wanted:]
    return front[-wanted:]


def choose_smallest(scores: Sequence[float], sizes: Sequence[int], n: int) -> int:
    """Index of the smallest path within one standard error of the best validation score over n images.

    Source: the one-standard-error rule of Breiman et al. 1984, section 3.4.3.
    """
    best = max(scores)
    bar = best - standard_error(best, n)
    return min((i for i, a in enumerate(scores) if a >= bar), key=lambda i: (sizes[i], -scores[i], i))
