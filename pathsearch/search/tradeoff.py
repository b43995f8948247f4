"""What size buys: every method's front of accuracy against parameters, and whether the full grid is matched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from pathsearch.encoders.split import Split
from pathsearch.grid.grid import Grid, count
from pathsearch.measures.fronts import Frame
from pathsearch.measures.statistics import Corrected, Spread, corrected, equivalence, over_seeds, spread
from pathsearch.search.arena import Entry
from pathsearch.search.comparison_report import EquivalenceReport, Front, Fronts, FrontsReport, Point, SplitName
from pathsearch.search.rivals import front_answers
from pathsearch.training.bench import Bench

FRONTED = ("evolved", "random_search", "pathnet", "random_paths", "ladder")  # candidates of several sizes
MARGIN = 0.002  # 0.2 points: less is called the full grid's accuracy
SPLITS: tuple[SplitName, ...] = ("validation", "test")


def read_front(bench: Bench, entry: Entry, test: Split) -> Front:
    """One method's front at one seed: candidates that no other beats on validation, and what they say on test."""
    rows = [entry.facts["candidates"][i] for i in entry.front]
    said = front_answers(bench, entry, test).values() if len(test) else [None] * len(rows)
    return {
        "seed": entry.facts["seed"],
        "paths": [row["path"] for row in rows],
        "parameters": [row["parameters"] for row in rows],
        "validation": [row["validation_accuracy"] for row in rows],
        "test": [
            None if one is None else float(bench.target.quality(one, test.truth, row["threshold"]).mean())
            for one, row in zip(said, rows, strict=True)
        ],
    }


def fronts_report(
    each: dict[str, list[Front]], methods: dict[str, Any], sizes: tuple[int, int], blind: dict[SplitName, float]
) -> FrontsReport:
    """Fronts with their hypervolumes, seed by seed, and the evolved one against the others.

    Args:
        each: by method, what `read_front` said at each seed.
        methods: the report's; the linear probe's mean accuracy on a split is that split's floor.
        sizes: parameters of the smallest path and of the full grid.
        blind: by split, the accuracy of who always answers the largest class: another floor.

    Returns:
        `reference`; `points`, linear probe and full grid, if it takes part, as single networks; `methods`, each with
        its `hypervolume` by split, `share_within`, the share of the full grid's parameters that its smallest network
        within `MARGIN` of the full grid on validation has (None at a seed without one, and without a full grid), and
        `each` front; `against` by split, as the report's own; `above_largest_class`, the same hypervolumes
        by method and their `against`, but above the `accuracy` of who always answers the largest class: there networks
        below the probe count too, down to the smallest that have learnt anything.
    """
    splits = [split for split in SPLITS if methods["linear_probe"][split]["n"]]
    names: tuple[str, ...] = ("full_grid", "linear_probe")
    points = {name: _point(methods[name], splits) for name in names if name in methods}
    probe: dict[SplitName, float] = {split: points["linear_probe"][split]["mean"] or 0.0 for split in splits}
    largest_class = {split: blind[split] for split in splits}
    volumes, above = (_hypervolumes(each, sizes, floors) for floors in (probe, largest_class))
    rows: dict[str, Fronts] = {}
    for method, several in each.items():
        bars = points["full_grid"]["validation"]["each"] if "full_grid" in points else [None] * len(several)
        within = [_share_within(one, bar, sizes[1]) for one, bar in zip(several, bars, strict=True)]
        name = methods[method]["name"]
        rows[method] = {"name": name, "hypervolume": volumes[method], "share_within": spread(within), "each": several}
    return {
        "reference": {
            "parameters": list(sizes),
            "accuracy": probe,
            "in_words": "share of the area above the linear probe's mean accuracy that lies below a front, from the "
            "grid's smallest path to the full grid, logarithm of the parameters; on validation the most probable class "
            "counts, as in every choice; on test the threshold fixed on validation, and the networks of the validation "
            "front, none chosen anew",
        },
        "points": points,
        "methods": rows,
        "against": {split: _against(volumes, split) for split in splits},
        "above_largest_class": {
            "accuracy": largest_class,
            "hypervolume": above,
            "against": {split: _against(above, split) for split in splits},
        },
    }


def _hypervolumes(
    each: dict[str, list[Front]], sizes: tuple[int, int], floors: dict[SplitName, float]
) -> dict[str, dict[SplitName, Spread]]:
    """By method and split, over seeds."""
    frames = {split: Frame(*sizes, floor) for split, floor in floors.items()}
    return {
        method: {
            split: spread([frame.hypervolume(one["parameters"], _known(one[split])) for one in several])
            for split, frame in frames.items()
        }
        for method, several in each.items()
    }


def _point(row: dict[str, Any], splits: Sequence[SplitName]) -> Point:
    """A method of one size; on validation its accuracy is that which candidates are chosen by, without a threshold."""
    chosen = [one["candidates"][one["chosen"]]["validation_accuracy"] for one in row["each"]]
    rates = {"validation": chosen, "test": [one["test"]["accuracy"] for one in row["each"]]}
    found = {split: spread(rates[split]) for split in splits}
    return cast("Point", {"name": row["name"], "parameters": row["parameters"]["mean"], **found})


def _share_within(one: Front, bar: float | None, largest: int) -> float | None:
    if bar is None:
        return None
    good = [n for n, rate in zip(one["parameters"], one["validation"], strict=True) if rate >= bar - MARGIN]
    return min(good) / largest if good else None


def _known(values: Sequence[float | None]) -> list[float]:
    """Values of splits that have images: none of them is missing."""
    known = [value for value in values if value is not None]
    assert len(known) == len(values)
    return known


def _against(hypervolumes: dict[str, dict[SplitName, Spread]], split: SplitName) -> dict[str, Corrected]:
    volumes = {method: _known(by_split[split]["each"]) for method, by_split in hypervolumes.items()}
    return corrected(
        {method: over_seeds(volumes["evolved"], each) for method, each in volumes.items() if method != "evolved"}
    )


def equivalence_report(methods: dict[str, Any]) -> EquivalenceReport:
    """Whether the evolved path has the full grid's accuracy, within `MARGIN`, and with what share of its parameters."""
    own, full = (methods[method]["each"] for method in ("evolved", "full_grid"))
    share = [one["parameters"] / whole["parameters"] for one, whole in zip(own, full, strict=True)]
    tests = {
        split: equivalence([one[split]["accuracy"] for one in own], [one[split]["accuracy"] for one in full], MARGIN)
        for split in SPLITS
        if methods["evolved"][split]["n"]
    }
    return cast("EquivalenceReport", {"margin": MARGIN, "share": spread(share), **tests})


def sizes_of(grid: Grid, task: str) -> tuple[int, int]:
    """Parameters of a grid's smallest path and of the full grid, with the task's head."""
    smallest: Sequence[int] = [min(layer) for layer in grid.module_parameters()]
    return int(np.sum(smallest)) + count(grid.heads[task]), grid.count_parameters(grid.space.full_path(), task)
