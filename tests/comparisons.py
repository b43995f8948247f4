"""Comparisons of the small world: one finished for all test files, and what makes others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from small_world import CPU, data_dir, encoder, scratch, settings, task
from threadpoolctl import threadpool_limits

from pathsearch.encoders.features import encode
from pathsearch.run.place import Place
from pathsearch.run.settings import RunSettings
from pathsearch.run.teller import Silent, Teller
from pathsearch.search.compare import compare
from pathsearch.search.comparison import Comparison
from pathsearch.training.bench import Bench

SEEDS = 2


def chosen(**options: Any) -> RunSettings:
    return replace(settings("blobs", generations=2, **options), data=task("blobs").fingerprint)


def run(
    runs_dir: Path,
    of: RunSettings | None = None,
    seeds: int = SEEDS,
    tell: Teller | None = None,
    without: Sequence[str] = (),
) -> tuple[Comparison, dict[str, Any]]:
    of = of or chosen()
    comparison = Comparison.of(runs_dir, of, seeds, encoder(), without)
    with threadpool_limits(1):
        report = compare(
            task("blobs"), encoder(), of, seeds, comparison, Place(data_dir() / "features", CPU, tell or Silent())
        )
    return comparison, report


def timeless(value: Any) -> Any:
    """A report without how long its parts took."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "seconds"}
    return [timeless(v) for v in value] if isinstance(value, list) else value


@cache
def compared() -> tuple[Comparison, dict[str, Any]]:
    """A finished comparison of `SEEDS` seeds."""
    return run(scratch() / "compared")


def bench(of: RunSettings | None = None) -> Bench:
    features = encode(task("blobs"), encoder(), data_dir() / "features")
    return Bench.of(of or chosen(), encoder(), features, Place(data_dir() / "features"))
