"""The page of a comparison: verdict first, then the methods, the tests between them, and whatever else is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pathsearch.measures.measure import NAMES as MEASURES
from pathsearch.measures.measure import MeasureName
from pathsearch.measures.standing import too_few
from pathsearch.measures.statistics import Corrected, Spread
from pathsearch.reports import page_tables as tables
from pathsearch.reports.page_source import Source
from pathsearch.reports.page_tables import DASH, Table, number
from pathsearch.search.comparison_report import AboveLargestClass, ComparisonReport, Fronts, FrontsReport
from pathsearch.search.verdict import both_probes, comparison_verdict, on_measure

ASIDE = (
    "kind",
    "verdict",
    "command",
    "split_in_words",
    "question",
    "left_out",
    "intervals",
)  # told elsewhere, or not shown
RATES: dict[MeasureName, str] = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "auc": "AUC"}


def comparison_page(source: Source[ComparisonReport]) -> dict[str, Any]:
    """What the template `comparison.html.j2` shows; a report of another form is shown value by value."""
    report = source.report
    task = report.get("task", source.folder.name)
    split = f"Split: {report['split_in_words']}." if "split_in_words" in report else ""
    known = _is_known(report.get("methods")) and "seeds" in report
    found: list[tuple[str, Table | None]] = []
    aside: tuple[str, ...] = ASIDE
    if known:
        found += [("Every method", _methods(report, split)), ("The evolved path against each", _against(report, split))]
        found.append(("What each was given", _given(report, split)))
        aside += ("methods", "against")
    if known and report.get("fronts"):
        found.append(("Accuracy against parameters", _fronts(report["fronts"], split)))
        if above := report["fronts"].get("above_largest_class"):  # reports of earlier versions have none
            table = _above_largest_class(above, report["fronts"]["methods"], split)
            found.append(("Accuracy against parameters, from the largest class on", table))
        aside += ("fronts",)
    if known and (fidelity := _fidelity(report, split)):
        found.append(("Does fitness rank paths truly?", fidelity))
        aside += ("rank_fidelity",)
    rest = {key: value for key, value in report.items() if key not in aside and value is not None}
    nested = {key: value for key, value in rest.items() if _is_nested(value)}
    single = {key: value for key, value in rest.items() if key not in nested}
    if single:
        found.append(("What it stands on", tables.facts(single, "From report.json.")))
    for key, value in nested.items():
        title = key.replace("_", " ").capitalize()
        found.append((title, _table(value, f"{title}.")))
    return {
        "title": f"{task}: a comparison",
        "kind": "Comparison",
        "question": report.get(
            "question", f"Does searching pay on {task}? The evolved path beside other ways, at equal budget."
        ),
        "answer": _answer(report, split) if known else split,
        "verdict": comparison_verdict(report),
        "key_numbers": [],
        "figures": source.figures("comparison", "fronts", *source.other_figures()),
        "tables": [(title, table) for title, table in found if table is not None],
        "versions": tables.facts(source.env or {}, "Machine and library versions, from env.json."),
        "command": report.get("command"),
    }


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value))


def _is_known(methods: Any) -> bool:
    rows = list(methods.values()) if isinstance(methods, Mapping) else []
    return bool(rows) and all(isinstance(row, Mapping) and {"name", "parameters", "test"} <= set(row) for row in rows)


def _answer(report: ComparisonReport, split: str) -> str:
    rows = [(mean, row) for row in report["methods"].values() if (mean := row["test"]["accuracy"]["mean"]) is not None]
    if not rows:
        return f"There are no test images. {split}"
    _, best = max(rows, key=lambda row: row[0])
    return (
        f"Of {len(rows)} ways over {len(report['seeds'])} seeds, {best['name']} has the highest mean test accuracy, "
        f"{_spread(best['test']['accuracy'])}, n = {best['test']['n']:,}. {split}"
    )


def _methods(report: ComparisonReport, split: str) -> Table:
    rows = list(report["methods"].values())
    test, seeds = rows[0]["test"]["n"], len(report["seeds"])
    return Table(
        f"Test, n = {test:,}; last column validation, where all was chosen. Mean ± standard deviation over {seeds} "
        f"seeds. {split}",
        ["Method", "Parameters", *(f"Test {words}" for words in RATES.values()), "Validation accuracy"],
        [
            [
                row["name"],
                f"{row['parameters']['mean']:,.0f}",
                *(_spread(row["test"].get(rate)) for rate in RATES),
                _spread(row["validation"].get("accuracy") if "validation" in row else None),
            ]
            for row in rows
        ],
        strong=next((i for i, name in enumerate(report["methods"]) if name == "evolved"), None),
    )


def _against(report: ComparisonReport, split: str) -> Table | None:
    rows, tests = [], set()
    measure, on_test = on_measure(report) if report.get("against") else ("accuracy", {})
    for method, on_images in (report.get("against") or {}).items():
        mcnemar, paired = on_images.get("mcnemar") or [], on_images.get("paired") or []
        tests |= {f" ({one['test']}{too_few([one])})" for one in paired if one.get("test")}
        row = on_test[method]
        pair = row.get("ci95")
        name = report["methods"][method]["name"] if method in report["methods"] else method
        rows.append(
            [
                f"{name} ({both})" if (both := both_probes(report, method)) else name,
                number(row.get("difference")),
                f"{pair[0]:.4f} to {pair[1]:.4f}" if pair else DASH,
                *map(_p, (row.get("p"), row.get("p_holm"), row.get("wilcoxon_p"))),
                ", ".join(_p(one["p"]) for one in paired) or DASH,
                ", ".join(f"{one['b']}:{one['c']} ({one['p']:.2g})" for one in mcnemar) or DASH,
            ]
        )
    heads = [
        "Against",
        "Difference",
        "95 % interval",
        "Paired t, p",
        "After Holm",
        "Wilcoxon, p",
        "On the images, p, each seed",
        "McNemar (p), each seed",
    ]
    told = (
        f"Difference of test {MEASURES[measure]}, which the search maximised, evolved path less the other, over seeds; "
        "its 95 % interval is Student's t over seeds, so it covers other seeds, not other images. On the images: the "
        f"paired test of the same measure{', '.join(sorted(tests))}. McNemar, of accuracy, image by image: images only "
        "the one : only the other has right."
    )
    return Table(f"{told} {split}", heads, rows) if rows else None


def _given(report: ComparisonReport, split: str) -> Table | None:
    """What training cost, method by method; reports of earlier versions count images only."""
    rows = report["methods"].values()
    if not all("path_images" in row for row in rows):
        return None
    told = (
        "Training, mean over seeds, refits included. Images: drawn in minibatches; path-images: each once for every "
        "path that trains on it, of which the controls' searches and candidates get as many as the evolved path's; "
        "operations: multiply-adds, forward and backward."
    )
    heads = ["Method", "Path-images", "Images", "Operations", "Candidates", "Seconds"]
    cells = [
        [
            row["name"],
            *(f"{row[kind]['mean']:,.0f}" for kind in ("path_images", "images")),
            f"{row['operations']['mean']:.3g}",
            *(f"{row[kind]['mean']:,.1f}" for kind in ("candidates", "seconds")),
        ]
        for row in rows
    ]
    return Table(f"{told} {split}", heads, cells)


def _fronts(fronts: FrontsReport, split: str) -> Table:
    splits = list(fronts["against"])
    rows = []
    for method, row in fronts["methods"].items():
        cells = [row["name"]]
        for name in splits:
            cells += [_spread(row["hypervolume"][name]), *_less(fronts["against"][name].get(method))]
        share = row["share_within"]
        seeds = sum(one is not None for one in share["each"])
        cells.append(
            DASH if share["mean"] is None else f"{100 * share['mean']:.1f} % ({seeds} of {len(share['each'])})"
        )
        rows.append(cells)
    heads = ["Method"]
    for name in splits:
        heads += [f"Hypervolume, {name}", "Evolved less it", "p after Holm"]
    told = (
        f"Hypervolume: {fronts['reference']['in_words']}. Last column: parameters of the smallest network within 0.2 "
        "points of the full grid on validation, mean share of the full grid's, and at how many seeds there is one."
    )
    return Table(f"{told} {split}", [*heads, "Share of parameters"], rows, strong=0)


def _above_largest_class(found: AboveLargestClass, methods: Mapping[str, Fronts], split: str) -> Table:
    splits, rows = list(found["against"]), []
    for method, by_split in found["hypervolume"].items():
        cells = [methods[method]["name"]]
        for name in splits:
            cells += [_spread(by_split[name]), *_less(found["against"][name].get(method))]
        rows.append(cells)
    heads = ["Method"]
    for name in splits:
        heads += [f"Above {found['accuracy'][name]:.3f}, {name}", "Evolved less it", "p after Holm"]
    told = (
        "The same hypervolume from the share of the largest class on: networks that know less than the probe count too."
    )
    return Table(f"{told} {split}", heads, rows, strong=0)


def _fidelity(report: ComparisonReport, split: str) -> Table | None:
    each = (report.get("rank_fidelity") or {}).get("each")
    if not each or len(each) != len(report["seeds"]):
        return None
    told = (
        "Kendall's tau between the search's fitness of some visited paths and their validation accuracy after training "
        "alone: 1, the same order; 0, none. Paths and scores are in report.json."
    )
    rows = [[str(seed), number(one["tau"]), str(one["n"])] for seed, one in zip(report["seeds"], each, strict=True)]
    rows.append(["mean ± standard deviation", _spread(report["rank_fidelity"]["tau"]), DASH])
    return Table(f"{told} {split}", ["Seed", "Kendall's tau", "Paths"], rows)


def _less(against: Corrected | None) -> tuple[str, str]:
    """The evolved path less a method, and p; nothing for the evolved path itself."""
    return (number(against["difference"]), _p(against["p_holm"])) if against else (DASH, DASH)


def _p(value: float | None) -> str:
    return DASH if value is None else f"{value:.2g}"


def _spread(value: Spread | None) -> str:
    if not value or value["mean"] is None:
        return DASH
    return f"{value['mean']:.4f}" + ("" if value["sd"] is None else f" ± {value['sd']:.4f}")


def _table(value: Any, caption: str) -> Table | None:
    """Rows of equal keys as a table with these heads; anything else one value a row."""
    rows: Sequence[Any] = list(value.values()) if isinstance(value, dict) else value
    names = list(value) if isinstance(value, dict) else [str(n) for n in range(1, len(value) + 1)]
    plain = rows and all(isinstance(row, dict) and not any(isinstance(v, dict) for v in row.values()) for row in rows)
    if plain and all(list(row) == list(rows[0]) for row in rows):
        heads = ["", *(key.replace("_", " ") for key in rows[0])]
        told = [[name, *(_cell(v) for v in row.values())] for name, row in zip(names, rows, strict=True)]
        return Table(caption, heads, told)
    return tables.facts(dict(zip(names, rows, strict=True)), caption)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(number(one) for one in value)
    return number(value)
