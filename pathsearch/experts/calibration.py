"""Is the share of rejected images what was promised? Asked of test images that nothing was fixed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from pathsearch.experts.router import Territory
from pathsearch.measures.clusters import clusters
from pathsearch.measures.intervals import Interval, rate_interval

RATES = (0.005, 0.01, 0.02, 0.05, 0.1)


class Rejection(TypedDict):
    """Shares of a task's test images beyond its own threshold, by promised rate."""

    n_validation: int
    n_test: int
    promised: list[float]
    observed: list[float]
    ci95: list[Interval]


def calibration(
    territories: Mapping[str, Territory],
    tests: Mapping[str, Tensor],
    groups: Mapping[str, np.ndarray | None] | None = None,
) -> dict[str, Rejection | None]:
    """Share of each task's test images beyond its own threshold, at several promised rates.

    Args:
        territories: of the tasks.
        tests: (n, C) the router's view of each task's test images.
        groups: (n,) names of what each task's images come from, "" where unknown; None where nothing is known.

    Returns:
        For each task `n_validation`, `n_test`, `promised` rates, `observed` shares and their `ci95`, by image or by
        group as accuracy's; None for a task whose router file kept no validation distances, or without test images.
        Other tasks' territories play no part here: an image that its own task rejects may still be claimed by another.
    """
    return {task: _of_task(territory, tests[task], (groups or {}).get(task)) for task, territory in territories.items()}


def _of_task(territory: Territory, test: Tensor, groups: np.ndarray | None) -> Rejection | None:
    if not len(territory.validation) or not len(test):
        return None
    distances = territory.distance(test)
    thresholds = torch.tensor([territory.at(rate).threshold for rate in RATES], dtype=torch.float64)
    beyond = (distances[:, None] > thresholds).numpy()
    numbers = clusters(groups, len(test))
    return {
        "n_validation": len(territory.validation),
        "n_test": len(test),
        "promised": list(RATES),
        "observed": beyond.mean(0).tolist(),
        "ci95": [pair for own in beyond.T if (pair := rate_interval(own, numbers)) is not None],
    }
