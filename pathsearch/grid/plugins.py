"""Plug-ins, module kinds of your own: Python files or installed modules, named by the user, known by their digest.

A plug-in is code, so nothing runs it but its name on the command line or in `pathsearch.load(…, plugins=[…])`. Runs,
experts and bundles note which plug-ins their modules came from; who opens them names the file again, and it must be
the same file. A worked example, `mine.py`, in one file that imports installed packages only:

    from torch import nn
    from pathsearch import modules, vocabulary

    @modules.register("tanh")  # the part of a specification before the hyphen; the number after it is `size`
    def tanh(in_shape, out_shape, size):
        return nn.Sequential(nn.Linear(in_shape[0], size), nn.Tanh(), nn.Linear(size, out_shape[0]))

    @vocabulary.register("mine")
    def mine(n_layers):  # the modules of each layer
        first, later = vocabulary.MIXED_FIRST, ("tanh-16", "tanh-64", *vocabulary.MIXED_LATER)
        return [first, *[later] * (n_layers - 1)]

    pathsearch evolve --task ecg --plugin mine.py --modules mine
    pathsearch bundle ecg-random-s0 --out model --plugin mine.py
    pathsearch predict model image.png --plugin mine.py

A whole blueprint, a target or an encoder comes in alike: see docs/adding-parts.md. An installed plug-in is a module
under the entry point group `pathsearch.modules`, named by its entry point.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from data_prep.errors import PathsearchError
from pathsearch.encoders.pixels import ENCODERS  # with the package's own in it
from pathsearch.grid.blueprint import BLUEPRINTS
from pathsearch.grid.modules import KINDS
from pathsearch.grid.vocabulary import VOCABULARIES
from pathsearch.targets.target import DEFAULT, TARGETS

GROUP = "pathsearch.modules"
_loaded: dict[str, str] = {}  # SHA-256 of every plug-in that this process has run, by its name
_named: dict[str, str] = {}  # how the user named each, by its name
_origins: dict[str, tuple[str, ...]] = {}  # the plug-ins that every kind, and every Python module, came from


def load_plugins(named: Iterable[str | Path]) -> tuple[str, ...]:
    """Run the plug-ins that a user names, each once in a process, and return how they are known: `NAME=SHA-256`.

    Args:
        named: Python files, ending in .py, or names of installed plug-ins.

    Raises:
        PathsearchError: no such plug-in, it fails, it enters nothing, or another one of its name was run before.
    """
    return tuple(f"{name}={_loaded[name]}" for name in dict.fromkeys(_load(str(one)) for one in named))


def named_plugins(needed: Sequence[str]) -> tuple[str, ...]:
    """How the user named these plug-ins, `NAME=SHA-256` each: for a process that works beside this one."""
    names = (note.partition("=")[0] for note in needed)
    return tuple(_named[name] for name in names if name in _named)


def check_plugins(needed: Sequence[str], owner: str) -> None:
    """Refuse `owner`, say a bundle, unless the plug-ins that it notes have been loaded, the same to the byte."""
    if not isinstance(needed, (list, tuple)) or not all(isinstance(note, str) for note in needed):
        raise PathsearchError(f"{owner}: plugins: expected a list of NAME=SHA-256, got {needed!r}; make it again")
    for name, _, digest in (note.partition("=") for note in needed):
        if name not in _loaded:
            raise PathsearchError(
                f"{owner}: expected the plug-in {name} (SHA-256 {digest[:12]}…) that its modules came from, got none; "
                f"if you trust it, add --plugin {name}, or plugins=[…] in Python"
            )
        if _loaded[name] != digest:
            raise PathsearchError(
                f"{owner}: expected the plug-in {name} with SHA-256 {digest[:12]}…, got {_loaded[name][:12]}…; give "
                "the file as it was"
            )


def plugins_of(specifications: Iterable[str], target: str = DEFAULT, encoder: str = "") -> list[str]:
    """The plug-ins, `NAME=SHA-256`, that modules of these specifications, a target and an encoder came from.

    The package's own have none.
    """
    kinds = [one.partition("@")[0].partition("-")[0] for one in specifications]
    kinds += [f"target {target}", f"encoder {encoder}"]
    return [f"{name}={_loaded[name]}" for name in sorted({name for kind in kinds for name in _origins.get(kind, ())})]


def _load(named: str) -> str:
    name, digest, module, run = _from_file(Path(named)) if named.endswith(".py") else _installed(named)
    if _loaded.get(name, digest) != digest:
        raise PathsearchError(
            f"--plugin {named}: expected the {name} that is loaded ({_loaded[name][:12]}…), got another one "
            f"({digest[:12]}…); rename one of them, or start Python again"
        )
    if name in _loaded:
        return name
    registries: tuple[dict[str, Any], ...] = (KINDS, VOCABULARIES, TARGETS, BLUEPRINTS, ENCODERS)
    before = [dict(registry) for registry in registries]
    try:
        run()
        if list(map(len, registries)) == list(map(len, before)):
            raise ValueError(
                "it registers no module kind, no vocabulary, no blueprint, no target and no encoder; "
                "pathsearch/grid/plugins.py has an example"
            )
        for kind in ENCODERS.keys() - before[4].keys():
            _refuse_borrowed(kind)
    except Exception as error:
        for registry, known in zip(registries, before, strict=True):
            for added in registry.keys() - known.keys():
                del registry[added]
        about = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise PathsearchError(f"--plugin {named}: {about}") from error
    _loaded[name], _named[name] = digest, named
    _origins.update(dict.fromkeys([*(KINDS.keys() - before[0].keys()), f"module {module}"], (name,)))
    _origins.update({f"target {kind}": (name,) for kind in TARGETS.keys() - before[2].keys()})
    for kind in ENCODERS.keys() - before[4].keys():
        found = (
            name,
            *(one for base in ENCODERS[kind].__mro__ for one in _origins.get(f"module {base.__module__}", ())),
        )
        _origins[f"encoder {kind}"] = tuple(dict.fromkeys(found))
        ENCODERS[kind].plugin = "+".join(f"{one}={_loaded[one]}" for one in _origins[f"encoder {kind}"])
    return name


def _refuse_borrowed(encoder: str) -> None:
    """Refuse the package's class, or another plug-in's: a note on it would stand in keys of features it has made."""
    kind = ENCODERS[encoder]
    if kind.__module__.startswith("pathsearch.") or f"module {kind.__module__}" in _origins:
        raise ValueError(
            f"encoder {encoder!r}: expected a class of its own, got {kind.__name__} of {kind.__module__}; register a "
            "subclass of it"
        )


def _from_file(file: Path) -> tuple[str, str, str, Callable[[], object]]:
    """Name, SHA-256, module and what runs it, of a plug-in in a file of its own."""
    try:
        source = file.read_bytes()
    except OSError as error:
        raise PathsearchError(f"--plugin {file}: {error.strerror}; expected a Python file with module kinds") from None

    module = ModuleType(f"pathsearch_plugin_{file.stem}")
    module.__file__ = str(file)

    def run() -> None:
        sys.modules[module.__name__] = module  # where a dataclass in it looks for itself
        _Source(source, file).exec_module(module)

    return file.name, hashlib.sha256(source).hexdigest(), module.__name__, run


class _Source(importlib.abc.InspectLoader):
    """Runs the very bytes that were hashed: no second reading, no cached byte code."""

    def __init__(self, source: bytes, file: Path) -> None:
        self.source, self.file = source, file

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self.source)

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.source, str(self.file))


def _installed(name: str) -> tuple[str, str, str, Callable[[], object]]:
    """The same of an installed plug-in: the SHA-256 is over all Python files of its module."""
    modules = {one.name: one.module for one in entry_points(group=GROUP)}
    if name not in modules:
        raise PathsearchError(
            f"--plugin {name}: expected a file ending in .py, or an installed plug-in (there are: "
            f"{', '.join(sorted(modules)) or 'none'}); did you mean {name}.py?"
        )
    spec = importlib.util.find_spec(modules[name])
    if spec is None or spec.origin is None:
        raise PathsearchError(f"--plugin {name}: its module {modules[name]} cannot be found; install it again")
    origin, digest = Path(spec.origin), hashlib.sha256()
    folder = origin.parent if spec.submodule_search_locations else None
    for file in sorted(folder.rglob("*.py")) if folder else [origin]:
        digest.update(f"{file.relative_to(origin.parent).as_posix()}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return name, digest.hexdigest(), modules[name], lambda: importlib.import_module(modules[name])
