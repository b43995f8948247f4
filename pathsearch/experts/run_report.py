"""The report of a run and its `path.json`: which fields they have, and what stands in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast, final

from pathsearch.experts.reuse import ReusingRun
from pathsearch.experts.seen import SeeingRun
from pathsearch.grid.path import PROBE_NAME, Path
from pathsearch.measures.intervals import MethodInWords
from pathsearch.measures.measure import NAMES, MeasureName
from pathsearch.measures.paired import Paired
from pathsearch.measures.rates import ClassRates, MeanRates
from pathsearch.measures.reliability import Calibration
from pathsearch.measures.statistics import McNemar, PriorShift
from pathsearch.run.runs import Run
from pathsearch.run.same_encoder import Identity
from pathsearch.targets.target import DEFAULT, TARGETS

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on

# `NotRequired`: reports of earlier versions lack it, or it is told only where there is something to tell.


PROBE = "linear_probe"  # the baseline's name
Row = TypeVar("Row")


class Threshold(TypedDict):
    """How answers are decided."""

    rule: str
    value: float | None  # None: the most probable class


class Recipe(TypedDict):
    """How a path was trained, where that evolves with it."""

    learning_rate: float
    weight_decay: float
    dropout: float
    strategy: NotRequired[str]  # of several tasks that were searched together
    weights: NotRequired[list[float]]  # of the losses of all but the first


class SearchEnd(TypedDict):
    """How the search went."""

    stopped: str
    generations: int
    paths_visited: int


class BaselineNetwork(TypedDict):
    """A network beside the expert."""

    path: str
    parameters: int
    validation: ClassRates
    test: ClassRates


class Baseline(TypedDict):
    """One network of a kind, or the mean over several and `each` of them."""

    parameters: float | None
    validation: ClassRates | MeanRates
    test: ClassRates | MeanRates
    each: NotRequired[list[BaselineNetwork]]


@final
class PairedNetwork(Paired):
    """The expert against one network."""

    path: str


@final
class PairedEach(TypedDict):
    """The expert against several networks of a kind."""

    each: list[PairedNetwork]


class WithoutNetwork(TypedDict):
    """The best answer that takes no network, such as one mask for all images."""

    name: str  # with its article
    test: dict[str, Any]  # as of a run, without a loss
    paired: Paired  # the run's own network against it


@final
class McNemarNetwork(McNemar):
    """McNemar's test of the expert against one network."""

    path: str


@final
class McNemarEach(TypedDict):
    """The same for several networks of a kind."""

    each: list[McNemarNetwork]


class Mistake(TypedDict):
    """An image that was answered wrongly."""

    task: str
    file: str
    true: str
    said: str
    probability: float  # of what was said


class Mistakes(TypedDict):
    """The surest of them."""

    n: int
    wrong: int
    shown: list[Mistake]


class ShownImage(TypedDict):
    """A test image that a person is shown."""

    file: str
    value: float  # how good its answer is


class Shown(TypedDict):
    """Which they are; `answers.safetensors` has the images with what was asked and answered."""

    form: str  # in which they are drawn, see `Target.shown`
    measure: str
    worst: list[ShownImage]
    between: list[ShownImage]
    best: list[ShownImage]


class AgainstSize(TypedDict):
    """How good answers are against the size of what was to be found."""

    measure: str
    n: int  # images
    size: list[float]  # of some of them, shares of the image, rising
    value: list[float]


class Finalist(TypedDict):
    """A path of which the smallest good one was chosen."""

    path: str
    parameters: int
    validation_accuracy: float  # of another target than classes its first measure
    validation_log_likelihood: NotRequired[float]  # of classes
    validation_loss: NotRequired[float]  # of all else
    standard_error: float
    epochs: int
    chosen: bool
    score: NotRequired[float]  # of the measure that the search maximises
    below_best: NotRequired[float]
    below_best_error: NotRequired[float]


class ChosenOn(TypedDict):
    """What the finalists' scores stand on."""

    folds: int  # 1: validation images alone
    images: int
    in_words: str


