"""A bundle: one portable folder with everything that answers images, every file of it under a digest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, TypedDict, cast

import torch

from data_prep import __version__
from data_prep.errors import PathsearchError
from data_prep.manifest import Task, load_task
from data_prep.table_words import as_file_name, by_folder
from data_prep.whole_files import file_sha256, folder_appears_whole, write_json, write_text
from pathsearch.encoders.features import verify
from pathsearch.encoders.pixels import make_encoder
from pathsearch.experts.expert import Expert
from pathsearch.experts.export import export
from pathsearch.experts.model import Model, check_sight, check_unchanged
from pathsearch.experts.model_card import card
from pathsearch.experts.pictures import Preparation
from pathsearch.experts.predict import Predictor
from pathsearch.experts.router import Router, Territory
from pathsearch.experts.rules import read_rules
from pathsearch.experts.run_report import Threshold, report_of
from pathsearch.grid.plugins import check_plugins
from pathsearch.run.runs import Run
from pathsearch.run.same_encoder import Identity
from pathsearch.run.settings import EncoderSettings
from pathsearch.run.teller import Teller
from pathsearch.run.tensor_file import save_tensors
from pathsearch.targets.target import DEFAULT, Target

if TYPE_CHECKING:
    from typing_extensions import NotRequired  # in `typing` from Python 3.11 on

FORMAT = 1
INDEX, CARD, TRUNK, ONNX = "bundle.json", "MODEL_CARD.md", "encoder.safetensors", "model.onnx"
NO_TRUNK = "none"  # where the weights of an encoder come from that is no trunk
OWN = "sha256"  # the field of the index with the digest of its others
AGAIN = "copy the bundle again, or make it again with `pathsearch bundle`"


class Prepared(TypedDict):
    """How new images are prepared."""

    sizes: list[int] | tuple[int, ...]
    grey: bool
    in_words: str


class TaskEntry(TypedDict):
    """One task of a bundle; `target` and `levels` stand only where it asks for something else than classes."""

    classes: list[str]  # the names that its answers are made of
    target: NotRequired[str]
    levels: NotRequired[list[int]]  # of a mask: the grey level of each name
    expert: str  # file
    router: str  # file
    run: str
    split: str
    split_in_words: str
    seed: int
    path: str
    threshold: Threshold


class Index(TypedDict):
    """What is in a bundle; bundles of earlier versions have no plug-ins and no digest of this."""

    format: int
    pathsearch: str
    encoder: Identity
    encoder_weights: str
    random_seed: int
    preparation: Prepared
    tasks: dict[str, TaskEntry]
    plugins: NotRequired[list[str]]
    rules: NotRequired[list[str]]  # where there are any
    files: dict[str, str]  # SHA-256
    sha256: NotRequired[str]  # of all other fields


class Extras(NamedTuple):
    """What a bundle may hold beside experts and router."""

    encoder: bool = False  # its weights; those that came from a file always are, for nobody else could get them
    onnx: bool = False  # `model.onnx`
    rules: tuple[str, ...] = ()  # further answers, see `rules`


NONE = Extras()


def write(
    runs: Sequence[Run],
    data_dir: Path,
    out: Path,
    tell: Teller,
    extras: Extras = NONE,
    *,
    overwrite: bool = False,
) -> Index:
    """Write a bundle of finished runs, whole or not at all, and return its index.

    Args:
        runs: one finished run a task, all on one encoder.
        data_dir: where their prepared tasks lie, for the model card.
        out: the folder to make.
        tell: progress.
        extras: what else is put inside.
        overwrite: replace a bundle that is at `out`.

    Raises:
        PathsearchError: `out` is taken; runs that do not belong together; a task or an encoder that changed.
    """
    out = out.resolve()
    if out.exists() and not (overwrite and (out / INDEX).is_file()) and (not out.is_dir() or any(out.iterdir())):
        advice = "give --overwrite or another --out" if (out / INDEX).is_file() else "give another --out"
        raise PathsearchError(f"--out {out.name}: expected a new folder, got one that is taken; {advice}")
    tell.stage("bundle", 0)
    model = Model.of(runs, torch.device("cpu"))
    model = replace(model, rules=read_rules(extras.rules, model.experts))
    for run, expert in zip(runs, model.experts.values(), strict=True):
        if not expert.target.answers():
            raise PathsearchError(
                f"run {run.name}: expected a target that says how outputs become answers, got {expert.facts.target}, "
                "which has no method `decoded`; add it to the plug-in, or leave this run out"
            )
    tasks = [load_task(data_dir, name) for name in model.experts]
    for run, task in zip(runs, tasks, strict=True):
        check_unchanged(run, model.experts[task.name], task, model.encoder)
        verify(task, data_dir / "features")
    preparation = Preparation.of(tasks)
    with folder_appears_whole(out) as folder:
        entries = {
            task.name: _put(run, task, model.experts[task.name].target, folder)
            for task, run in zip(tasks, runs, strict=True)
        }
        settings = model.encoder.settings
        from_file = settings.weights not in ("random", "imagenet")
        inside = (extras.encoder or from_file) and model.encoder.has_trunk
        if inside:
            save_tensors(folder / TRUNK, model.encoder.state())
        if extras.onnx:
            export(model, folder / ONNX)
        write_text(folder / CARD, card(model, runs, tasks, preparation, onnx=extras.onnx))
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        index: Index = {
            "format": FORMAT,
            "pathsearch": __version__,
            "encoder": cast("Identity", {**model.encoder.identity, "key": model.encoder.key}),
            "encoder_weights": TRUNK if inside else settings.weights if model.encoder.has_trunk else NO_TRUNK,
            "random_seed": settings.random_seed,
            "preparation": {
                "sizes": preparation.sizes,
                "grey": preparation.grey,
                "in_words": preparation.in_words(),
            },
            "tasks": entries,
            "plugins": sorted({one for expert in model.experts.values() for one in expert.facts.plugins}),
            "files": {file.relative_to(folder).as_posix(): file_sha256(file) for file in files},
        }
        if model.rules:
            index["rules"] = [rule.text for rule in model.rules]
        write_json(folder / INDEX, {**index, OWN: _own_digest(index)})
    return index


def _put(run: Run, task: Task, target: Target, folder: Path) -> TaskEntry:
    """Copy a run's expert and router into the bundle and describe them; runs of one folder share the first's router."""
    expert, router = f"experts/{as_file_name(task.name)}.safetensors", f"routers/{task.folder}.safetensors"
    if (folder / expert).exists():
        raise PathsearchError(
            f"run {run.name}: expected a task whose file has a name of its own, got {task.name} and another whose "
            f"expert is {expert}; leave one out"
        )
    for source, name in ((run.expert_file, expert), (run.router_file, router)):
        if not (folder / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, folder / name)
    report = report_of(run)
    entry: TaskEntry = {
        "classes": list(target.names),
        "expert": expert,
        "router": router,
        "run": run.name,
        "split": report["split"],
        "split_in_words": report["split_in_words"],
        "seed": report["seed"],
        "path": report["path"],
        "threshold": report["threshold"],
    }
    if target.kind != DEFAULT:
        entry["target"] = target.kind
    if target.gives == "mask" and "masks" in task.info:
        entry["levels"] = list(task.info["masks"]["levels"])
    return entry


def load(folder: Path, device: torch.device) -> Predictor:
    """Read a bundle back, verifying every file's digest and the encoder's weights.

    Raises:
        PathsearchError: no bundle, or one of another format; a file that is missing, damaged or changed; an
            encoder that is not the one the experts were made with.
    """
    index = _index(folder)
    try:
        check_plugins(index.get("plugins", []), f"bundle {folder}")
        for name, sha in index["files"].items():
            _verify(folder, name, sha)
        about, source = index["encoder"], index["encoder_weights"]
        known = {TRUNK: str(folder / TRUNK), "imagenet": "imagenet", "random": "random", NO_TRUNK: "random"}
        if source not in known:
            raise PathsearchError(
                f"bundle {folder}: encoder_weights: expected one of {', '.join(known)}; got {source!r}; do not use it"
            )
        weights = known[source]
        settings = EncoderSettings(
            about["name"],
            weights,
            about["image_size"],
            about["map_size"],
            index["random_seed"],
            about.get("precision", "float32"),
            len(about["taps"]) if "taps" in about else 1,
            about.get("sizes", "one"),
            about.get("stages"),
        )
        if not all(isinstance(one, str) for one in (about["weights"], about["weights_sha256"], about["key"])):
            raise KeyError("encoder: expected weights, weights_sha256 and key as texts")
        preparation = _preparation(index["preparation"])
        entries = {
            task: (entry["classes"], _inside(folder, entry["expert"]), _inside(folder, entry["router"]))
            for task, entry in index["tasks"].items()
        }
        rules = list(map(str, index.get("rules", [])))
        levels = {task: _levels(entry) for task, entry in index["tasks"].items() if "levels" in entry}
        listed = {folder / name for name in index["files"]}
        needed = {file for _, *own in entries.values() for file in own} | ({folder / TRUNK} & {Path(weights)})
        if missing := needed - listed:
            raise KeyError(f"digest of {min(missing).name}")
    except (KeyError, TypeError, AttributeError) as error:
        raise PathsearchError(f"bundle {folder}: {INDEX} lacks or garbles {error}; {AGAIN}") from None
    encoder = make_encoder(settings, device)
    if encoder.weights_sha256 != about["weights_sha256"] or encoder.key != about["key"]:
        advice = AGAIN if source == TRUNK else "make it again with `pathsearch bundle … --with-encoder`"
        raise PathsearchError(
            f"bundle {folder}: expected encoder weights {about['weights_sha256'][:12]}… ({about['weights']}), this "
            f"machine gives {encoder.weights_sha256[:12]}…; {advice}"
        )
    encoder.weights_label = about["weights"]
    experts = {task: Expert.load(file) for task, (_, file, _) in entries.items()}
    for task, expert in experts.items():
        own = (expert.facts.task, expert.facts.classes, expert.facts.encoder["weights_sha256"])
        expected = (task, entries[task][0], encoder.weights_sha256)
        if own != expected:
            raise PathsearchError(
                f"bundle {folder}: expected an expert of {expected[0]} {expected[1]} on encoder {expected[2][:12]}…, "
                f"got {own[0]} {own[1]} on {own[2][:12]}…; {AGAIN}"
            )
    territories = {task: Territory.load(entries[names[0]][2]) for task, names in by_folder(entries).items()}
    for task, territory in territories.items():
        check_sight(territory, encoder, f"bundle {folder}: task {task}")
    try:
        return Predictor(Model(encoder, experts, Router(territories), levels, read_rules(rules, experts)), preparation)
    except PathsearchError as error:
        raise PathsearchError(f"bundle {folder}: {error}") from None


def _preparation(entry: Prepared) -> Preparation:
    sizes, grey = entry["sizes"], entry["grey"]
    good = isinstance(sizes, list) and all(type(one) is int and one > 0 for one in sizes)
    if not good or not isinstance(grey, bool):
        raise KeyError(f"preparation: expected sizes in pixels, and grey or not, got {sizes!r:.60}, {grey!r:.60}")
    return Preparation(tuple(sizes), grey)


def _levels(entry: TaskEntry) -> list[int]:
    """The grey levels of a task's masks: a different one for each name."""
    levels, names = entry["levels"], entry["classes"]
    good = all(type(one) is int and 0 <= one <= 255 for one in levels)
    if not good or len({*levels}) != len(levels) or len(levels) != len(names):
        raise KeyError(f"levels: expected {len(names)} different ones of 0 to 255, got {levels!r:.60}")
    return levels


