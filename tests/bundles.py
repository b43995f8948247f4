"""Bundles of the small world."""

from __future__ import annotations

import functools
from pathlib import Path

from small_world import data_dir, finished, scratch

from pathsearch.experts import bundle
from pathsearch.run.teller import Silent

TASKS = ("stripes", "blobs")


def write(out: Path, names=TASKS, runs=None, with_encoder=False, overwrite=False):
    chosen, extras = runs or [finished(name) for name in names], bundle.Extras(encoder=with_encoder)
    return bundle.write(chosen, data_dir(), out, Silent(), extras, overwrite=overwrite)


@functools.cache
def written() -> Path:
    """A bundle of both tasks, with the encoder inside; read-only."""
    out = scratch() / "bundle"
    write(out, with_encoder=True)
    return out
