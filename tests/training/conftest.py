"""What several test files of this room share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()