def _index(folder: Path) -> Index:
    file = _inside(folder, INDEX)
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        found = index.get("format")
    except FileNotFoundError:
        raise PathsearchError(
            f"bundle {folder}: expected a folder with {INDEX}, got none; make one: pathsearch bundle RUN … --out DIR"
        ) from None
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise PathsearchError(f"bundle {folder}: {INDEX} is not readable as JSON ({error}); {AGAIN}") from None
    if found != FORMAT:
        raise PathsearchError(
            f"bundle {folder}: expected format {FORMAT}, got {found!r}; use the pathsearch that made it "
            f"({index.get('pathsearch')}), or bundle again with this one"
        )
    if OWN in index and index["sha256"] != _own_digest(index):  # bundles of earlier versions have none
        raise PathsearchError(
            f"bundle {folder}: {INDEX} differs from its own digest: it was damaged or changed; {AGAIN}"
        )
    return index


def _own_digest(index: Index) -> str:
    """SHA-256 of an index: of everything in it but the digest itself."""
    rest = {key: value for key, value in index.items() if key != OWN}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _verify(folder: Path, name: str, expected: str) -> None:
    file = _inside(folder, name)
    if not file.is_file():
        raise PathsearchError(f"bundle {folder}: expected the file {name}, got none; {AGAIN}")
    found = file_sha256(file)
    if found != expected:
        raise PathsearchError(
            f"bundle {folder}: {name}: expected SHA-256 {expected[:12]}…, got {found[:12]}…: it was damaged or "
            f"changed; {AGAIN}"
        )


def _inside(folder: Path, name: str) -> Path:
    """A file of the bundle; a name or a link that leads out of it is refused, for bundles come from others."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
        raise PathsearchError(f"bundle {folder}: expected names of files inside it, got {name!r}; do not use it")
    for part in (pure, *pure.parents[:-1]):
        if (folder / part).is_symlink():
            raise PathsearchError(f"bundle {folder}: expected files, got a link at {str(part)!r}; do not use it")
    return folder / name
