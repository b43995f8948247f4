"""Tables and numbers of a page, from the values of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.run_report import RunReport, chosen_by, distinct, named, searched_together
from pathsearch.measures.clusters import Ints
from pathsearch.measures.confusions import largest, names, table_of
from pathsearch.measures.intervals import WORDS
from pathsearch.measures.measure import NAMES
from pathsearch.measures.rates import ClassRates, MeanRates, RateName, interval_of, spread_of
from pathsearch.reports.album import About
from pathsearch.reports.alt_texts import BASELINES

DASH = "–"
UNIT = "\u00a0%"  # a percent sign stays with its number
WIDEST = 20  # columns of a confusion table that a page still shows as text
SHOWN: tuple[RateName, ...] = ("accuracy", "balanced_accuracy", "auc")
LONGEST = 50  # rows of a table over classes: a page stays readable, and of bounded size

FinalistNumber = Literal[
    "validation_accuracy", "score", "standard_error", "below_best", "below_best_error", "epochs"
]  # fields of a finalist that are shown


@dataclass(frozen=True)
class Table:
    """A table as text: the first cell of each row names the row.

    Attributes:
        caption: what the numbers are, and on which images.
        columns: heads, one a cell.
        rows: as many cells each as there are columns.
        strong: number of the row that the page is about.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: int | None = None

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.caption


def number(value: object) -> str:
    """Any value of a report as a reader meets it."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.4g}"
    return str(value)


def percent(value: float | None) -> str:
    """A rate in percent, one digit."""
    return DASH if value is None else f"{100 * value:.1f}{UNIT}"


def interval_in_percent(row: ClassRates, name: RateName) -> str:
    """`95 % interval 82.3 to 89.9 %`, or nothing where the report has none."""
    pair = interval_of(row, name)
    return f"95{UNIT} interval {100 * pair[0]:.1f} to {100 * pair[1]:.1f}{UNIT}" if pair else ""


def intervals_in_words(report: RunReport | JointReport) -> str:
    """How the intervals of a report were made, as a sentence; earlier reports know of no groups."""
    made = report.get("intervals")
    if made is None:
        return (
            "The 95 % intervals and tests count images as independent: this report is of an earlier form, which did "
            "not ask whether several are of one patient."
        )
    which = made["method"] + (f" ({made['groups']:,} of them)" if made["groups"] else "")
    return f"The 95 % intervals are {which}: {WORDS[made['method']]}."


def with_interval(row: ClassRates | MeanRates, name: RateName) -> str:
    """A rate with its 95 % interval, or with its spread over several networks."""
    value, pair, spread = row.get(name), interval_of(row, name), spread_of(row, name)
    if value is None:
        return DASH
    if pair:
        return f"{value:.4f} ({pair[0]:.4f}, {pair[1]:.4f})"
    return f"{value:.4f}" + (f" ± {spread:.4f}" if spread is not None else "")


def results(report: RunReport) -> Table:
    """The run's own network beside its baselines, validation and test apart."""
    rows: list[tuple[str, float | None, ClassRates | MeanRates, ClassRates | MeanRates]] = [
        (named(report), report["parameters"]["expert"], report["validation"], report["test"])
    ]
    for name, row in distinct(report, report["baselines"]).items():
        if row["test"]["n"]:
            rows.append((BASELINES.get(name, name), row["parameters"], row["validation"], row["test"]))
    test, validation = report["test"]["n"], report["validation"]["n"]
    return Table(
        f"Test, n = {test:,}, in brackets 95 % intervals, ± spread over several; last column validation, "
        f"n = {validation:,}, on which {chosen(report)} were chosen. Split: {report['split_in_words']}.",
        ["", "Parameters", "Test accuracy", "Test balanced accuracy", "Test AUC", "Validation accuracy"],
        [
            [
                name,
                f"{parameters:,.0f}",
                *(with_interval(tested, rate) for rate in SHOWN),
                number(validated["accuracy"]),
            ]
            for name, parameters, validated, tested in rows
        ],
        strong=0,
    )


def chosen(report: RunReport) -> str:
    """What was chosen on validation images."""
    return "epochs and threshold" if report.get("given") else "path, epochs and threshold"


def recalls(part: ClassRates, caption: str) -> Table:
    """Recall of each class with its interval; of very many classes those found least."""
    intervals = part["ci95"].get("recall_per_class") if part.get("ci95") else None
    images = table_of(part, len(part["classes"]), len(part.get("columns", part["classes"]))).sum(1)
    found = list(zip(part["recall_per_class"].items(), images.tolist(), strict=True))
    if len(found) > LONGEST:
        known = [(value, place) for place, ((_, value), _) in enumerate(found) if value is not None]
        found = [found[place] for _, place in sorted(known)[:LONGEST]]
        caption += f" The {len(found)} found least of {len(images):,} classes; all stand in report.json."
    rows = []
    for (name, value), n in found:
        pair = (intervals or {}).get(name)
        told = DASH if not pair else f"{pair[0]:.4f} to {pair[1]:.4f}"
        rows.append([name, f"{n:,}", number(value), told])
    return Table(caption, ["Class", "Images", "Recall", "95 % interval"], rows)


