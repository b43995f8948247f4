"""k-nearest neighbours on pooled features: what the encoder alone knows, without a weight trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from pathsearch.encoders.split import Split
from pathsearch.measures.one_error import choose_smallest
from pathsearch.search.choice import Ballot
from pathsearch.targets.target import Said
from pathsearch.training.bench import Bench

NEIGHBOURS = (1, 3, 5, 9, 15, 25, 51)


def choose(bench: Bench) -> tuple[dict[str, Any], Said]:
    """Choose k on validation: the largest within one standard error of the best, since more neighbours are smoother.

    Returns:
        Plain facts, `k` among them; and what is said to the validation images. `parameters` counts the numbers that
        must be kept: the stored images' pooled features.
    """
    training, validation = bench.training, bench.validation
    several = [k for k in NEIGHBOURS if k <= len(training)]
    said = [_say(bench, training, validation, k) for k in several]
    scores = [bench.target.fitness(bench.measure, one, validation.truth).score for one in said]
    at = choose_smallest(scores, [-k for k in several], Ballot(bench, ()).errors(said)[1])
    kept = len(training) + (len(validation) if bench.last.refit else 0)
    facts = {
        "path": None,
        "k": several[at],
        "parameters": kept * training.only(np.arange(1)).pooled().shape[1],
        "candidates": [{"k": k, "validation_accuracy": s} for k, s in zip(several, scores, strict=True)],
        "chosen": at,
        "images": {"search": 0, "candidates": 0, "refit": 0},  # stored, not trained on
        "evaluations": 0,
    }
    return facts, said[at]


def answers(bench: Bench, split: Split, k: int) -> Said:
    """What is said to a split's images; a refit stores the validation images beside the training ones."""
    known = bench.training.joined(bench.validation) if bench.last.refit else bench.training
    return _say(bench, known, split, k)


def _say(bench: Bench, known: Split, asked: Split, k: int) -> Said:
    return bench.target.nearest(known.pooled().numpy(), known.truth, asked.pooled().numpy(), k)
