"""What several test files of this room share."""

from __future__ import annotations

import pytest
from small_world import settings

from pathsearch.run.runs import Run
from pathsearch.run.settings import RunSettings


@pytest.fixture
def plain() -> RunSettings:
    return RunSettings("ecg", "random")


@pytest.fixture
def run(tmp_path) -> Run:
    opened = Run(tmp_path / "runs" / "t-random-s0")
    opened.open(settings("blobs"), resume=False, overwrite=False)
    return opened
