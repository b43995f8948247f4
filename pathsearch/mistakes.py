"""The wrong answers that a path was surest of: what a reader asks to see first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.manifest import Task
from pathsearch.metrics import UNKNOWN

SHOWN = 12  # fills a printed page with small pictures


def most_confident(
    task: Task, said: np.ndarray, sure: np.ndarray, names: Sequence[str], true: np.ndarray, shown: int = SHOWN
) -> dict[str, Any]:
    """The test images that were answered wrongly with the highest probability of the answer.

    Args:
        task: of the images.
        said: (n,) index into `names` for each test image, or -1 for "unknown", which is no mistake here.
        sure: (n,) probability of what was said.
        names: K classes; in a mixture of tasks those of all tasks.
        true: (n,) index into `names`.
        shown: entries at most.

    Returns:
        `n` test images, how many of them are `wrong`, and `shown`: their `task`, image `file`, `true` and `said`
        class, and the `probability` of what was said, falling.
    """
    wrong = np.flatnonzero((said != true) & (said != UNKNOWN))
    files = task.table["file"].to_numpy()[task.rows("test")]
    rows = [
        {
            "task": task.name,
            "file": str(files[i]),
            "true": names[int(true[i])],
            "said": names[int(said[i])],
            "probability": float(sure[i]),
        }
        for i in wrong[np.argsort(-sure[wrong], kind="stable")][:shown]
    ]
    return {"n": len(said), "wrong": len(wrong), "shown": rows}


def together(parts: Sequence[dict[str, Any]], shown: int = SHOWN) -> dict[str, Any]:
    """The mistakes of several tasks as one list, the surest first."""
    rows = [row for part in parts for row in part["shown"]]
    rows.sort(key=lambda row: -row["probability"])
    return {
        "n": sum(part["n"] for part in parts),
        "wrong": sum(part["wrong"] for part in parts),
        "shown": rows[:shown],
    }
