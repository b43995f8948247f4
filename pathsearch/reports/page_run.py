"""The page of one run: what was asked, what came out, and everything that a reader needs to doubt it."""

from __future__ import annotations

from typing import Any

from pathsearch.experts.run_report import RunReport, called
from pathsearch.experts.run_verdict import run_verdict
from pathsearch.experts.seen import seen_in_words
from pathsearch.measures.confusions import table_of
from pathsearch.measures.rates import ClassRates, RateName, interval_of, other_target
from pathsearch.reports import page_tables as tables
from pathsearch.reports.again import evolve_command, weights_name
from pathsearch.reports.album import About
from pathsearch.reports.page_network import asked, network, parameters, size_in_words
from pathsearch.reports.page_other import other_parts
from pathsearch.reports.page_source import Source
from pathsearch.reports.page_statistics import statistics
from pathsearch.reports.page_tables import Table, interval_in_percent, intervals_in_words, number, percent
from pathsearch.search.config_file import Config


def run_page(source: Source[RunReport]) -> dict[str, Any]:
    """What the template `run.html.j2` shows."""
    report = source.report
    about = source.about(report["task"])
    of_classes = other_target(report["test"]) is None
    own = _of_classes(source) if of_classes else other_parts(report)
    return own | {
        "title": f"{report['task']}: {called(report, 'a ' if report.get('given') else 'an ')}, tested",
        "kind": "One run",
        "verdict": run_verdict(report, source.config.get("search", {}).get("fitness")),
        "about": about,
        "counts": _counted(report, about) if about else None,
        "split": report["split_in_words"],
        "examples": source.examples(report["task"]),
        **network(source),
        "result_figures": source.figures("baselines", "training_curve"),
        "answer_figures": source.figures("answers", "against_size"),
        "statistics": statistics(report),
        "reliability_figures": source.figures("reliability"),
        "other_figures": source.figures(*source.other_figures()),
        "mistakes": report.get("mistakes"),
        "mistake_pictures": source.mistakes(report.get("mistakes")),
        "limits": _limits(report, about),
        "circumstances": _circumstances(report),
        "settings": _settings(source.config),
        "versions": tables.facts(source.env or {}, "Machine and library versions, from env.json."),
        "seconds": tables.facts(
            {
                key: f"{value:,.1f}"
                for key, value in report.get("seconds", {}).items()
                if not (report.get("given") and key.startswith("search"))
            },
            "Wall-clock time of each stage.",
            ("Stage", "Seconds"),
        ),
        "command": evolve_command(source.config, source.folder.name) if source.config else None,
        "has_file_weights": source.config.get("encoder", {}).get("weights") not in ("imagenet", "random", None),
    }


def _of_classes(source: Source[RunReport]) -> dict[str, Any]:
    """What only a task of classes has."""
    report = source.report
    test, validation = report["test"], report["validation"]
    on_test = f"Test images, n = {test['n']:,}. Split: {report['split_in_words']}."
    on_validation = f"Validation images, n = {validation['n']:,}, on which {tables.chosen(report)} were chosen."
    return {
        "question": _question(report, test["classes"]),
        "answer": _answer(report),
        "key_numbers": _key_numbers(report),
        "results": tables.results(report),
        "recalls": tables.recalls(test, f"Recall of each class. {on_test}"),
        "gap": _gap(report),
        "rule": _rule(report),
        "confusion_figures": source.figures("confusion_test", "confusion_validation"),
        "confusions": [
            table
            for part, caption in ((test, f"Counts. {on_test}"), (validation, f"Counts. {on_validation}"))
            if (table := _counts(part, caption)) is not None
        ],
        "of_classes": True,
    }


def _counted(report: RunReport, about: About) -> Table:
    each = "Images of each class." if about["classes"] else "Images of each split."
    return tables.counted(about, f"{each} Split: {report['split_in_words']}.")


def _counts(part: ClassRates, caption: str) -> Table | None:
    rows, columns = part["classes"], part["columns"]
    return tables.confusion(rows, columns, table_of(part, len(rows), len(columns)), caption)


def _question(report: RunReport, classes: list[str]) -> str:
    names = ", ".join(classes[:-1]) + f" and {classes[-1]}" if len(classes) <= 8 else f"{len(classes)} classes"
    return asked(report, "tell", f"{names} apart (task {report['task']})")


