"""Settings of the search: the genetic algorithm, and how paths are trained and scored while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from data_prep.errors import PathsearchError
from pathsearch.run.declared import BALANCE, setting
from pathsearch.run.setting_checks import check_settings

WITHOUT_END = 1_000_000_000  # generations of a search that something else ends, such as the budget of a control


@dataclass(frozen=True)
class SearchSettings:
    """The genetic algorithm, and how paths are trained and scored while it runs."""

    population: int = setting(64, "Paths in a generation.", "the paper's", low=2, high=100_000, option="--population")
    generations: int = setting(
        30,
        "Generations at most.",
        "curves of both tasks are flat by then",
        low=1,
        high=WITHOUT_END,
        option="--generations",
    )
    preset: str = setting(
        "generational",
        "generational (tournaments), pathnet (the paper's: pairs compete), or random (no selection, a control).",
        "paths exchange layers, as pathnet's pairs do not",
        choices=("generational", "pathnet", "random"),
        option="--preset",
    )
    weights: str = setting(
        "shared",
        "shared: one grid trained along all paths; fresh: every path from the same start.",
        "fresh weights are truer, but slower",
        choices=("shared", "fresh"),
        option="--weights",
    )
    fitness: str = setting(
        "accuracy",
        "accuracy, balanced_accuracy or auc, on validation images; ties go to the higher likelihood.",
        "the paper's measure",
        choices=("accuracy", "balanced_accuracy", "auc"),
        option="--fitness",
    )
    pareto: bool = setting(
        False,
        "Size (parameters) as a second objective (NSGA-II).",
        "size counts in the choice at the end already",
        option="--pareto",
    )
    tournament: int = setting(3, "Paths that compete for each place.", "a mild pressure", low=2, high=100_000)
    crossover: float = setting(
        0.5, "Share of couples that exchange layers.", "half of the children differ by mutation alone", low=0, high=1
    )
    elite: int = setting(
        2,
        "Best paths that pass unchanged; as a default one fewer than a population of two.",
        "the best is never lost, and few places are taken",
        low=0,
    )
    hall_of_fame: int = setting(
        10,
        "Best paths ever, scored again with each generation.",
        "paths that a later generation lost are still there to choose from",
        low=1,
        high=100_000,
    )
    steps: int = setting(50, "Minibatches a generation.", "PathNet's T", low=1, high=1_000_000)
    rungs: int = setting(
        0,
        "First paths that are rungs of a ladder of single modules, small to large; the others are random.",
        "random first paths, as PathNet's",
        low=0,
    )
    warmup: int = setting(
        100, "Minibatches along random paths before the first selection.", "truer first scores", low=0, high=1_000_000
    )
    batch_size: int = setting(
        64, "Images in a minibatch of the search; shared by all paths.", "a usual size", low=1, high=1_000_000
    )
    learning_rate: float = setting(2e-3, "Learning rate of the search (AdamW).", "twice torch's own", low=0)
    weight_decay: float = setting(1e-2, "Weight decay of the search (AdamW, decoupled).", "torch's own", low=0)
    dropout: float = setting(
        0.1,
        "Dropout after each layer's sum, in the search.",
        "little: the search trains each path briefly",
        low=0,
        below=1,
    )
    recipes: bool = setting(
        False,
        "Learning rate, weight decay and dropout evolve with the path; fresh weights only.",
        "a larger space, which needs fresh weights",
    )
    average: float = setting(
        0.0,
        "Decay a step of the running average of shared weights that is scored; 0 scores the last.",
        "measured on ECG, it did not help",
        low=0,
        below=1,
    )
    snapshots: int = setting(
        1,
        "Generations whose shared weights a score is the mean over; one more scoring pass each.",
        "measured on ECG, more did not help",
        low=1,
        high=1000,
    )
    folds: int = setting(
        1,
        "Parts of training and validation images, each left out of one training and scored; fresh weights only.",
        "each more costs another training of every path",
        low=1,
        high=1000,
    )
    balance: bool = setting(
        False, "Every class weighs the same in the search's loss.", "rates per class are reported either way"
    )
    balance_strength: float = setting(
        1.0,
        "How much the search's balance does; 0.5 is halfway.",
        "all of it; less, where full weight costs too much accuracy",
        low=0,
        high=1,
        ends=BALANCE,
    )
    target: float | None = setting(
        None,
        "Stop when the best fitness reaches this.",
        "a plateau ends a search as well",
        low=0,
        high=1,
        option="--target",
    )
    plateau: int | None = setting(
        12,
        "Stop after so many generations without gain; --set search.plateau=null: never.",
        "ECG's gains were 10 apart at most",
        low=1,
        high=1_000_000,
        option="--plateau",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.elite >= self.population and self.elite == SearchSettings.elite:  # the default follows the population
            object.__setattr__(self, "elite", self.population - 1)
        if self.elite >= self.population:
            raise PathsearchError(f"elite: expected fewer than population={self.population}, got {self.elite}")
        if self.pareto and self.population % 4:
            raise PathsearchError(f"population: NSGA-II expects a multiple of 4, got {self.population}")
        if self.rungs > self.population:
            raise PathsearchError(f"rungs: expected at most population={self.population}, got {self.rungs}")
        if self.weights == "fresh" and self.snapshots > 1:
            raise PathsearchError(
                f"snapshots: expected 1 with weights=fresh, whose scores are of no generation, got {self.snapshots}; "
                "give weights=shared"
            )
        if self.weights == "shared" and self.folds > 1:
            raise PathsearchError(
                f"folds: expected 1 with weights=shared, which have seen every part, got {self.folds}; "
                "give weights=fresh"
            )
        if self.recipes and self.weights != "fresh":
            raise PathsearchError(
                f"recipes: expected weights=fresh beside recipes=true, got weights={self.weights}: one set of shared "
                "weights cannot be trained by a recipe for each path; add --set search.weights=fresh"
            )
