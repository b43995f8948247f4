"""Run files as evidence: the reports below a folder, each with its settings, read once and checked field by field."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypedDict, TypeVar, cast

from data_prep.errors import PathsearchError
from data_prep.manifest import SplitInfo
from pathsearch.experts.joint_report import JointReport
from pathsearch.experts.run_report import RunReport
from pathsearch.run.environment import Environment
from pathsearch.run.fields import NUMBER, Form, check_fields
from pathsearch.run.runs import read_json
from pathsearch.run.settings import RunSettings
from pathsearch.run.sums import DUE
from pathsearch.search.comparison_report import ComparisonReport
from pathsearch.search.config_file import Config
from pathsearch.targets.target import DEFAULT, TARGETS

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on

Kind = Literal["run", "joint", "comparison"]
Report = TypeVar("Report", covariant=True)

RATES: dict[str, Form] = {"accuracy": NUMBER, "recall": NUMBER, "auc": NUMBER, "ci95": dict}
OTHERS = ("mask", "box", "image")  # targets beside classes of which the page has tables
ENCODER: dict[str, Form] = {"name": str, "weights": str, "image_size": int, "key": str}
TEST: dict[str, Form] = {"n": int, **RATES, "classes": list, "confusion": list, "recall_per_class": dict}

# What the page needs of each kind of report: fields, their types, and what stands in them.
NEEDED: dict[Kind, dict[str, Form]] = {
    "run": {
        "task": str,
        "split": str,
        "split_in_words": str,
        "encoder": ENCODER,
        "seed": int,
        "views": str,
        "refit": str,
        "threshold": {"rule": str},
        "path": str,
        "parameters": {"expert": int, "full_grid": int, "share": float},
        "validation": {"n": int, "accuracy": NUMBER},
        "test": TEST,
        "baselines": dict,
    },
    "joint": {
        "tasks": dict,
        "routing": {"accuracy": NUMBER, "unknown": int, "n": int},
        "runs": dict,
        "splits": dict,
        "encoder": ENCODER,
        "seed": int,
    },
    "comparison": {
        "task": str,
        "split_in_words": str,
        "encoder": ENCODER,
        "seeds": list,
        "budget": {"in_words": str},
        "methods": dict,
        "rank_fidelity": {"tau": dict, "each": list},
        "verdict": list,
    },
}
OVERALL: dict[str, Form] = {"overall": {"n": int, **RATES, "oracle_accuracy": NUMBER}}
ROUTED: dict[str, Form] = {"n": int, "unknown": int}
LOST: dict[str, Form] = {"lost_by_routing": {"images": int}}
JOINT_TASK: dict[str, Form] = {"routed": {**ROUTED, **RATES}, "oracle": {**RATES, "classes": list}, **LOST}
OTHER_TASK: dict[str, Form] = {"routed": ROUTED, "oracle": {"n": int}, **LOST, "target": str, "measure": str}
COMPARISON = ("seeds", "without")  # what the config.json of a comparison has beside a run's settings
SPREAD: dict[str, Form] = {"mean": NUMBER, "sd": NUMBER}
METHOD: dict[str, Form] = {
    "name": str,
    "parameters": SPREAD,
    "seconds": SPREAD,
    "validation": {"n": int, "accuracy": SPREAD},
    "test": {"n": int, "accuracy": SPREAD, "balanced_accuracy": SPREAD, "auc": SPREAD},
}


class Prepared(TypedDict):
    """How a task was prepared, of its `task.json`."""

    name: str
    source: str
    licence: str
    counts: dict[str, dict[str, int]]
    split: SplitInfo
    image_size: NotRequired[int | None]
    options: dict[str, object]


@dataclass(frozen=True)
class Evidence(Generic[Report]):
    """A finished run, joint evaluation or comparison.

    Attributes:
        folder: where its files lie.
        name: the same, from the evidence folder on, with slashes.
        kind: of the report.
        report: `report.json`, with every field that the page needs.
        config: `config.json`, with today's defaults for settings that were not there yet; empty for `joint`.
        env: `env.json`; None where the version of then wrote none.
        prepared: `task.json`, how the task was prepared; None where the data were gone when it was copied.
    """

    folder: Path
    name: str
    kind: Kind
    report: Report
    config: Config
    env: Environment | None
    prepared: Prepared | None

    @property
    def runs_dir(self) -> str:
        """The directory of runs that it was written to, as the commands of the page name it."""
        return "/".join(["runs", *self.name.split("/")[:-1]])

    @property
    def run_name(self) -> str:
        """Its directory's name."""
        return self.name.rsplit("/", 1)[-1]

    def there(self, command: str) -> str:
        """A command that makes it, told to write where it was written."""
        return command if self.runs_dir == "runs" else f"{command} --runs-dir {shlex.quote(self.runs_dir)}"


