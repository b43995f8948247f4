"""A comparison in plain sentences: what the evolved path beats, what it does not, and what was not asked."""

from __future__ import annotations

from typing import Any

from pathsearch.rivals import SAMPLE
from pathsearch.statistics import FEWEST_SEEDS, SURE

NAMES = {
    "evolved": "evolved path",
    "random_search": "random search",
    "pathnet": "sequential PathNet",
    "random_paths": "random paths",
    "ladder": "ladder",
    "full_grid": "full grid",
    "linear_probe": "linear probe",
    "nearest": "nearest neighbours",
}

ONE = ("ladder", "full_grid", "linear_probe")  # of which there is one: they take an article
SAMPLE_WORDS = f"{SAMPLE} visited paths a seed at most"


def verdict(report: dict[str, Any]) -> list[str]:
    """Which controls the evolved path beats on test, in accuracy and in size, and whether fitness ranks truly."""
    seeds = len(report["seeds"])
    if report["methods"]["evolved"]["test"]["accuracy"]["mean"] is None:
        return ["There are no test images: nothing was compared on test."]
    lines = [_accuracy(report, method) for method in report["against"]]
    for split in report["fronts"]["against"]:
        lines += [_fronts(report["fronts"], split), _above_largest_class(report["fronts"], split)]
    if report["equivalence"] is not None:
        lines.append(_equivalence(report["equivalence"]))
    if left_out := report.get("left_out"):  # reports of earlier versions have none
        lines.append(f"Left out of this comparison: {', '.join(NAMES[method] for method in left_out)}.")
    if seeds < FEWEST_SEEDS:
        lines.append(f"{seeds} seeds are too few for a test over seeds; {FEWEST_SEEDS} or more allow one.")
    tau = report["rank_fidelity"]["tau"]
    if tau["mean"] is not None:
        lines.append(
            f"Search fitness ranks paths as their own training does with Kendall's tau {_words(tau, 2)} (1: the same "
            f"order, 0: none), over {SAMPLE_WORDS}."
        )
    return lines


def _accuracy(report: dict[str, Any], method: str) -> str:
    own, other = (report["methods"][name]["test"]["accuracy"] for name in ("evolved", method))
    row, seeds = report["against"][method], len(report["seeds"])
    images = sum(one["p"] < SURE and one["b"] > one["c"] for one in row["mcnemar"])
    worse = sum(one["p"] < SURE and one["b"] < one["c"] for one in row["mcnemar"])
    test = f"paired t-test p = {row['p_holm']:.2g} after Holm" if row["p_holm"] is not None else "no test over seeds"
    return (
        f"The evolved path {_relation(row)} {_named(method)} on test: {_words(own)} against {_words(other)} ({test}); "
        f"McNemar's test favours it on {images} of {seeds} seeds, the other on {worse}."
    )


def _fronts(fronts: dict[str, Any], split: str) -> str:
    """One sentence: the evolved front's hypervolume on a split beside every other's."""
    volumes = {method: row["hypervolume"][split] for method, row in fronts["methods"].items()}
    return (
        f"Accuracy against parameters on {split}: the evolved front's hypervolume, {_words(volumes['evolved'], 3)}, "
        f"{_others(volumes, fronts['against'][split])}."
    )


def _above_largest_class(fronts: dict[str, Any], split: str) -> str:
    """The same above the largest class's share."""
    found = fronts["above_largest_class"]
    volumes = {method: row[split] for method, row in found["hypervolume"].items()}
    return (
        f"Counted from {found['accuracy'][split]:.3f}, the largest class's share of {split}, in place of the linear "
        f"probe's accuracy, that hypervolume is {_words(volumes['evolved'], 3)}, and it "
        f"{_others(volumes, found['against'][split])}."
    )


def _others(volumes: dict[str, Any], against: dict[str, Any]) -> str:
    others = []
    for method, row in against.items():
        p = "" if row["p_holm"] is None else f", p = {row['p_holm']:.2g}"
        others.append(f"{_relation(row)} that of {_named(method)} ({_words(volumes[method], 3)}{p})")
    return "; ".join(others)


def _equivalence(found: dict[str, Any]) -> str:
    row, share, margin = found["test"], found["share"], f"{100 * found['margin']:g} points"
    gap = f"{100 * row['difference']:+.2f} points on test, {100 * share['mean']:.1f} % of the parameters"
    if row["p"] is None:
        return f"Against the full grid: {gap}; whether that is within {margin} was not tested."
    low, high = (100 * bound for bound in row["ci90"])
    said = "is within" if row["p"] < SURE else "is not shown to be within"
    return (
        f"The evolved path {said} {margin} of the full grid: {gap} (90 % interval {low:+.2f} to {high:+.2f}, "
        f"equivalence p = {row['p']:.2g})."
    )


def _relation(row: dict[str, Any]) -> str:
    if row["p_holm"] is not None and row["p_holm"] < SURE:
        return "beats" if row["difference"] > 0 else "is worse than"
    return "does not beat" if row["difference"] <= 0 else "is above, but not beyond the luck of seeds,"


def _named(method: str) -> str:
    return f"the {NAMES[method]}" if method in ONE else NAMES[method]


def _words(rate: dict[str, Any], digits: int = 4) -> str:
    return f"{rate['mean']:.{digits}f}" + (f" ± {rate['sd']:.{digits}f}" if rate["sd"] is not None else "")
