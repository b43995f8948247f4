"""A joint evaluation of the small world, made once for all test files."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from small_world import data_dir, finished, place

from pathsearch.experts import joint
from pathsearch.run.runs import Run

NAMES = ("stripes", "blobs")


def evaluate(runs: Sequence[Run] | None = None, seed: int = 0, data: Path | None = None) -> dict[str, Any]:
    chosen = list(runs or map(finished, NAMES))
    return joint.joint_evaluate(chosen, data or data_dir(), place(), seed)


@functools.cache
def evaluated() -> str:
    return json.dumps(evaluate(), allow_nan=False)
