"""What several test files of this room share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joined import NAMES, evaluated
from small_world import copied, finished

from pathsearch.run.runs import Run


@pytest.fixture
def report() -> dict[str, Any]:
    return json.loads(evaluated())


@pytest.fixture
def runs(tmp_path) -> list[Run]:
    """Copies of both runs, to be damaged."""
    return [copied(finished(name), tmp_path) for name in NAMES]
