"""A model from pixels whose tasks ask for masks and for classes: what tests of its answers share."""

from __future__ import annotations

import functools
from pathlib import Path

from dense_world import dense_data, dense_task, train
from small_world import scratch

import pathsearch
from pathsearch.experts import bundle
from pathsearch.experts.predict import Predictor
from pathsearch.run.runs import Run
from pathsearch.run.teller import Silent

TASKS = ("discs", "sizes")  # a mask; a class


@functools.cache
def dense_runs() -> dict[str, Run]:
    """A finished run of each, made once."""
    folder = scratch() / "dense-answers"
    for name in TASKS:
        done = train(folder, task=name)
        assert done.code == 0, done
        assert "next: pathsearch joint-eval" in done.out + done.err
    return {name: Run(folder / f"{name}-random-s0") for name in TASKS}


@functools.cache
def dense_bundle() -> Path:
    out = scratch() / "dense-bundle"
    bundle.write(list(dense_runs().values()), dense_data(), out, Silent())
    return out


@functools.cache
def predictor() -> Predictor:
    return pathsearch.load(dense_bundle())


def images(task: str, split: str = "val") -> list[Path]:
    prepared = dense_task(task)
    return [prepared.files()[row] for row in prepared.rows(split)]
