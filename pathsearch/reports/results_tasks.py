"""Sections of the results page on single tasks: what each row is, what stands beside it, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pathsearch.experts.markdown import DASH, code, escaped, link, table
from pathsearch.experts.reuse import jointly_or_in_turn
from pathsearch.experts.run_report import RunReport, WithoutNetwork, called, searched_together
from pathsearch.experts.seen import seen_in_words
from pathsearch.grid.path import Path
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import RateName, measured_of, measures_in
from pathsearch.measures.standing import BETTER, UNDECIDED, WORSE
from pathsearch.reports.evidence import Evidence, Prepared
from pathsearch.reports.results_rows import (
    SAME,
    TOLD,
    Row,
    digits_of,
    encoder_in_words,
    has_weights,
    own_network,
    spread,
)
from pathsearch.targets.target import DEFAULT

CONTROLS = {"linear_probe": "the linear probe", "random_path": "random paths", "full_grid": "the full grid"}
ORDER = (BETTER, WORSE, UNDECIDED, SAME)
USUAL: dict[Literal["views", "refit"], str] = {
    "views": "1 a training image",
    "refit": "on training and validation images together",
}  # said once, above


def tasks_section(rows: Sequence[Row], address: str) -> str:
    """Results, controls and commands of rows that stand in no other table.

    Args:
        rows: at least one.
        address: of the evidence folder, from the page.
    """
    heads = ["row", "task, classes", "encoder", "split; test images", "seeds", "accuracy", "mean recall", "AUC"]
    cells = [[row.known, _task(row), *circumstances(row), *rates(row)] for row in rows]
    return "\n\n".join([table(heads, cells), beside(rows), how(rows, address)])


def circumstances(row: Row) -> list[str]:
    """Encoder, split with the number of test images, and seeds, as cells."""
    return [encoder_in_words(row.report["encoder"]), f"{escaped(row.report['split'])}; {images(row)}", row.seeds]


def rates(row: Row) -> list[str]:
    """The expert's accuracy, mean recall and AUC on test, as cells."""
    return [row.tested(name) for name in TOLD]


def images(row: Row) -> str:
    """The number of test images; of how many, where a published test set has more."""
    n, task = row.report["test"]["n"], row.paper_task
    whole = task.n_test if task is not None else None
    return f"{n:,}" + (f" of the published {whole}" if whole and n != whole else "")


def beside(rows: Sequence[Row]) -> str:
    """Accuracy and AUC on test of each row's own network and of its controls, and its share of the full grid."""
    own = own_network(rows)
    networks = [escaped(own), "linear probe", "random paths (mean)", "full grid"]
    size = "parameters of the path" if own.endswith("path") else "its parameters"
    cells = [[row.known, row.tested("accuracy"), *_controls(row, "accuracy"), *_sizes(row)] for row in rows]
    curves = [[row.known, row.tested("auc"), *_controls(row, "auc")] for row in rows]
    parts = [
        "Test accuracy beside the controls, which had the same features, training and threshold rule:",
        table(["row", *networks, size, "share of full grid"], cells),
        _answers(rows),
        "AUC on test beside them:",
        table(["row", *networks], curves),
    ]
    return "\n\n".join(filter(None, parts))


def _controls(row: Row, what: RateName) -> list[str]:
    return [row.baseline(name, what) for name in CONTROLS]


def _sizes(row: Row) -> list[str]:
    """Parameters, and of a path that was searched for their share of the full grid's in percent, least to most."""
    share = sorted(row.each(lambda report: report["parameters"]["share"]))
    return [
        parameters(row),
        DASH if row.report.get("given") else _range([f"{100 * value:.1f}" for value in share]) + " %",
    ]


def parameters(row: Row) -> str:
    """Of the expert, from the least to the most."""
    return _range([f"{n:,}" for n in sorted(row.each(lambda report: report["parameters"]["expert"]))])


def _answers(rows: Sequence[Row]) -> str:
    """In words, where the expert is better or worse than a control, and where no difference is shown."""
    told = []
    for name, words in CONTROLS.items():
        by_answer: dict[str, list[str]] = {}
        for row in rows:
            if name in row.report["baselines"]:
                by_answer.setdefault(row.answer(name), []).append(row.label)
        parts = [f"{answer} in {', '.join(found)}" for answer in ORDER if (found := by_answer.get(answer))]
        told += [f"beside {words} {', '.join(parts)}"] if parts else []
    return (
        "Tested by what the search maximised, each row by itself (p below 0.05; of five seeds or more by a paired "
        "t-test over seeds, of one run by the paired test of its report, of two to four seeds not at all), "
        f"{escaped(own_network(rows, 'the '))} is: {'; '.join(told)}."
    )


