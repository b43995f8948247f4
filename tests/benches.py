"""Benches over planted features, and over the tasks of the small world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pathsearch.encoders.split import Split, Standardiser
from pathsearch.grid.path import PROBE
from pathsearch.run.settings import RunSettings, SearchSettings, TrainingSettings
from pathsearch.targets.classes import ClassTarget
from pathsearch.training.baselines import train_path
from pathsearch.training.bench import Bench
from pathsearch.training.last_training import Trained


def bench(
    splits: Sequence[Split],
    search: SearchSettings | None = None,
    last: TrainingSettings | None = None,
    seed: int = 0,
    *,
    task: str = "planted",
) -> Bench:
    """Of training and validation features; their shape is what the grid reads."""
    settings = RunSettings(task, "random", seed, search=search or SearchSettings(), training=last or TrainingSettings())
    training, validation = splits
    classes = [f"class {k}" for k in range(int(max(split.truth.max() for split in splits)) + 1)]
    return Bench(settings, ClassTarget(classes), training.views[0].shape[1:], training, validation)


def labelled(labels: Tensor) -> Split:
    """Images of which only the classes are known."""
    n, one = len(labels), torch.ones(1, 1, 1)
    return Split("val", labels, (np.zeros((n, 1, 1, 1), np.float16),), (np.arange(n),), Standardiser(0 * one, one))


def train_probe(of: Bench) -> Trained:
    """The linear probe's last training."""
    return train_path(of, of.grid(), PROBE)
