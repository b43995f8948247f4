"""How a run's network came about, for its page: what the search found, or what was given and trained without one."""

from __future__ import annotations

from typing import Any

from pathsearch.experts.reuse import together_in_words
from pathsearch.experts.run_report import RunReport, called, searched_together
from pathsearch.grid.presets import PRESETS
from pathsearch.reports import page_tables as tables
from pathsearch.reports.page_source import Source
from pathsearch.reports.page_tables import percent


def asked(report: RunReport, verb: str, what: str) -> str:
    """The question that a run answers: of a network that it shall `verb` what."""
    encoder = report["encoder"]
    on = (
        f"on the frozen encoder {encoder['name']}" if encoder.get("weights_sha256") else f"from {encoder['name']} alone"
    )
    better = "is it better than simpler ways with the same features and training?"
    if report.get("given"):
        return f"Trained without a search, {on}, how well does {called(report, 'the ')} {verb} {what}, and {better}"
    return f"{on[0].upper()}{on[1:]}, can evolution find a small path of modules that {verb}s {what}, and {better}"


def parameters(report: RunReport) -> tuple[str, str, str]:
    """Their number with its name, and, of a path that was searched for, what share of the full grid's it is."""
    size = report["parameters"]
    share = "" if report.get("given") else f"{percent(size['share'])} of the full grid's"
    return "Parameters", f"{size['expert']:,}", share


def size_in_words(report: RunReport) -> str:
    """The same within a sentence."""
    _, number, share = parameters(report)
    return f"{number} parameters" + (f", {share}" if share else "")


def network(source: Source[RunReport]) -> dict[str, Any]:
    """The section on the search, or on what was given instead."""
    report = source.report
    given = bool(report.get("given"))
    return {
        "search_title": "The network" if given else "Search",
        "search_words": [*(_given(report) if given else _searched(source)), *_reused(report)],
        "search_figures": source.figures(*("path_on_grid", "paths") if given else _FIGURES),
        "finalists": tables.finalists(report),
        "generations": tables.generations(source.log),
    }


_FIGURES = ("fitness_curve", "finalists", "path_on_grid", "paths")


def _given(report: RunReport) -> list[str]:
    name = report["given"]
    about = f"{name}: {PRESETS[name].words} It" if name in PRESETS else called(report, "The ")
    lines = [f"{about} was trained as it is: nothing was searched for."]
    epochs = "".join(f" It is that of epoch {row['epochs']}, the best on validation." for row in report["finalists"])
    return [*lines, f"On its grid it is the path {report['path']} ({_form(report)}). Refit: {report['refit']}.{epochs}"]


def _searched(source: Source[RunReport]) -> list[str]:
    report, log = source.report, source.log
    search = report["search"]
    folds = source.config.get("search", {}).get("folds", 1)
    measured = "validation images"
    if folds > 1:
        measured = f"training and validation images, each left out of one of {folds} trainings"
    lines = [
        f"{search['generations']} generations visited {search['paths_visited']:,} distinct paths and stopped: "
        f"{search['stopped']}. Fitness is measured on {measured}; no test image was read.",
    ]
    if log:
        first, last = log[0], log[-1]
        lines.append(
            f"The best path's fitness went from {float(first['best']):.4f} to {float(last['best']):.4f}, the "
            f"population's mean from {float(first['mean']):.4f} to {float(last['mean']):.4f}; of its paths "
            f"{first['distinct_paths']} were distinct at first and {last['distinct_paths']} at the end."
        )
        if searched_together(report):
            lines.append(
                "Fitness is this task's own; the best path is the best for all tasks together: there may have been "
                "better ones for this one."
            )
    lines.append(f"Chosen: {report['path']} ({_form(report)}). Refit: {report['refit']}.")
    if report.get("recipe"):
        lines.append(
            "Random paths have recipes of their own; full grid and linear probe were trained as the settings say."
        )
    return lines


def _form(report: RunReport) -> str:
    form = "modules of each layer, layers separated by |"
    if not (recipe := report.get("recipe")):
        return form
    of_several = ", strategy, and what the loss of each task after the first counts" if recipe.get("strategy") else ""
    return f"{form}; after @ its learning rate, weight decay and dropout{of_several}"


def _reused(report: RunReport) -> list[str]:
    return [
        f"Reused of {owner}: {row['modules']} modules, {row['parameters']:,} parameters, left as they were."
        for owner, row in (report.get("reuse") or {}).items()
    ] + together_in_words(report)
