"""k-nearest neighbours on pooled features: what the encoder alone knows, without a weight trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from pathsearch.choice import errors_of
from pathsearch.config import RunSettings
from pathsearch.features import Split
from pathsearch.fitness import fitnesses
from pathsearch.one_error import choose_smallest
from pathsearch.path import Path

NEIGHBOURS = (1, 3, 5, 9, 15, 25, 51)


def choose(training: Split, validation: Split, settings: RunSettings) -> tuple[dict[str, Any], Tensor]:
    """Choose k on validation: the largest within one standard error of the best, since more neighbours are smoother.

    Returns:
        Plain facts, `k` among them; and (n_val, K) log-probabilities of the validation images. `parameters` counts
        the numbers that must be kept: the stored images' pooled features.
    """
    several = [k for k in NEIGHBOURS if k <= len(training)]
    log_p = [torch.from_numpy(np.log(_fitted(training, validation, k))) for k in several]
    nobody = Path.of([[0]])  # a name for errors
    scores = [fitnesses(p[None], validation.labels, settings.search.fitness, [nobody])[0].score for p in log_p]
    at = choose_smallest(scores, [-k for k in several], errors_of(log_p, validation, settings)[1])
    kept = len(training) + (len(validation) if settings.training.refit else 0)
    facts = {
        "path": None,
        "k": several[at],
        "parameters": kept * training.views[0].shape[1],
        "candidates": [{"k": k, "validation_accuracy": s} for k, s in zip(several, scores, strict=True)],
        "chosen": at,
        "images": {"search": 0, "candidates": 0, "refit": 0},  # stored, not trained on
        "evaluations": 0,
    }
    return facts, log_p[at]


def answers(training: Split, validation: Split, split: Split, k: int, refit: bool) -> np.ndarray:
    """(n, K) probabilities of a split's images; `refit` stores the validation images beside the training ones."""
    return _fitted(training.joined(validation) if refit else training, split, k)


def _fitted(known: Split, asked: Split, k: int) -> np.ndarray:
    """Shares of the classes among the k nearest, one more image of each class counted, so that none is zero."""
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(k))
    model.fit(known.pooled().numpy(), known.labels.numpy())
    if not len(asked):
        return np.zeros((0, len(model.classes_)))
    shares = model.predict_proba(asked.pooled().numpy())
    return np.asarray((k * shares + 1) / (k + shares.shape[1]))
