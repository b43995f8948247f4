"""Bundles of the small world."""

from __future__ import annotations

import functools
from pathlib import Path

from small_world import (
    data_dir,
    finished,
    scratch,
)

from pathsearch.experts import bundle
from pathsearch.run.teller import Silent

TASKS = ("stripes", "blobs")


def write(out: Path, names=TASKS, runs=None, **options):
    return bundle.write(runs or [finished(name) for name in names], data_dir(), out, Silent(), **options)


@functools.cache
def written() -> Path:
    """A bundle of both tasks, with the encoder inside; read-only."""
    out = scratch() / "bundle"
    write(out, with_encoder=True)
    return out
