"""Settings: frozen, checked when made, one reason beside each default; saved resolved before work starts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_type_hints

from data_prep.errors import PathsearchError
from pathsearch.run.idle_settings import refuse_idle
from pathsearch.run.setting_checks import at_least, check_types, fits, one_of, plain_type, share, strength, whole_share


@dataclass(frozen=True)
class EncoderSettings:
    """Which frozen trunk turns images into feature maps; equal settings mean equal features."""

    name: str = "vgg16"  # the paper's
    weights: str = "imagenet"  # imagenet, random, or a file
    image_size: int = 128  # pixels; 64 is 4 times faster, 224 is ImageNet's own and 3 times slower
    map_size: int = 4  # larger maps are averaged down: validation scores did not move from 7 to 4, cost fell fourfold
    random_seed: int = 0  # of `random` weights; apart from the run's seed, so that seeds share one encoding
    precision: str = "float32"  # `bfloat16` is twice as fast where the processor has it, features alike to 4 digits
    taps: int = 1  # maps that modules may read: the last one, and with more those of as many stages before it

    def __post_init__(self) -> None:
        check_types(self)
        one_of(self, "precision", "float32", "bfloat16")
        at_least(self, 0, "random_seed")
        at_least(self, 1, "map_size", "taps")
        at_least(self, 32, "image_size")  # five halvings leave one position


@dataclass(frozen=True)
class GridSettings:
    """L layers of M modules, at most N active in a layer."""

    n_layers: int = 3  # L, the paper's
    n_modules: int = 10  # M, the paper's
    max_active: int = 3  # N, PathNet's
    modules: str = "mixed"  # kinds and sizes differ, so that a choice means something; `paper` for identical ones
    width: int = 64  # D, of the vectors between layers: four times a small task's needs, still cheap
    plugins: tuple[str, ...] = ()  # NAME=SHA-256 of each file with module kinds of the user's own; --plugin

    def __post_init__(self) -> None:
        check_types(self)
        at_least(self, 1, "n_layers", "n_modules", "max_active", "width")
        object.__setattr__(self, "plugins", tuple(self.plugins))  # a list in JSON
        if self.max_active > self.n_modules:
            raise PathsearchError(
                f"max_active: expected at most n_modules={self.n_modules}, got {self.max_active}; "
                "lower it, or raise n_modules"
            )
        if not self.plugins:  # which may bring more
            one_of(self, "modules", "mixed", "paper")


@dataclass(frozen=True)
class SearchSettings:
    """The genetic algorithm, and how paths are trained and scored while it runs."""

    population: int = 64  # the paper's
    generations: int = 30  # curves of both tasks are flat by then
    preset: str = "generational"  # `pathnet`: the paper's pairwise tournament; `random`: no selection, a control
    weights: str = "shared"  # one grid trained along all paths; `fresh`: every path from the same start
    fitness: str = "accuracy"  # on validation images; ties go to the higher likelihood
    pareto: bool = False  # parameters as a second objective (NSGA-II)
    tournament: int = 3  # as many compete for each place: a mild pressure
    crossover: float = 0.5  # share of couples that exchange layers
    elite: int = 2  # best paths that pass unchanged; one of a population of two
    hall_of_fame: int = 10  # best paths ever, scored again with each generation
    steps: int = 50  # minibatches a generation (PathNet's T)
    rungs: int = 0  # of a ladder of single modules, small to large: so many first paths are these, the others random
    warmup: int = 100  # minibatches along random paths before the first selection: truer first scores
    batch_size: int = 64  # images; shared by all paths
    learning_rate: float = 2e-3  # AdamW
    weight_decay: float = 1e-2  # AdamW, decoupled
    dropout: float = 0.1  # after each layer's sum
    recipes: bool = False  # learning rate, weight decay and dropout evolve with the path; fresh weights only
    average: float = 0.0  # decay a step of the running average of shared weights that is scored; 0 scores the last
    snapshots: int = 1  # shared weights: generations whose weights a score is the mean over; one more scoring pass each
    folds: int = 1  # fresh weights: parts of training and validation images, each left out of one training and scored
    balance: bool = False  # every class weighs the same in the loss; rates per class are reported either way
    balance_strength: float = 1.0  # with balance; 0.5 is halfway, where full weight costs too much accuracy
    target: float | None = None  # stop when the best fitness reaches this
    plateau: int | None = 12  # stop after so many generations without gain: ECG's gains were 10 apart at most; or null

    def __post_init__(self) -> None:
        check_types(self)
        at_least(self, 2, "population", "tournament")
        at_least(self, 1, "generations", "hall_of_fame", "steps", "batch_size", "plateau", "snapshots", "folds")
        at_least(self, 0, "elite", "rungs", "warmup", "learning_rate", "weight_decay")
        share(self, "dropout", "average")
        strength(self.balance_strength)
        whole_share(self, "crossover", "target")
        if self.elite >= self.population and self.elite == SearchSettings.elite:  # the default follows the population
            object.__setattr__(self, "elite", self.population - 1)
        if self.elite >= self.population:
            raise PathsearchError(f"elite: expected fewer than population={self.population}, got {self.elite}")
        if self.pareto and self.population % 4:
            raise PathsearchError(f"population: NSGA-II expects a multiple of 4, got {self.population}")
        if self.rungs > self.population:
            raise PathsearchError(f"rungs: expected at most population={self.population}, got {self.rungs}")
        one_of(self, "preset", "generational", "pathnet", "random")
        one_of(self, "weights", "shared", "fresh")
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
        one_of(self, "fitness", "accuracy", "balanced_accuracy", "auc")
        if self.recipes and self.weights != "fresh":
            raise PathsearchError(
                f"recipes: expected weights=fresh beside recipes=true, got weights={self.weights}: one set of shared "
                "weights cannot be trained by a recipe for each path; add --set search.weights=fresh"
            )


@dataclass(frozen=True)
class TrainingSettings:
    """The last training of a path; the baselines get exactly the same."""

    epochs: int = 20  # at most; the rate reaches zero at the last
    patience: int = 10  # epochs without a better calibrated likelihood on validation
    batch_size: int = 128  # images
    learning_rate: float = 2e-3  # AdamW, falling to zero along a cosine
    weight_decay: float = 3.0  # AdamW, decoupled; a tenth as much and three times as much validated no better
    dropout: float = 0.5  # after each layer's sum; strong for the same reason
    label_smoothing: float = 0.0  # cost a quarter of the validation likelihood where it was tried
    average: float = 0.99  # decay a step of the running average of the weights, which is what is scored and kept
    views: int = 1  # encoded views of each training image; above 1 they are flipped, scaled and rotated
    balance: bool = False  # every class weighs the same in the loss; rates per class are reported either way
    balance_strength: float = 1.0  # with balance; 0.5 is halfway, where full weight costs too much accuracy
    images_per_class: int | None = None  # this few training images, drawn by the seed, and validation images; or all
    refit: bool = True  # train once more on training and validation images together, when all is chosen
    finalists: int = 6  # paths trained to the end, from which the smallest within one standard error is chosen
    random_paths: int = 5  # baselines of the same kind
    threshold: str = "argmax"  # two classes only: `sensitivity:0.95` or `balanced`, fixed on validation

    def __post_init__(self) -> None:
        check_types(self)
        at_least(self, 1, "epochs", "patience", "batch_size", "views", "finalists")
        at_least(self, 0, "learning_rate", "weight_decay", "random_paths")
        at_least(self, 2, "images_per_class")  # one image of a class has no spread
        share(self, "dropout", "label_smoothing", "average")
        strength(self.balance_strength)
        parse_threshold(self.threshold)


def parse_threshold(rule: str) -> tuple[str, float]:
    """Split a threshold rule into its name and number; raise `PathsearchError` if it is none."""
    name, _, number = rule.partition(":")
    try:
        value = float(number or 0)
    except ValueError:
        value = -1.0
    if rule in ("argmax", "balanced") or (name == "sensitivity" and 0 < value < 1):
        return name, value
    raise PathsearchError(f"threshold: expected argmax, balanced or sensitivity:S with S between 0 and 1, got {rule!r}")


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides the outcome of `pathsearch evolve`."""

    task: str
    split: str
    seed: int = 0
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    grid: GridSettings = field(default_factory=GridSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    grown_from: str | None = None  # the run whose grid this one starts on
    data: str = ""  # digest of the prepared task: a resumed or joined run must stand on the same images and split
    encoder_key: str = ""  # digest of the encoder with its weights: a file may be replaced under its name

    def __post_init__(self) -> None:
        check_types(self)
        at_least(self, 0, "seed")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunSettings:
        """The settings that `to_dict` made; an unknown key is an error."""
        parts = {
            "encoder": EncoderSettings,
            "grid": GridSettings,
            "search": SearchSettings,
            "training": TrainingSettings,
        }
        return _make(cls, {k: _make(parts[k], v) if k in parts else v for k, v in values.items()})


def with_settings(
    settings: RunSettings, assignments: Sequence[str], options: Mapping[str, tuple[str, Any]] | None = None
) -> RunSettings:
    """Settings changed by a command line's options and by assignments such as `training.epochs=20`, checked once.

    Args:
        settings: to be changed; they stay as they are.
        assignments: what `--set` was given, each value read as its setting's type.
        options: by setting, the option of its own that was given for it and its value: not to be set a second time.

    Raises:
        PathsearchError: an unknown setting, a value of another type, a setting that is given twice, one that has no
            effect beside the others, or a value that the settings refuse.
    """
    values, options = settings.to_dict(), options or {}
    for key, (_, value) in options.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    before: dict[str, str] = {}
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        section, _, name = key.partition(".")
        if not isinstance(values.get(section), dict) or name not in values[section]:
            known = [f"{part}.{k}" for part, keys in values.items() if isinstance(keys, dict) for k in keys]
            near = [k for k in known if k.endswith(f".{key}")] or difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {' or '.join(near)}?" if near else f"settings: {', '.join(known)}"
            raise PathsearchError(f"--set {assignment}: unknown setting {key!r}; {hint}")
        if key == "grid.plugins":
            raise PathsearchError(
                f"--set {assignment}: expected plug-ins by an option of their own; give --plugin FILE"
            )
        if key in before:
            raise PathsearchError(f"--set {assignment}: --set {before[key]} is given too; leave out one of them")
        if key in options:
            raise PathsearchError(f"--set {assignment}: {options[key][0]} is given too; leave out one of them")
        values[section][name] = _read(key, text, getattr(settings, section))
        before[key] = assignment
    given = {*options, *before}
    made = RunSettings.from_dict(values)
    if "search.elite" in given and made.search.elite != values["search"]["elite"]:  # only the default follows
        raise PathsearchError(
            f"elite: expected fewer than population={made.search.population}, got {values['search']['elite']}"
        )
    refuse_idle(made, given)
    return made


def _read(key: str, text: str, part: Any) -> Any:
    """A value as the type of its setting in this part of the settings."""
    name = key.partition(".")[2]
    kind, optional = plain_type(get_type_hints(type(part))[name])
    try:
        value = text if kind is str else json.loads(text)
    except ValueError:
        value = None
    if optional and text == "null":
        return None
    if not fits(value, kind):
        like = "a number or null" if optional else f"a value like {json.dumps(getattr(part, name))}"
        raise PathsearchError(f"--set {key}: expected {like}, got {text!r}")
    return float(str(value)) if kind is float else value


def _make(cls: Any, values: dict[str, Any]) -> Any:
    unknown = set(values) - {f.name for f in fields(cls)}
    if unknown:
        raise PathsearchError(
            f"config.json: unknown key {sorted(unknown)[0]!r} in {cls.__name__}; was it written by another version?"
        )
    return cls(**values)
