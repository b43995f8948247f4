"""The report of a comparison: which fields it has, and what stands in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from pathsearch.measures.intervals import Method
from pathsearch.measures.measure import MeasureName
from pathsearch.measures.paired import Paired
from pathsearch.measures.rates import ClassRates
from pathsearch.measures.statistics import Corrected, Equivalence, McNemar, RankAgreement, Spread
from pathsearch.run.same_encoder import Identity
from pathsearch.search.config_file import Config

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on

# `NotRequired`: reports of earlier versions lack it, or what it tells of did not take part.

SplitName = Literal["validation", "test"]


class Candidate(TypedDict):
    """One of the networks of which a method chose."""

    parameters: int
    validation_accuracy: float
    path: NotRequired[str]
    threshold: NotRequired[float | None]


class AtSeed(TypedDict):
    """One method at one seed; candidates are left out of copies for the results page."""

    seed: int
    path: str | None
    parameters: int
    threshold: float | None
    seconds: float
    candidates: list[Candidate]
    chosen: int  # of them
    validation: ClassRates
    test: ClassRates


class RatesOverSeeds(TypedDict):
    """The rates of a method."""

    n: int
    accuracy: Spread
    balanced_accuracy: Spread
    auc: Spread
    log_likelihood: Spread


class MethodReport(TypedDict):
    """One method over the seeds."""

    name: str
    parameters: Spread
    seconds: Spread
    images: NotRequired[Spread]
    path_images: NotRequired[Spread]
    operations: NotRequired[Spread]
    candidates: NotRequired[Spread]
    validation: RatesOverSeeds
    test: RatesOverSeeds
    each: list[AtSeed]


class Against(Corrected):
    """The evolved path against one control: accuracy over seeds, and the same images seed by seed."""

    mcnemar: list[McNemar]
    paired: NotRequired[list[Paired]]


class Front(TypedDict):
    """A method's front at one seed, by rising size."""

    seed: int
    paths: list[str]
    parameters: list[int]
    validation: list[float]
    test: list[float | None]


class Fronts(TypedDict):
    """The fronts of a method."""

    name: str
    hypervolume: dict[SplitName, Spread]
    share_within: Spread
    each: list[Front]


class Point(TypedDict):
    """A method of one size."""

    name: str
    parameters: float
    validation: Spread
    test: NotRequired[Spread]


class Reference(TypedDict):
    """What hypervolumes are a share of."""

    parameters: list[int]  # of the smallest path and of the full grid
    accuracy: dict[SplitName, float]
    in_words: str


class AboveLargestClass(TypedDict):
    """Hypervolumes above the accuracy of who always answers the largest class."""

    accuracy: dict[SplitName, float]
    hypervolume: dict[str, dict[SplitName, Spread]]  # by method
    against: dict[SplitName, dict[str, Corrected]]


class FrontsReport(TypedDict):
    """Every method's fronts, and the evolved one against the others."""

    reference: Reference
    points: dict[str, Point]
    methods: dict[str, Fronts]
    against: dict[SplitName, dict[str, Corrected]]
    above_largest_class: NotRequired[AboveLargestClass]


class EquivalenceReport(TypedDict):
    """Whether the evolved path has the full grid's accuracy."""

    margin: float
    share: Spread  # of the full grid's parameters
    validation: NotRequired[Equivalence]
    test: NotRequired[Equivalence]


class Fidelity(RankAgreement):
    """Whether fitness ranks some paths as their own training does, at one seed."""

    paths: list[str]
    fitness: list[float]
    final: list[float]
    seconds: float


class RankFidelity(TypedDict):
    """The same over the seeds."""

    tau: Spread
    each: list[Fidelity]


class BudgetReport(TypedDict):
    """What each method was given."""

    in_words: str
    settings: NotRequired[Config]


class ComparisonReport(TypedDict):
    """The whole report."""

    kind: str
    task: str
    split: str
    split_in_words: str
    encoder: Identity
    seeds: list[int]
    measure: NotRequired[MeasureName]
    intervals: NotRequired[Method]
    budget: BudgetReport
    left_out: NotRequired[list[str]]
    methods: dict[str, MethodReport]
    against: dict[str, Against]
    fronts: NotRequired[FrontsReport]
    equivalence: NotRequired[EquivalenceReport | None]
    rank_fidelity: RankFidelity
    verdict: list[str]
    threads: NotRequired[int]
