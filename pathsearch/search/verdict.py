"""A comparison in plain sentences: than what the evolved path is better or worse, and what was not asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pathsearch.grid.path import PROBE
from pathsearch.measures.measure import NAMES as MEASURES
from pathsearch.measures.measure import MeasureName
from pathsearch.measures.standing import BETTER, UNDECIDED, WORSE, how_many, p_in_words, standing, told, too_few
from pathsearch.measures.statistics import FEWEST_SEEDS, SURE, Corrected, Spread, corrected, over_seeds
from pathsearch.search.comparison_report import (
    Against,
    ComparisonReport,
    EquivalenceReport,
    FrontsReport,
    MethodReport,
    SplitName,
)
from pathsearch.search.rivals import SAMPLE

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
PATH = "the evolved path"
COSTS: tuple[Literal["path_images", "images", "operations"], ...] = ("path_images", "images", "operations")
SAMPLE_WORDS = f"{SAMPLE} visited paths a seed at most"


def verdict(found: Mapping[str, Any]) -> list[str]:
    """How the evolved path stands to each control on test, by the measure that was maximised and by size.

    Also whether fitness ranks truly. A report of an earlier version is read anew.
    """
    report = cast("ComparisonReport", found)
    seeds = len(report["seeds"])
    if report["methods"]["evolved"]["test"]["accuracy"]["mean"] is None:
        return ["There are no test images: nothing was compared on test."]
    measure, rows = on_measure(report)
    lines = [_against(report, method, measure, row) for method, row in rows.items()]
    lines += _probes(report["methods"])
    if fronts := report.get("fronts"):  # the earliest reports have none
        for split in fronts["against"]:
            lines.append(_fronts(fronts, split))
            lines += [_above_largest_class(fronts, split)] if "above_largest_class" in fronts else []
    if (equivalence := report.get("equivalence")) is not None:
        lines.append(_equivalence(equivalence))
    if left_out := report.get("left_out"):  # reports of earlier versions have none
        lines.append(f"Left out of this comparison: {', '.join(NAMES[method] for method in left_out)}.")
    if all("path_images" in row for row in report["methods"].values()):  # reports of earlier versions have none
        lines.append(_spent(report["methods"]))
    if seeds < FEWEST_SEEDS:
        lines.append(f"{seeds} seeds are too few for a test over seeds; {FEWEST_SEEDS} or more allow one.")
    tau = report["rank_fidelity"]["tau"]
    if tau["mean"] is not None:
        lines.append(
            f"Search fitness ranks paths as their own training does with Kendall's tau {_words(tau, 2)} (1: the same "
            f"order, 0: none), over {SAMPLE_WORDS}."
        )
    return lines


def _spent(methods: Mapping[str, MethodReport]) -> str:
    """What each method's training cost, at equal path-images."""
    each = []
    for method, row in methods.items():
        seen, images, operations = (row[kind]["mean"] for kind in COSTS)
        if seen:
            each.append(f"{NAMES[method]} {seen:,.0f} ({images:,.0f} images; {operations:.2g} operations)")
    return (
        "Budget: each control got the path-images of the evolved path's search and finalists; with refits, and whole "
        f"generations and trainings, means over seeds are: {', '.join(each)}."
    )


def comparison_verdict(report: Mapping[str, Any]) -> list[str]:
    """The verdict in today's words where the report has what they need, else as it was written."""
    known = {"against", "rank_fidelity", "methods", "seeds"} <= set(report)
    return verdict(report) if known else list(report.get("verdict", []))


def on_measure(report: ComparisonReport) -> tuple[MeasureName, Mapping[str, Corrected]]:
    """The measure that the search maximised, and the evolved path's test over seeds against each control by it."""
    measure = report.get("measure") or _measure_of_then(report)
    if measure == "accuracy":
        return measure, report["against"]
    rates = {method: [one["test"][measure] or 0.0 for one in row["each"]] for method, row in report["methods"].items()}
    return measure, corrected({method: over_seeds(rates["evolved"], rates[method]) for method in report["against"]})


def _measure_of_then(report: ComparisonReport) -> MeasureName:
    """Where earlier reports have it."""
    return report.get("budget", {}).get("settings", {}).get("search", {}).get("fitness", "accuracy")


def _against(report: ComparisonReport, method: str, measure: MeasureName, row: Corrected) -> str:
    own, other = (report["methods"][name]["test"][measure] for name in ("evolved", method))
    both = both_probes(report, method)
    clause = told(PATH, _named(method), row["difference"], row["p_holm"])
    test = "no test over seeds"
    if row["p_holm"] is not None:
        test = f"paired t-test over {len(report['seeds'])} seeds {p_in_words(row['p_holm'])} after Holm"
    return (
        f"On test, {clause}: {MEASURES[measure]} {_words(own)} against {_words(other)}; {test}; "
        f"{_seed_by_seed(report['against'][method])}{both and f'; {both}'}."
    )


