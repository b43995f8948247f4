"""Vocabularies: what each layer of a grid offers, by the name that `--modules` takes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, cycle, islice
from typing import Any

from data_prep.errors import PathsearchError
from pathsearch.grid import unets as unets  # enters its blueprints
from pathsearch.grid.blueprint import BLUEPRINTS, FEATURES, Blueprint, Layer, Maker
from pathsearch.grid.modules import KINDS, Shape
from pathsearch.run.settings import GridSettings

# Kinds and sizes are mixed, and small stands beside large, so that a choice means something; see the design.
MIXED_FIRST = (
    "pool-4", "conv3x3-16", "conv1x1-4", "bottleneck-16", "pool",
    "dilated-16", "conv1x1-32", "osa-16", "separable-16", "conv3x3-64",
)  # fmt: skip
MIXED_LATER = (
    "skip", "gelu-64", "linear-4", "gated-64", "scale",
    "relu", "gelu-16", "normalised-64", "linear", "gelu-256",
)  # fmt: skip
PAPER_CHANNELS = 16
SIZES = ("n_layers", "n_modules", "width")  # of a grid, which the maker of a blueprint may leave aside

# From the number of layers, L, to the specifications of each layer's modules.
VOCABULARIES: dict[str, Callable[[int], Sequence[Sequence[str]]]] = {
    "mixed": lambda n_layers: [MIXED_FIRST] + [MIXED_LATER] * (n_layers - 1),
    "paper": lambda n_layers: [(f"conv3x3-{PAPER_CHANNELS}",)] + [("relu",)] * (n_layers - 1),
}


def register(name: str) -> Callable[[Any], Any]:
    """Enter a vocabulary under `name`: a function of L that returns each layer's specifications."""

    def enter(vocabulary: Any) -> Any:
        if name in VOCABULARIES:
            raise ValueError(f"vocabulary {name!r} is registered twice; rename one of them")
        VOCABULARIES[name] = vocabulary
        return vocabulary

    return enter


def check_vocabulary(name: str, where: str = "blueprint") -> None:
    """Raise `PathsearchError` unless there is a vocabulary or a blueprint of this name, asked for at `where`."""
    known = list(VOCABULARIES | BLUEPRINTS)
    if name in VOCABULARIES.keys() & BLUEPRINTS.keys():
        raise PathsearchError(f"{where}: {name!r} names both a vocabulary and a blueprint; rename the plug-in's")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "one of your own needs --plugin FILE"
        raise PathsearchError(f"{where}: expected one of {', '.join(known)}; got {name!r}; {hint}")


def blueprint_of(source: Shape | Mapping[str, Shape], settings: GridSettings, taps: Sequence[int] = ()) -> Blueprint:
    """The blueprint that `settings.modules` names, on a source.

    Args:
        source: shape of each of its places by name, or of the features if there is nothing else.
        settings: of the grid; a vocabulary gives a chain, see `chain`.
        taps: see `chain`.

    Raises:
        PathsearchError: nothing of this name, or what it makes cannot be.
    """
    places = dict(source) if isinstance(source, Mapping) else {FEATURES: tuple(source)}
    name = settings.modules
    check_vocabulary(name)
    if name not in BLUEPRINTS:
        return chain(name, settings.n_layers, settings.n_modules, places, settings.width, taps)
    made = _made(BLUEPRINTS[name], tuple(places.items()), settings)
    if not isinstance(made, Blueprint):
        raise PathsearchError(f"blueprint {name!r}: expected a Blueprint from its maker, got {made!r:.60}; return one")
    if list(made.places.items()) != list(places.items()):  # their order counts
        raise PathsearchError(
            f"blueprint {name!r}: expected the places {places} that its maker was given, got {made.places}; "
            "hand them on unchanged"
        )
    return made


def refuse_idle_sizes(source: Mapping[str, Shape], settings: GridSettings) -> None:
    """Raise `PathsearchError` if a size was given that what `settings.modules` names does not ask for.

    A blueprint's maker may leave sizes of the grid aside; a chain, of a plug-in's vocabulary too, those of stages.
    """
    if settings.modules not in BLUEPRINTS:
        if len(source) > 1:
            raise PathsearchError(
                f"encoder.sizes: own has no effect with {settings.modules!r}, since the first layer of a chain brings "
                "all that it reads to the size of the last map; give --blueprint with one that reads stages at their "
                "own sizes, or leave out encoder.sizes"
            )
        return  # chains ask for all sizes of the grid
    made = blueprint_of(source, settings)
    for name in SIZES:
        value, usual = getattr(settings, name), getattr(GridSettings, name)
        try:
            idle = value != usual and blueprint_of(source, replace(settings, **{name: usual})) == made
        except Exception:  # what cannot be made without it asks for it
            idle = False
        if idle:
            raise PathsearchError(
                f"grid.{name}: {value} has no effect, since the maker of blueprint {settings.modules!r} does not ask "
                f"for it; leave out grid.{name}"
            )


@lru_cache
def _made(maker: Maker, places: tuple[tuple[str, Shape], ...], settings: GridSettings) -> Blueprint:
    """What a maker makes, once in a process: every grid of a run asks for it."""
    return maker(dict(places), settings)


def _specifications(name: str, n_layers: int) -> list[tuple[str, ...]]:
    check_vocabulary(name)
    layers = [tuple(layer) for layer in VOCABULARIES[name](n_layers)]
    if len(layers) != n_layers or not all(layers):
        raise PathsearchError(
            f"vocabulary {name!r}: expected at least one module for each of {n_layers} layers, got "
            f"{[len(layer) for layer in layers]}; return as many lists of specifications as `n_layers`"
        )
    for one in (one for layer in layers for one in layer):
        if one.partition("-")[0] not in KINDS or not (one.partition("-")[2] or "0").isdigit():
            raise PathsearchError(
                f"vocabulary {name!r}: expected KIND or KIND-SIZE of a registered kind, got {one!r}; "
                f"known kinds: {', '.join(KINDS)}"
            )
    return layers


def chain(
    name: str, n_layers: int, n_modules: int, source: Mapping[str, Shape], width: int, taps: Sequence[int] = ()
) -> Blueprint:
    """Layers that each read the one before; the first reads all places of the source.

    Args:
        name: `mixed` (kinds and sizes differ), `paper` (identical modules in a layer), or one of a plug-in.
        n_layers: L.
        n_modules: M; a vocabulary shorter than that starts again.
        source: shape of each place by name.
        width: D, the length of the vectors between later layers.
        taps: channels of each tap among those of the source. With several, each first-layer module reads one: the
            taps take turns, shifted by one where the vocabulary starts again, so that as many rounds as taps have
            every kind on every tap.
    """
    outputs: list[Shape] = [(width,)] * n_layers
    kinds = _specifications(name, n_layers)
    if name == "paper" and n_layers > 1:
        outputs[0] = (PAPER_CHANNELS, *next(iter(source.values()))[1:])
    layers = [list(islice(cycle(layer), n_modules)) for layer in kinds]
    if len(taps) > 1:
        ends = list(accumulate(taps))
        turns = [sum(divmod(place, len(kinds[0]))) % len(taps) for place in range(n_modules)]
        layers[0] = [f"{kind}@{ends[t] - taps[t]}:{ends[t]}" for kind, t in zip(layers[0], turns, strict=True)]
    reads, made = tuple(source), []
    for number, (own, out_shape) in enumerate(zip(layers, outputs, strict=True), 1):
        made.append(Layer(f"layer{number}", reads, out_shape, tuple(own)))
        reads = (made[-1].name,)
    return Blueprint(dict(source), tuple(made))
