"""Settings: frozen, checked when made, one reason beside each default; saved resolved before work starts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from data_prep.errors import PathsearchError
from pathsearch.run.declared import Declared, declared, setting
from pathsearch.run.idle_settings import refuse_idle, refuse_idle_in_training
from pathsearch.run.search_settings import SearchSettings
from pathsearch.run.setting_checks import check_settings, fits
from pathsearch.run.together_settings import TogetherSettings
from pathsearch.run.training_settings import TrainingSettings

SEEDS = 2**63 - 1  # the greatest that other programs know as a whole number

# Each setting: default, help, reason for this default; then what it takes, and the option that it has, if any.


@dataclass(frozen=True)
class EncoderSettings:
    """Which frozen trunk turns images into feature maps; equal settings mean equal features."""

    name: str = setting(
        "vgg16",
        "A torchvision trunk such as vgg16 or resnet18, pixels, or one of a --plugin.",
        "the paper's",
        option="--encoder",
    )
    weights: str = setting(
        "imagenet",
        "imagenet (downloaded once), random, or a .safetensors or .pth file.",
        "the paper's",
        option="--encoder-weights",
    )
    image_size: int = setting(
        128,
        "Pixels a side for the encoder.",
        "64 is 4 times faster, 224 is ImageNet's own and 3 times slower",
        low=32,  # five halvings leave one position
        high=4096,
        option="--image-size",
        otherwise="the task's own",
    )
    map_size: int = setting(
        4,
        "Positions a side of the feature maps; larger maps are averaged down.",
        "validation scores did not move from 7 to 4, cost fell fourfold",
        low=1,
        high=4096,
    )
    random_seed: int = setting(
        0,
        "Seed of random encoder weights.",
        "apart from the run's seed, so that seeds share one encoding",
        low=0,
        high=SEEDS,
    )
    precision: str = setting(
        "float32",
        "float32, or bfloat16: twice as fast where the processor has it.",
        "fast on every processor; features in bfloat16 are alike to 4 digits",
        choices=("float32", "bfloat16"),
    )
    taps: int = setting(
        1,
        "Maps that modules may read: the last one, and with more those of as many stages before it.",
        "the paper's grid reads the last map alone",
        low=1,
        high=100,
    )
    sizes: str = setting(
        "one",
        "one: maps are joined at the size of the last; own: each as it is, for blueprints: stage1 (the last map), "
        "stage2.",
        "one small size is cheap to cache, and enough for a chain",
        choices=("one", "own"),
    )
    stages: int | None = setting(
        None,
        "First stages of the trunk that are kept, each ending where maps become smaller; null: all.",
        "classes are read from the last; outlines are still sharp in the first",
        low=1,
        high=100,
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class GridSettings:
    """L layers of M modules, at most N active in a layer."""

    n_layers: int = setting(3, "Layers of the grid (L).", "the paper's", low=1, high=1000)
    n_modules: int = setting(10, "Modules in each layer (M).", "the paper's", low=1, high=1000)
    max_active: int = setting(3, "Modules that a path has in a layer at most (N).", "PathNet's", low=1)
    modules: str = setting(
        "mixed",
        "The space: mixed kinds, paper: identical modules, ums-rep or unet (pixels, or stages), or one of a --plugin.",
        "kinds and sizes differ, so that a choice means something",
        choices=("mixed", "paper", "ums-rep", "unet"),
        unless="plugins",
        option="--blueprint",
        older="--modules",
    )
    width: int = setting(
        64,
        "Length of the vectors between layers (D).",
        "four times a small task's needs, still cheap",
        low=1,
        high=10_000,
    )
    plugins: tuple[str, ...] = setting(
        (),
        "Files with module kinds of your own, as NAME=SHA-256; named by their option.",
        "the kinds at hand need none",
        option="--plugin",
        apart=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "plugins", tuple(self.plugins))  # a list in JSON
        if self.max_active > self.n_modules:
            raise PathsearchError(
                f"max_active: expected at most n_modules={self.n_modules}, got {self.max_active}; "
                "lower it, or raise n_modules"
            )


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides the outcome of `pathsearch evolve` and `pathsearch train`."""

    task: str
    split: str
    seed: int = setting(
        0,
        "Seed of all random choices.",
        "a number like any other; a run's name ends in it",
        low=0,
        high=SEEDS,
        option="--seed",
    )
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    grid: GridSettings = field(default_factory=GridSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    together: TogetherSettings = field(default_factory=TogetherSettings)
    grown_from: str | None = None  # the run whose grid this one starts on
    data: str = ""  # digest of the prepared task: a resumed or joined run must stand on the same images and split
    encoder_key: str = ""  # digest of the encoder with its weights: a file may be replaced under its name
    path: str = ""  # trained without a search: a preset's name, or a path as it is printed; empty: one is searched
    partners: dict[str, str] = field(default_factory=dict)  # runs that were trained together, by task; this one, too
    begun_from: str | None = None  # the run whose shared layers they began from and trained on

    def __post_init__(self) -> None:
        check_settings(self)
        if not (isinstance(self.partners, dict) and all(isinstance(one, str) for one in self.partners.values())):
            raise PathsearchError(f"partners: expected names of runs by task, got {self.partners!r:.40}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunSettings:
        """The settings that `to_dict` made; an unknown key is an error."""
        return _make(cls, {k: _make(SECTIONS[k], v) if k in SECTIONS else v for k, v in values.items()})


SECTIONS: dict[str, Any] = {
    "encoder": EncoderSettings,
    "grid": GridSettings,
    "search": SearchSettings,
    "training": TrainingSettings,
    "together": TogetherSettings,
}
DECLARED: dict[str, Declared] = {  # every setting by its key, as search.population; the seed's is seed
    one.key: one for section, part in {"": RunSettings, **SECTIONS}.items() for one in declared(part, section)
}
WITH_OPTIONS = {  # whose settings have options of their own, by command; a comparison is told the others by --set
    "evolve": ("encoder", "grid", "search", "training", "together"),
    "compare": ("encoder", "training"),
    "train": ("encoder", "grid", "training", "together"),
}


def with_settings(
    settings: RunSettings,
    assignments: Sequence[str],
    options: Mapping[str, tuple[str, Any]] | None = None,
    file: Mapping[str, Any] | None = None,
) -> RunSettings:
    """Settings changed by a settings file, then by a command line's options and assignments; checked once, together.

    Args:
        settings: to be changed; they stay as they are.
        assignments: what `--set` was given, as `training.epochs=20`, each value read as its setting's type.
        options: by setting, the option of its own that was given for it and its value: not to be set a second time.
        file: by setting, what a settings file says; options and assignments overrule it.

    Raises:
        PathsearchError: an unknown setting, a value of another type, a setting that is given twice, one that has no
            effect beside the others, or a value that the settings refuse.
    """
    values, options, file = settings.to_dict(), options or {}, file or {}
    given = {key for key, value in file.items() if value != _put(values, key, value)}  # a default asks for nothing
    for key, (_, value) in options.items():
        _put(values, key, value)
    before: dict[str, str] = {}
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        if key not in DECLARED or not DECLARED[key].section:  # the seed has no other way than its option
            raise PathsearchError(f"--set {assignment}: unknown setting {key!r}; {nearest(key)}")
        if DECLARED[key].said.apart:
            raise PathsearchError(
                f"--set {assignment}: expected plug-ins by an option of their own; give --plugin FILE"
            )
        if key in before:
            raise PathsearchError(f"--set {assignment}: --set {before[key]} is given too; leave out one of them")
        if key in options:
            raise PathsearchError(f"--set {assignment}: {options[key][0]} is given too; leave out one of them")
        _put(values, key, _read(DECLARED[key], text))
        before[key] = assignment
    given |= {*options, *before}
    made = RunSettings.from_dict(values)
    if made.path:
        refuse_idle_in_training(given)
    if "search.elite" in given and made.search.elite != values["search"]["elite"]:  # only the default follows
        raise PathsearchError(
            f"elite: expected fewer than population={made.search.population}, got {values['search']['elite']}"
        )
    refuse_idle(made, given)
    return made


def nearest(key: str) -> str:
    """What somebody may have meant by a key that no setting has, or all that there are."""
    known = [known for known, one in DECLARED.items() if one.section]
    near = [one for one in known if one.endswith(f".{key}")] or difflib.get_close_matches(key, known, n=1)
    return f"did you mean {' or '.join(near)}?" if near else f"settings: {', '.join(known)}"


def _put(values: dict[str, Any], key: str, value: Any) -> Any:
    """Change one value of settings as a dictionary; returns the one before."""
    section, _, name = key.rpartition(".")
    part = values[section] if section else values
    before, part[name] = part[name], value
    return before


def _read(setting: Declared, text: str) -> Any:
    """A value as the type of its setting."""
    try:
        value = text if setting.kind is str else json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if setting.optional and text == "null":
        return None
    if not fits(value, setting.kind):
        like = "a number or null" if setting.optional else f"a value like {json.dumps(setting.default)}"
        raise PathsearchError(f"--set {setting.key}: expected {like}, got {text!r}")
    return float(str(value)) if setting.kind is float else value


def _make(cls: Any, values: dict[str, Any]) -> Any:
    unknown = set(values) - {f.name for f in fields(cls)}
    if unknown:
        raise PathsearchError(
            f"config.json: unknown key {sorted(unknown)[0]!r} in {cls.__name__}; was it written by another version?"
        )
    return cls(**values)
