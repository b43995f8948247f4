"""The rates of a set of answers as a report has them, and how they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, final

from pathsearch.measures.confusions import Counts
from pathsearch.measures.intervals import Interval, Method

RateName = Literal["accuracy", "balanced_accuracy", "recall", "auc"]


class RateIntervals(TypedDict):
    """The 95 % interval of each rate; None where the rate is unknown."""

    accuracy: Interval | None
    balanced_accuracy: Interval | None
    recall: Interval | None
    auc: Interval | None
    recall_per_class: dict[str, Interval | None]


class Rates(TypedDict):
    """The rates of one set of answers, or their mean over several; None where they cannot be known."""

    n: int  # images
    accuracy: float | None
    balanced_accuracy: float | None
    recall: float | None
    auc: float | None
    log_likelihood: float | None


class ClassRates(Rates, Counts):
    """Of answers that are one of K classes, as `metrics.evaluate` says them."""

    recall_per_class: dict[str, float | None]
    classes: list[str]
    columns: list[str]  # the classes, and "unknown" where there is any
    ci95: RateIntervals
    intervals: Method


@final
class MeanRates(Rates):
    """Mean over several networks, each with its standard deviation between them; None for one network."""

    accuracy_sd: float | None
    balanced_accuracy_sd: float | None
    recall_sd: float | None
    auc_sd: float | None
    log_likelihood_sd: float | None


def other_target(split: Mapping[str, object]) -> str | None:
    """The target whose measures a report's split has under its name; None for classes, which have none."""
    if "classes" in split:  # one of which may be called n
        return None
    return next((name for name, part in split.items() if isinstance(part, dict) and "n" in part), None)


def measures_in(split: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a report's split says of its measures, for whatever target."""
    found: Mapping[str, Any] = split.get(other_target(split) or "", split)
    return found


def measured_of(split: Mapping[str, Any], measure: str) -> tuple[float | None, Interval | None]:
    """A measure, and its 95 % interval, as a report's split has them for whatever target."""
    part = measures_in(split)
    return part.get(measure), (part.get("ci95") or {}).get(measure)


def over_of(split: Mapping[str, Any], measure: str, label: str | None = None) -> str:
    """` over n of N` where a measure, or that of one label, has no value for some images; else nothing."""
    part = measures_in(split)
    undefined = (part if label is None else part["labels"][label]).get("undefined") or {}
    missing = undefined.get(measure, 0)
    return f" over {split['n'] - missing:,} of {split['n']:,}" if missing else ""


def interval_of(rates: ClassRates | MeanRates, name: RateName) -> Interval | None:
    """The 95 % interval of a rate; None where the report has none."""
    if "ci95" not in rates:
        return None
    found = rates["ci95"]
    return found.get(name) if found else None


def spread_of(rates: ClassRates | MeanRates, name: RateName) -> float | None:
    """The standard deviation of a rate over several networks; None for one network."""
    if "ci95" in rates:
        return None
    spreads = {
        "accuracy": rates.get("accuracy_sd"),
        "balanced_accuracy": rates.get("balanced_accuracy_sd"),
        "recall": rates.get("recall_sd"),
        "auc": rates.get("auc_sd"),
    }
    return spreads[name]