def read_evidence(evidence_dir: Path) -> tuple[list[Evidence[object]], list[str]]:
    """Everything finished below a folder, by name, and the names of runs without a report, which were left out.

    Raises:
        PathsearchError: nothing there, or a file without what the page needs; names file and field.
    """
    folders = {file.parent for name in ("report", "config") for file in evidence_dir.rglob(f"{name}.json")}
    names = {folder: folder.relative_to(evidence_dir).as_posix() for folder in folders}
    found: list[Evidence[object]] = []
    unfinished = []
    for folder in sorted(folders, key=names.__getitem__):
        if (folder / "report.json").is_file():
            found.append(read_one(folder, names[folder]))
        else:
            unfinished.append(names[folder])
    if not found:
        raise PathsearchError(
            f"{evidence_dir}: no report.json below it; put finished runs there with `pathsearch results RUN …`"
        )
    return found, unfinished


def read_one(folder: Path, name: str) -> Evidence[object]:
    """One folder's files, checked.

    Raises:
        PathsearchError: a file or a field is missing or of another form.
    """
    file = folder / "report.json"
    report = read_json(file)
    kind = _kind(report, file)
    check_fields(report, _needed(kind, report, file), file)
    rows = report["tasks"] if kind == "joint" else {}
    of_classes = [name for name, row in rows.items() if not (isinstance(row, dict) and "measure" in row)]
    for task, row in rows.items():
        check_fields(row, JOINT_TASK if task in of_classes else OTHER_TASK, file, f"tasks.{task}.")
    check_fields(report, OVERALL if of_classes else {}, file)
    for method, row in report["methods"].items() if kind == "comparison" else ():
        check_fields(row, METHOD, file, f"methods.{method}.")
    env, prepared = (read_json(one) if one.is_file() else None for one in (folder / "env.json", folder / "task.json"))
    settings: Config = {} if kind == "joint" else _settings(folder / "config.json")
    there = cast("Environment | None", env), cast("Prepared | None", prepared)
    return Evidence[object](folder, name, kind, report, settings, *there)


def runs_of(found: Sequence[Evidence[object]]) -> list[Evidence[RunReport]]:
    """The runs among all evidence."""
    return [cast("Evidence[RunReport]", one) for one in found if one.kind == "run"]


def joint_of(found: Sequence[Evidence[object]]) -> list[Evidence[JointReport]]:
    """The joint evaluations."""
    return [cast("Evidence[JointReport]", one) for one in found if one.kind == "joint"]


def comparisons_of(found: Sequence[Evidence[object]]) -> list[Evidence[ComparisonReport]]:
    """The comparisons."""
    return [cast("Evidence[ComparisonReport]", one) for one in found if one.kind == "comparison"]


def _kind(report: Mapping[str, object], file: Path) -> Kind:
    if report.get("kind") == "comparison":
        return "comparison"
    if "routing" in report:
        return "joint"
    if "path" in report or "test" in report:
        return "run"
    raise PathsearchError(
        f"{file}: expected the report of a run, a joint evaluation or a comparison, got fields "
        f"{', '.join(sorted(report)) or 'none'}; remove it from the evidence"
    )


def _needed(kind: Kind, report: Mapping[str, object], file: Path) -> dict[str, Form]:
    """What is needed of this report; of a run that asks for no class, the first measure of its target."""
    target = report.get("target", DEFAULT)
    if kind != "run" or target == DEFAULT:
        return NEEDED[kind]
    if target not in OTHERS:
        raise PathsearchError(
            f"{file}: expected a run that asks for {DEFAULT}, {', '.join(OTHERS)}, of which the page of all results "
            f"has tables, got one that asks for {target}; leave it out: its own page is report.html, which "
            "`pathsearch plot RUN` writes again"
        )
    first: dict[str, Form] = {"n": int, TARGETS[target].measures[0]: NUMBER}
    measured: dict[str, Form] = {"n": int, target: {**first, "ci95": dict, "undefined": dict}}
    return {**NEEDED["run"], "measure": str, "validation": {"n": int, target: first}, "test": measured}


def _settings(file: Path) -> Config:
    """The settings in full; `seeds` and `without` of a comparison beside them."""
    values = read_json(file)
    own = {key: value for key, value in values.items() if key not in (*COMPARISON, DUE)}
    for field in ("task", "split"):
        if field not in own:
            raise PathsearchError(f"{file}: field {field} is missing; restore the file")
    try:
        settings = RunSettings.from_dict(own).to_dict()
    except (PathsearchError, TypeError, AttributeError) as error:
        raise PathsearchError(f"{file}: {str(error).removeprefix('config.json: ')}") from None
    return cast("Config", {**settings, **{key: values[key] for key in COMPARISON if key in values}})