class RunReport(ReusingRun, SeeingRun):
    """The whole report of a run with one target, a class."""

    target: NotRequired[str]  # of runs that ask for something else
    split: str
    split_in_words: str
    data: NotRequired[str]
    encoder: Identity
    seed: int
    views: str
    noise: NotRequired[str]  # on the pixels that the network read
    refit: str
    threshold: Threshold
    images_encoded_now: int
    path: str
    given: NotRequired[str]  # a preset's name or a path, of a run that trained it without a search
    recipe: NotRequired[Recipe]
    search: SearchEnd
    measure: NotRequired[MeasureName]
    intervals: NotRequired[MethodInWords]
    validation: ClassRates
    test: ClassRates
    baselines: dict[str, Baseline]
    paired: NotRequired[dict[str, PairedNetwork | PairedEach]]
    mcnemar: NotRequired[dict[str, McNemarNetwork | McNemarEach]]
    without_network: NotRequired[WithoutNetwork]
    calibration: NotRequired[Calibration]
    prior_shift: NotRequired[PriorShift]
    mistakes: NotRequired[Mistakes]
    shown: NotRequired[Shown]
    against_size: NotRequired[AgainstSize]
    choice: NotRequired[ChosenOn]
    finalists: NotRequired[list[Finalist]]
    verdict: list[str]
    threads: NotRequired[int]
    seconds: NotRequired[dict[str, float]]


class PathCard(TypedDict, total=False):
    """`path.json`: a path on its grid; empty where the file is not there."""

    task: str
    path: str
    layers: list[list[int]]  # active modules of each layer
    modules: list[list[str]]  # kinds
    reads: list[tuple[str, list[str]]]  # name of each layer and what it reads; chains and earlier versions lack it
    module_parameters: list[list[int]]
    frozen: list[list[int]]
    paths: dict[str, list[list[int]]]  # layers by task, oldest first
    parameters: int
    full_grid_parameters: int


def searched_together(report: RunReport) -> bool:
    """Whether the path is one of several tasks' that were searched for all of them at once."""
    return "path" in report.get("together", {})


def called(report: RunReport, article: str = "") -> str:
    """What the run's own network is called in words.

    Args:
        report: of the run.
        article: with the space after it, as "the "; a preset's name has none.

    Returns:
        `evolved path` after a search; without one the preset's name, or `given path`.
    """
    given = report.get("given", "")
    if given[:1].isalpha() and given != PROBE_NAME:
        return given
    return f"{article}{'given' if given else 'evolved'} path"


def is_probe(report: RunReport) -> bool:
    """Whether the run's own network is the linear probe, so that it and that baseline are one network."""
    return Path.parse(report["path"]).is_probe


def named(report: RunReport) -> str:
    """The run's own network in a table or figure, where the probe has no row beside itself."""
    return called(report) + (", the linear probe" if is_probe(report) else "")


def distinct(report: RunReport, rows: Mapping[str, Row]) -> dict[str, Row]:
    """Those of one row a baseline that are of another network than the run's own."""
    return {name: row for name, row in rows.items() if not (name == PROBE and is_probe(report))}


def learned_by(report: RunReport) -> str:
    """What `training.csv` has as accuracy, in words: the first measure of the target."""
    asks = TARGETS.get(report.get("target", DEFAULT))
    return NAMES[asks.measures[0]] if asks else "quality of the answers"  # of a plug-in that is not here


def chosen_by(report: RunReport) -> str:
    """The first word of the measure that finalists were chosen by."""
    choice = report.get("choice")
    return "Cross-validated" if choice and choice["folds"] > 1 else "Validation"


def baseline_test(report: RunReport, name: str) -> ClassRates | MeanRates | None:
    """What a baseline does on test; None where the report has none of it."""
    row = report["baselines"].get(name)
    return row.get("test") if row else None


def paired_each(row: PairedNetwork | PairedEach) -> list[PairedNetwork]:
    """The tests against each network of a kind."""
    if "each" in row:
        return row["each"]
    return [row]


def mcnemar_each(row: McNemarNetwork | McNemarEach) -> list[McNemarNetwork]:
    """McNemar's tests against each network of a kind."""
    if "each" in row:
        return row["each"]
    return [row]


def report_of(run: Run) -> RunReport:
    """The report of a finished run, verified."""
    return cast("RunReport", run.report())