def both_probes(report: ComparisonReport, method: str) -> str:
    """At how many seeds the evolved path and a method's are one network, the linear probe; "" where at none."""
    own, other = (at_probe(report["methods"].get(name, {})) for name in ("evolved", method))
    n = sum(one and two for one, two in zip(own, other, strict=False))
    return f"at {n} of {len(own)} seeds both are the linear probe" if n else ""


def at_probe(row: Mapping[str, Any]) -> list[bool]:
    """Of each seed, whether what a method chose is the linear probe; reports of earlier versions may not say."""
    return [str(one.get("path")).partition("@")[0] == str(PROBE) for one in row.get("each", [])]


def _probes(methods: Mapping[str, MethodReport]) -> list[str]:
    """One sentence where a method that chooses among paths chose the linear probe, which is a path of every space."""
    chosen = {name: at_probe(row) for name, row in methods.items() if name != "linear_probe"}
    if not any(map(any, chosen.values())):
        return []
    own = chosen.pop("evolved")
    others = [f"{NAMES[name]} at {sum(its)}" for name, its in chosen.items() if any(its)]
    return [
        f"At {sum(own)} of {len(own)} seeds the evolved path is the linear probe itself, a candidate here"
        f"{(others and '; so is the choice of ' + ', '.join(others)) or ''}."
    ]


def _seed_by_seed(row: Against) -> str:
    """The tests on the test images at each seed; reports of earlier versions have McNemar's alone."""
    if "paired" in row:
        tests, answers = "the paired test", [standing(one["difference"] or 0, one["p"]) for one in row["paired"]]
    else:
        tests, answers = "McNemar's test", [standing(one["b"] - one["c"], one["p"]) for one in row["mcnemar"]]
    n = how_many(answers)
    return (
        f"by {tests} on the images it is better at {n[BETTER]} of {len(answers)} seeds, worse at {n[WORSE]}, and at "
        f"{n[UNDECIDED]} no difference is shown{too_few(row.get('paired', []))}"
    )


def _fronts(fronts: FrontsReport, split: SplitName) -> str:
    """One sentence: the evolved front's hypervolume on a split beside every other's."""
    volumes = {method: row["hypervolume"][split] for method, row in fronts["methods"].items()}
    return (
        f"Accuracy against parameters on {split}: the evolved front's hypervolume, {_words(volumes['evolved'], 3)}, "
        f"is {_others(volumes, fronts['against'][split])}."
    )


def _above_largest_class(fronts: FrontsReport, split: SplitName) -> str:
    """The same above the largest class's share."""
    found = fronts["above_largest_class"]
    volumes = {method: row[split] for method, row in found["hypervolume"].items()}
    return (
        f"Counted from {found['accuracy'][split]:.3f}, the largest class's share of {split}, in place of the linear "
        f"probe's accuracy, that hypervolume, {_words(volumes['evolved'], 3)}, is "
        f"{_others(volumes, found['against'][split])}."
    )


def _others(volumes: Mapping[str, Spread], against: Mapping[str, Corrected]) -> str:
    words = {BETTER: "larger than", WORSE: "smaller than", UNDECIDED: "not shown to differ from"}
    others = []
    for method, row in against.items():
        p = "" if row["p_holm"] is None else f", {p_in_words(row['p_holm'])}"
        clause = words[standing(row["difference"], row["p_holm"])]
        others.append(f"{clause} that of {_named(method)} ({_words(volumes[method], 3)}{p})")
    return "; ".join(others)


def _equivalence(found: EquivalenceReport) -> str:
    row, share, margin = found["test"], found["share"], f"{100 * found['margin']:g} points"
    size = "–" if share["mean"] is None else f"{100 * share['mean']:.1f} %"
    gap = f"{100 * row['difference']:+.2f} points on test, {size} of the parameters"
    if row["p"] is None or row["ci90"] is None:
        return f"Against the full grid: {gap}; whether that is within {margin} was not tested."
    low, high = (100 * bound for bound in row["ci90"])
    said = "is within" if row["p"] < SURE else "is not shown to be within"
    return (
        f"The evolved path {said} {margin} of the full grid: {gap} (90 % interval {low:+.2f} to {high:+.2f}, "
        f"equivalence p = {row['p']:.2g})."
    )


def _named(method: str) -> str:
    return f"the {NAMES[method]}" if method in ONE else NAMES[method]


def _words(rate: Spread, digits: int = 4) -> str:
    return f"{rate['mean']:.{digits}f}" + (f" ± {rate['sd']:.{digits}f}" if rate["sd"] is not None else "")