def confusion(
    rows: Sequence[str],
    columns: Sequence[str],
    counts: Ints,
    caption: str,
    heads: tuple[str, str] = ("True class", "said"),
) -> Table | None:
    """A confusion table with sums; where it is too wide to read, its largest confusions; None without any."""
    if len(columns) > WIDEST:
        found = largest(counts, LONGEST)
        few = [[*names(one, rows, columns), f"{one.images:,}", percent(one.share)] for one in found]
        told = f"{caption} The {len(found)} largest confusions of {len(rows):,} classes."
        return Table(told, [heads[0], heads[1].capitalize(), "Images", "Share of the class"], few) if found else None
    cells = [
        [name, *(f"{n:,}" for n in line), f"{sum(line):,}"] for name, line in zip(rows, counts.tolist(), strict=True)
    ]
    return Table(caption, [heads[0], *(f"{heads[1]} {name}" for name in columns), "All"], cells)


def counted(about: About, caption: str) -> Table:
    """Images of each class in each split; of very many classes the first ones, and all together."""
    words = {"train": "Training", "val": "Validation", "test": "Test"}
    splits = list(about["counts"])
    rows = []
    listed = about["classes"][:LONGEST]
    if len(listed) < len(about["classes"]):
        caption += f" The first {len(listed)} of {len(about['classes']):,} classes, in order, and all together."
    for name in listed:
        row = [about["counts"][split].get(name, 0) for split in splits]
        rows.append([name, *(f"{n:,}" for n in row), f"{sum(row):,}"])
    sums = [sum(about["counts"][split].values()) for split in splits]
    rows.append(["all", *(f"{n:,}" for n in sums), f"{sum(sums):,}"])
    head = "Class" if about["classes"] else "Images"
    return Table(caption, [head, *(words.get(split, split) for split in splits), "All"], rows)


def finalists(report: RunReport) -> Table | None:
    """The paths of which the smallest good one was chosen; None where there was no choice."""
    rows = report.get("finalists") or []
    if len(rows) < 2:
        return None
    measure = NAMES[report.get("measure", "accuracy")]
    columns: dict[str, FinalistNumber] = {
        **({"Validation accuracy": "validation_accuracy"} if measure in NAMES.values() else {}),
        f"{chosen_by(report)} {measure}": "score",
    }
    columns |= {"Standard error": "standard_error", "Below the best by": "below_best"}
    columns |= {"Standard error of that": "below_best_error", "Epochs": "epochs"}
    columns = {head: key for head, key in columns.items() if key in rows[0]}  # earlier reports have fewer
    cells = [
        [
            row["path"] + (" (chosen)" if row["chosen"] else ""),
            f"{row['parameters']:,}",
            *(number(row[key]) for key in columns.values()),
        ]
        for row in rows
    ]
    on = report["choice"]["in_words"] if "choice" in report else "validation"
    several = searched_together(report)
    how = "with its partners" if several else "alone"
    told = f"Finalists, each trained {how} from the same weights; chosen on {on}"
    if several:
        told += f". Of each, this task's part, and {measure} of that"
    elif "below_best_error" in rows[0]:
        told += f": the smallest whose {measure} is below the best by at most the standard error of that"
    chosen = next((i for i, row in enumerate(rows) if row["chosen"]), None)
    return Table(f"{told}.", ["Path", "Parameters", *columns], cells, chosen)


def generations(log: Sequence[Mapping[str, str]]) -> Table | None:
    """The log of the search, one row a generation."""
    if not log:
        return None
    heads = ["Generation", "Best", "Mean", "Middle half", "Distinct paths", "Best path", "Its parameters"]
    cells = [
        [
            row["generation"],
            *(number(float(row[name])) for name in ("best", "mean")),
            f"{float(row['q25']):.4f} to {float(row['q75']):.4f}",
            row["distinct_paths"],
            row["best_path"],
            f"{int(row['best_parameters']):,}",
        ]
        for row in log
    ]
    return Table("Validation fitness of the population, generation by generation.", heads, cells)


def facts(values: Mapping[str, object], caption: str, heads: tuple[str, str] = ("What", "Value")) -> Table | None:
    """Whatever a nested mapping holds, one row a value; None where that is nothing."""
    rows = [[name, text] for name, text in _flat(values)]
    return Table(caption, list(heads), rows) if rows else None


def _flat(values: Mapping[str, object], before: str = "") -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        name = f"{before}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}: ")
        elif not isinstance(value, (list, tuple)):
            yield name, number(value)
        elif all(not isinstance(one, (Mapping, list, tuple)) for one in value):
            yield name, ", ".join(map(number, value)) or DASH
        else:
            for position, one in enumerate(value, 1):
                yield from _flat({str(position): one}, f"{name}, ")