def how(rows: Sequence[Row], address: str) -> str:
    """Of each row the circumstances in words, the evidence and the commands."""
    return "\n\n".join(_how(row, address) for row in rows)


def _how(row: Row, address: str) -> str:
    report, paths = row.report, row.each(lambda one: one["path"])
    probes = sum(Path.parse(one).is_probe for one in paths)
    facts = {
        "split": report["split_in_words"],
        **({"weights": report["encoder"]["weights"]} if has_weights(report["encoder"]) else {}),
        **(_given(row) if row.target == DEFAULT else {}),  # tables of other targets have it
        **{name: report[name] for name, usual in USUAL.items() if not report[name].startswith(usual)},
        **({"path chosen on": choice["in_words"]} if (choice := report.get("choice")) and choice["folds"] > 1 else {}),
        **({called(report): f"the linear probe itself, in {probes} of {len(paths)} runs"} if probes else {}),
        "threshold": report["threshold"]["rule"],
        **_remarks(report),
        "prepared data": report.get("data") or "not recorded",
        **_prepared(row.runs[0].prepared),
    }
    if facts["threshold"] == "argmax":
        del facts["threshold"]
    words = "; ".join(f"{escaped(name)}: {escaped(str(fact))}" for name, fact in facts.items())
    files = ", ".join(evidence_link(run, address) for run in row.runs)
    return f"**{row.label}** {words}. Evidence: {files}.\n\n{code(row.commands())}"


def network(row: Row) -> str:
    """What was trained, with whom, and on whose layers; runs of the row's own seeds are named without it."""
    report, words = row.report, [row.network]
    if about := report.get("together"):
        others = ", ".join(task for task in about["runs"] if task != report["task"])
        words.append(f"trained {jointly_or_in_turn(about)} with {others}")
    begun = {
        "on the layers of": [run.config.get("grown_from") for run in row.runs],
        "begun from the layers of": [run.config.get("begun_from") for run in row.runs],
    }
    for words_before, runs in begun.items():
        if names := list(dict.fromkeys(filter(None, runs))):
            words.append(f"{words_before} {names[0]}" + (" and so on, each seed its own" if len(names) > 1 else ""))
    return ", ".join(words)


def _given(row: Row) -> dict[str, str]:
    """The network of a row without a search, or of a search for several tasks, and the noise that it saw."""
    report = row.report
    return {
        **({"given network": network(row)} if report.get("given") else {}),
        **({"network": network(row)} if searched_together(report) else {}),
        **({"noise": report["noise"]} if "noise" in report else {}),
    }


def _remarks(report: RunReport) -> dict[str, str]:
    """What a report says of its measures and test images in words."""
    found = measures_in(report["test"])
    words = [text.removesuffix(".") for name, text in found.items() if name.endswith("_in_words")]
    missing, trivial = found.get("without_truth"), report.get("without_network")
    seen = [one for one in report.get("seen_before", []) if one["n"] != 0]
    return {
        **(_without_network(trivial) if trivial else {}),
        **({"not measured": "; ".join(words)} if words else {}),
        **({"test images without truth": f"{missing:,}"} if missing else {}),
        **({"seen before": " ".join(seen_in_words({"seen_before": seen}))} if seen else {}),
    }


def _without_network(trivial: WithoutNetwork) -> dict[str, str]:
    """What is to be beaten at least."""
    measure = trivial["paired"]["measure"]
    value = spread([measured_of(trivial["test"], measure)[0]], digits=digits_of(measure))
    return {"without a network": f"{trivial['name']}, {NAMES[measure]} {value}"}


def _prepared(task: Prepared | None) -> dict[str, str]:
    """Source and options of a task's preparation, where they were kept."""
    if task is None:
        return {}
    options = {key: value for key, value in task["options"].items() if value is not None and key != "mirror"}
    words = [f"{key} {', '.join(value) if isinstance(value, dict) else value}" for key, value in options.items()]
    return {"source": task["source"], "prepared with": ", ".join(words)}


def evidence_link(one: Evidence[object], address: str) -> str:
    """A link to a report."""
    return link(one.name, f"{address}/{one.name}/report.json")


def _task(row: Row) -> str:
    classes = row.classes
    few = ", ".join(classes) if len(classes) <= 6 else f"{len(classes)} classes"
    return escaped(f"{row.report['task']}: {few}")


def _range(ordered: Sequence[str]) -> str:
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"
