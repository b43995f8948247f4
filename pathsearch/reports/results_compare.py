"""Comparisons on the results page: every method over the seeds, and what the report says of them."""

from __future__ import annotations

from collections.abc import Sequence

from pathsearch.experts.markdown import DASH, code, escaped, rate, table
from pathsearch.measures.statistics import Spread
from pathsearch.reports.again import compare_command
from pathsearch.reports.evidence import Evidence
from pathsearch.reports.results_rows import encoder_in_words, seeds_in_words
from pathsearch.reports.results_tasks import evidence_link
from pathsearch.search.comparison_report import ComparisonReport
from pathsearch.search.verdict import comparison_verdict


def comparisons_section(found: Sequence[Evidence[ComparisonReport]], address: str) -> str:
    """One part a comparison, labelled C1, C2 …."""
    return "\n\n".join(_comparison(f"C{number}", one, address) for number, one in enumerate(found, 1))


def _comparison(label: str, one: Evidence[ComparisonReport], address: str) -> str:
    report = one.report
    methods = list(report["methods"].values())
    n_validation, n_test = (methods[0]["validation"]["n"], methods[0]["test"]["n"]) if methods else (0, 0)
    said = (
        f"{escaped(report['task'])}, {encoder_in_words(report['encoder'])}; {escaped(report['split_in_words'])}; seeds "
        f"{seeds_in_words(report['seeds'])}; validation on {n_validation:,} images, test on {n_test:,}; weights: "
        f"{escaped(report['encoder']['weights'])}. Budget: {escaped(report['budget']['in_words'])}. Evidence: "
        f"{evidence_link(one, address)}."
    )
    heads = ["method", "validation accuracy", "test accuracy", "balanced accuracy", "AUC", "parameters", "seconds"]
    cells = [
        [
            escaped(method["name"]),
            _rate(method["validation"]["accuracy"]),
            *map(_rate, (method["test"]["accuracy"], method["test"]["balanced_accuracy"], method["test"]["auc"])),
            *map(_count, (method["parameters"], method["seconds"])),
        ]
        for method in methods
    ]
    verdict = "\n".join(f"- {escaped(str(line))}" for line in [*comparison_verdict(report), *_fidelity(report)])
    parts = [f"### {label}: {escaped(report['task'])}", said, table(heads, cells), verdict]
    return "\n\n".join([*filter(None, parts), code([one.there(compare_command(one.config))])])


def _fidelity(report: ComparisonReport) -> list[str]:
    """Kendall's tau seed by seed; the verdict has its mean."""
    each = [one for one in report["rank_fidelity"]["each"] if one.get("tau") is not None]
    if not each:
        return []
    told = ", ".join(f"{one['tau']:.2f} (n = {one['n']})" for one in each)
    return [f"Kendall's tau between search fitness and accuracy after training alone, seed by seed: {told}."]


def _rate(spread: Spread) -> str:
    return rate(spread["mean"]) + (f" ± {spread['sd']:.4f}" if spread["sd"] is not None else "")


def _count(spread: Spread) -> str:
    if spread["mean"] is None:
        return DASH
    return f"{spread['mean']:,.0f}" + (f" ± {spread['sd']:,.0f}" if spread["sd"] is not None else "")
