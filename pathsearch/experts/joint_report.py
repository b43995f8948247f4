"""The report of a joint evaluation: which fields it has, and what stands in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from pathsearch.experts.calibration import Rejection
from pathsearch.experts.reuse import ReuseMatrix
from pathsearch.experts.run_report import Mistakes
from pathsearch.measures.intervals import Interval, MethodInWords
from pathsearch.measures.rates import ClassRates
from pathsearch.run.same_encoder import Identity

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on

# `NotRequired`: reports of earlier versions lack it.


class RoutedRates(ClassRates):
    """Of a task's images, answered by whichever expert they were sent to."""

    unknown: int


class OverallRates(ClassRates):
    """Of all images; where some tasks ask for something else than classes, of the others' images."""

    oracle_accuracy: float  # if the task were given
    tasks: NotRequired[list[str]]  # those of classes, where there are others beside them


class Lost(TypedDict):
    """Images that the task's own expert has right and the routed answer wrong.

    Of a target that is not right or wrong: all that did not get to the task's own expert.
    """

    images: int
    of_them_unknown: int


class JointTask(TypedDict):
    """One task's images.

    Of another target than classes `routed` and `oracle` have `n` and, under the target's name, its own measures; an
    image that did not get to the task's own expert is worth nothing among those that are routed.
    """

    routed: RoutedRates
    oracle: ClassRates
    lost_by_routing: Lost
    target: NotRequired[str]  # if not class
    measure: NotRequired[str]  # the first of that target


class RoutingIntervals(TypedDict):
    """95 % intervals of the routing."""

    accuracy: Interval | None


class Rejected(TypedDict):
    """Share of a task's images that were answered unknown."""

    share: float | None
    ci95: Interval | None


class Routing(TypedDict):
    """How the images were sent."""

    tasks: list[str]
    n: int
    accuracy: float | None  # over the images that were sent to some task
    ci95: NotRequired[RoutingIntervals]
    accuracy_unknown_wrong: float
    unknown: int
    unknown_share: float
    rejected: NotRequired[dict[str, Rejected]]
    columns: NotRequired[list[str]]
    confusion: list[list[int]]


class JointConfusion(TypedDict):
    """Over the classes of all tasks; `cells` of many classes only."""

    rows: list[str]
    columns: list[str]
    counts: list[list[int]]
    cells: NotRequired[list[list[int]]]  # row, column, count


class Digests(TypedDict):
    """SHA-256 of a run's files."""

    expert: str
    router: str


class JointReport(TypedDict):
    """The whole report."""

    overall: NotRequired[OverallRates]  # where a task asks for classes
    tasks: dict[str, JointTask]
    intervals: NotRequired[MethodInWords]
    routing: Routing
    confusion: NotRequired[JointConfusion]  # likewise
    runs: dict[str, str]  # by task
    left_out: NotRequired[dict[str, str]]  # runs, and why
    splits: dict[str, str]  # in words
    reuse: NotRequired[ReuseMatrix | None]
    encoder: Identity
    data: NotRequired[dict[str, str]]
    mistakes: NotRequired[Mistakes]
    seed: int
    threads: NotRequired[int]
    false_rejection_on_validation: NotRequired[float]
    thresholds: NotRequired[dict[str, float]]
    sha256: NotRequired[dict[str, Digests]]
    calibration: NotRequired[dict[str, Rejection | None]]