def _answer(report: RunReport) -> str:
    test = report["test"]
    if not test["n"]:
        return "There were no test images: nothing can be said of how well it does."
    subject = called(report, "The ") if report.get("given") else "The path"
    return (
        f"{subject} is right for {percent(test['accuracy'])} of {test['n']:,} test images "
        f"({interval_in_percent(test, 'accuracy')}), with {size_in_words(report)}. Test images were read once, after "
        f"everything was fixed. Split: {report['split_in_words']}."
    )


def _key_numbers(report: RunReport) -> list[tuple[str, str, str]]:
    test = report["test"]
    heads: tuple[tuple[str, RateName], ...]
    heads = (("Test accuracy", "accuracy"), ("Test balanced accuracy", "balanced_accuracy"))
    rows = [(name, percent(test[key]), interval_in_percent(test, key) or f"n = {test['n']:,}") for name, key in heads]
    pair = interval_of(test, "auc")
    rows.append(
        ("Test AUC", number(test["auc"]), f"95{tables.UNIT} interval {pair[0]:.4f} to {pair[1]:.4f}" if pair else "")
    )
    return [*rows, parameters(report)]


def _gap(report: RunReport) -> str:
    test, validation = report["test"]["accuracy"], report["validation"]["accuracy"]
    if test is None or validation is None:
        return ""
    points = 100 * (validation - test)
    told = f"Validation accuracy is {percent(validation)}, test accuracy {percent(test)}"
    if abs(points) >= 0.05:
        told += f": validation is {abs(points):.1f} points {'higher' if points > 0 else 'lower'}"
    return f"{told}. Only test accuracy speaks of new images: {tables.chosen(report)} were chosen on validation."


def _rule(report: RunReport) -> str:
    rule = report.get("threshold") or {}
    if rule.get("value") is None:
        return "The answer is the most probable class."
    name = report["test"]["classes"][1]
    return f"The answer is {name} from a probability of {rule['value']:.4f} on ({rule['rule']}, fixed on validation)."


def _limits(report: RunReport, about: About | None) -> list[str]:
    lines = [
        f"One run with one seed ({report['seed']}). {intervals_in_words(report)} They do not cover other seeds, other "
        "splits or other training images.",
        "The numbers hold for images like the test images, made in the same way. Other devices, places or ways of "
        "preparing an image were not tested.",
        "For research. Not a medical device; no answer of it may decide on a person's care.",
    ]
    apart = about and about["split"].get("groups_apart", True) and about.get("grouped")
    if (about is None and report["split"] == "random") or (about is not None and not apart):
        lines.insert(
            0,
            "As far as is known, the split does not keep groups (patients) apart: images of one may stand in training "
            "and test, and the numbers flatter.",
        )
    recalls = report["test"].get("recall_per_class", {})  # of classes
    rates = [(value, name) for name, value in recalls.items() if value is not None]
    if rates:
        value, name = min(rates)
        lines.insert(0, f"Of {name}, the class found least, {percent(1 - value)} of the test images are missed.")
    lines += seen_in_words(report)
    if recalls and not report.get("calibration"):
        lines.append("Whether the probabilities are met was not measured in this run.")
    return lines


def _circumstances(report: RunReport) -> Table | None:
    encoder, rule = report["encoder"], report.get("threshold") or {}
    values = {
        "task": report["task"],
        "split": f"{report['split']}: {report['split_in_words']}",
        "seed": report["seed"],
        "encoder": encoder["name"],
        "encoder weights": encoder["weights"],
        "SHA-256 of the weights": encoder.get("weights_sha256"),
        "image size": f"{encoder['image_size']} px",
        "preprocessing": encoder.get("preprocessing"),
        "feature maps": " × ".join(map(str, encoder.get("feature_shape", [])))
        + (" numbers, of stages at their own sizes" if encoder.get("sizes") == "own" else "")
        + (f", channels of the taps {encoder['taps']}" if "taps" in encoder else ""),
        "views": report.get("views"),
        **({"noise": report["noise"]} if "noise" in report else {}),
        "refit": report.get("refit"),
        "threshold": f"{rule.get('rule')} ({number(rule.get('value'))})" if rule else None,
        "data fingerprint": report.get("data"),
    }
    return tables.facts(values, "What the numbers stand on, from report.json.")


def _settings(config: Config) -> Table | None:
    shown: Config = {**config}
    if shown.get("path") and "search" in shown:  # of which only the measure has a say in a run without a search
        shown["search"] = {"fitness": shown["search"].get("fitness", "accuracy")}
    if "encoder" in shown:
        shown["encoder"] = {**shown["encoder"], "weights": weights_name(str(shown["encoder"].get("weights")))}
    return tables.facts(shown, "Every setting as resolved, from config.json.", ("Setting", "Value"))
