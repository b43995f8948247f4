"""Settings: frozen, checked when made, one reason beside each default; saved resolved before work starts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from data_prep.errors import PathsearchError


def _at_least(owner: object, low: float, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if value is not None and not value >= low:
            raise PathsearchError(f"{name}: expected at least {low}, got {value}; choose a larger number")


def _share(owner: object, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(owner, name) < 1:
            raise PathsearchError(f"{name}: expected a share in [0, 1), got {getattr(owner, name)}")


def _strength(value: float) -> None:
    if not 0 <= value <= 1:
        raise PathsearchError(f"balance_strength: expected 0 (images weigh alike) to 1 (classes do), got {value}")


def _one_of(owner: object, name: str, *choices: str) -> None:
    if getattr(owner, name) not in choices:
        raise PathsearchError(f"{name}: expected one of {', '.join(choices)}; got {getattr(owner, name)!r}")


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
        _one_of(self, "precision", "float32", "bfloat16")
        _at_least(self, 1, "map_size", "taps")
        _at_least(self, 32, "image_size")  # five halvings leave one position


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
        _at_least(self, 1, "n_layers", "n_modules", "max_active", "width")
        object.__setattr__(self, "plugins", tuple(self.plugins))  # a list in JSON
        if not self.plugins:  # which may bring more
            _one_of(self, "modules", "mixed", "paper")


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
    elite: int = 2  # best paths that pass unchanged
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
    plateau: int | None = None  # stop after so many generations without a better best

    def __post_init__(self) -> None:
        _at_least(self, 2, "population", "tournament")
        _at_least(self, 1, "generations", "hall_of_fame", "steps", "batch_size", "plateau", "snapshots", "folds")
        _at_least(self, 0, "elite", "rungs", "warmup", "learning_rate", "weight_decay")
        _share(self, "dropout", "average")
        _strength(self.balance_strength)
        if not 0 <= self.crossover <= 1:
            raise PathsearchError(f"crossover: expected a share in [0, 1], got {self.crossover}")
        if self.elite >= self.population:
            raise PathsearchError(f"elite: expected fewer than population={self.population}, got {self.elite}")
        if self.rungs > self.population:
            raise PathsearchError(f"rungs: expected at most population={self.population}, got {self.rungs}")
        _one_of(self, "preset", "generational", "pathnet", "random")
        _one_of(self, "weights", "shared", "fresh")
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
        _one_of(self, "fitness", "accuracy", "balanced_accuracy", "auc")
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
        _at_least(self, 1, "epochs", "patience", "batch_size", "views", "finalists")
        _at_least(self, 0, "learning_rate", "weight_decay", "random_paths")
        _at_least(self, 2, "images_per_class")  # one image of a class has no spread
        if not isinstance(self.images_per_class, int | None):
            raise PathsearchError(f"images_per_class: expected a whole number or null, got {self.images_per_class}")
        _share(self, "dropout", "label_smoothing", "average")
        _strength(self.balance_strength)
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
    settings: RunSettings, assignments: Sequence[str], options: Mapping[str, str] | None = None
) -> RunSettings:
    """Settings changed by assignments such as `training.epochs=20`, each value read as the present one's type.

    Args:
        settings: to be changed; they stay as they are.
        assignments: what `--set` was given.
        options: by setting, the command line's own option that was given for it: not to be set a second time.

    Raises:
        PathsearchError: an unknown setting, a value of another type, or a setting that has its option already.
    """
    values = settings.to_dict()
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        section, _, name = key.partition(".")
        if not isinstance(values.get(section), dict) or name not in values[section]:
            known = [f"{part}.{k}" for part, keys in values.items() if isinstance(keys, dict) for k in keys]
            near = [k for k in known if k.endswith(f".{key}")] or difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {' or '.join(near)}?" if near else f"settings: {', '.join(known)}"
            raise PathsearchError(f"--set {assignment}: unknown setting {key!r}; {hint}")
        if options and key in options:
            raise PathsearchError(f"--set {assignment}: {options[key]} is given too; leave out one of them")
        values[section][name] = _read(key, text, values[section][name])
    return RunSettings.from_dict(values)


def _read(key: str, text: str, before: Any) -> Any:
    try:
        value = text if isinstance(before, str) else json.loads(text)
    except ValueError:
        value = None
    if isinstance(before, tuple) and isinstance(value, list):
        value = tuple(value)
    if before is None:  # what may be absent is a number
        fits = type(value) in (int, float) or text == "null"
    else:
        fits = type(value) is type(before) or (isinstance(before, float) and type(value) is int)
    if not fits:
        wanted = "a number or null" if before is None else f"a value like {json.dumps(before)}"
        raise PathsearchError(f"--set {key}: expected {wanted}, got {text!r}")
    return float(str(value)) if isinstance(before, float) else value


def _make(cls: Any, values: dict[str, Any]) -> Any:
    unknown = set(values) - {f.name for f in fields(cls)}
    if unknown:
        raise PathsearchError(
            f"config.json: unknown key {sorted(unknown)[0]!r} in {cls.__name__}; was it written by another version?"
        )
    return cls(**values)
