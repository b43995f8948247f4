"""Which of the visited paths are trained to the end."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pathsearch.grid.path import Path
from pathsearch.search.search import Ground, SearchState
from pathsearch.training.bench import Bench
from pathsearch.training.fitness import Evaluator
from pathsearch.training.folds import truth_scored

# sub-paths of one path that are scored: of one task all that memory holds; of several, whose every part is asked, fewer
SUBPATHS, OF_SEVERAL = 1_000_000, 5_000


def finalists(
    bench: Bench,
    ground: Ground,
    evaluator: Evaluator,
    state: SearchState,
    error_of: Callable[[Path, float], float] | None = None,
) -> list[Path]:
    """A few paths worth training to the end: of rising size, each the best of its size or smaller.

    Every path that the search visited is scored once more with its last weights, in one pass, and so is
    every sub-path of the best ones (under `fresh` weights only what was visited). From the front of fitness
    against size those within two standard errors of the best score are taken, spread evenly over the
    logarithm of the size; where they are too few, the next best of the front. Under `pareto` the whole front
    is spread over: a search for every size ends with candidates of every size. What each image was answered is not
    known here, so the error is that of the score alone; `error_of` a path and its score says another.
    """
    size_of = ground.size_of
    pool = [Path.parse(text) for text in state.visited]
    hall = [Path.parse(text) for text in state.hall_of_fame]
    if bench.search.weights == "shared":
        most = SUBPATHS if ground.space.tasks == 1 else OF_SEVERAL
        pool += [sub for path in hall[:3] for sub in path.subpaths(most)]
    pool = list(dict.fromkeys([*hall, *pool]))
    scores = dict(zip(pool, evaluator.score(pool), strict=True))
    front: list[Path] = []
    for path in sorted(pool, key=lambda p: (size_of(p), [-v for v in scores[p]], p)):
        if not front or scores[path] > scores[front[-1]]:
            front.append(path)
    best = scores[front[-1]].score
    error = error_of(front[-1], best) if error_of else bench.target.error_of(bench.measure, best, truth_scored(bench))
    bar = -math.inf if bench.search.pareto else best - 2 * error
    near = [path for path in front if scores[path].score >= bar]
    wanted = bench.last.finalists
    if len(near) > wanted:
        sizes = np.log([size_of(path) for path in near])
        places = np.linspace(sizes[0], sizes[-1], wanted)
        picked = {int(np.abs(sizes - place).argmin()) for place in places} | {len(near) - 1}
        return [near[i] for i in sorted(picked)][-wanted:]
    return front[-wanted:]
