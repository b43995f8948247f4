"""A blueprint: the layers of a grid and what each reads. An immutable value that checks itself.

What a layer reads, places of the source and earlier layers, is brought to one size and joined along the channels, so
that each of its modules sees one tensor. A worked example, in one file that imports installed packages only:

    from pathsearch import blueprint
    from pathsearch.grid.blueprint import Blueprint, Layer

    @blueprint.register("hourglass")  # a name for --modules
    def hourglass(places, settings):  # shapes of the source's places by name, and the settings of the grid
        place, (channels, height, width) = next(iter(places.items()))
        return Blueprint(places, (
            Layer("fine", (place,), (8, height, width), ("conv3x3-8", "osa-8")),
            Layer("coarse", ("fine",), (16, height // 2, width // 2), ("conv3x3-16", "osa-16")),
            Layer("joined", ("fine", "coarse"), (settings.width,), ("pool", "conv1x1-4")),
        ))
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.grid.modules import Shape
from pathsearch.grid.path import Path
from pathsearch.run.settings import GridSettings

FEATURES = "features"  # the place of a source that has only one and does not name it
Links = tuple[tuple[int | None, ...], ...]  # for each layer, the numbers of the layers it reads; None for a place
Maker = Callable[[dict[str, Shape], GridSettings], "Blueprint"]
BLUEPRINTS: dict[str, Maker] = {}


def register(name: str) -> Callable[[Any], Any]:
    """Enter a blueprint's maker under `name`: a function of the source's places and the settings of the grid alone.

    Every process that works on a run, and every resumed run, asks it anew.
    """

    def enter(maker: Any) -> Any:
        if name in BLUEPRINTS:
            raise ValueError(f"blueprint {name!r} is registered twice; rename one of them")
        BLUEPRINTS[name] = maker
        return maker

    return enter


@dataclass(frozen=True)
class Layer:
    """One layer of a grid."""

    name: str
    reads: tuple[str, ...]  # places of the source, or earlier layers, in the order in which they are joined
    out_shape: Shape  # (channels, height, width) or (width,), of each of its modules and of their sum
    modules: tuple[str, ...]  # specifications of the M modules
    at: tuple[int, int] | None = None  # height and width that maps it reads are brought to, where not those it puts out


@dataclass(frozen=True)
class Blueprint:
    """The layers of a grid, in an order in which each reads only what came before.

    Where a layer puts out a map, the maps it reads are brought to that height and width, or to those of its `at`, which
    modules with a stride need; where it puts out a vector, to those of the first map it reads. Where anything it reads
    is a vector, all is flattened and joined.

    Attributes:
        places: shape of each place of the source, without the batch.
        layers: L of them.
        head: the layer that heads read; the last unless told.
        heads: by kind of target, the layer that its heads read where that is another; see `ending`.

    Raises:
        PathsearchError: no such blueprint can be; says which layer and why.
    """

    places: dict[str, Shape]
    layers: tuple[Layer, ...]
    head: str = ""
    heads: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", dict(self.places))
        object.__setattr__(self, "heads", dict(self.heads))
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise PathsearchError("blueprint: expected at least one layer, got none; add a Layer")
        object.__setattr__(self, "head", self.head or self.layers[-1].name)
        if not self.places:
            raise PathsearchError("blueprint: expected at least one place of the source, got none; name one")
        for place, shape in self.places.items():
            _check_shape(f"place {place!r}", shape)
        known = dict.fromkeys(self.places)
        for layer in self.layers:
            self._check_layer(layer, known)
            known[layer.name] = None
        for head in (self.head, *self.heads.values()):
            if head not in known or head in self.places:
                layers = ", ".join(layer.name for layer in self.layers)
                raise PathsearchError(f"blueprint head: expected one of {layers}; got {head!r}; name a layer")
        read = {name for layer in self.layers for name in layer.reads} | {self.head, *self.heads.values()}
        if idle := [layer.name for layer in self.layers if layer.name not in read]:
            raise PathsearchError(
                f"blueprint layer {idle[0]!r}: expected a later layer or the head to read it, got none; "
                "leave it out, or let one read it"
            )

    def _check_layer(self, layer: Layer, known: Mapping[str, object]) -> None:
        what = f"blueprint layer {layer.name!r}"
        if not layer.name or layer.name in known:
            raise PathsearchError(f"{what}: expected a name that no place and no earlier layer has; rename it")
        if not layer.reads or len(set(layer.reads)) < len(layer.reads):
            raise PathsearchError(
                f"{what}: expected places or layers to read, each once, got {list(layer.reads)}; "
                f"there are {', '.join(known)}"
            )
        for name in layer.reads:
            if name in known:
                continue
            if name in [other.name for other in self.layers]:
                raise PathsearchError(f"{what}: reads {name!r}, which is not before it; read one of {', '.join(known)}")
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "name one of these"
            raise PathsearchError(f"{what}: expected to read one of {', '.join(known)}; got {name!r}; {hint}")
        _check_shape(f"layer {layer.name!r}", layer.out_shape)
        if layer.at is not None and [type(side) is int and side > 0 for side in layer.at] != [True, True]:
            raise PathsearchError(f"{what}: expected `at` as (height, width), each at least 1, got {layer.at}; mend it")
        if not layer.modules:
            raise PathsearchError(f"{what}: expected at least one module, got none; give it specifications")

    @classmethod
    def chain(cls, shapes: Sequence[Shape], specifications: Sequence[Sequence[str]]) -> Blueprint:
        """Layers that each read the one before, the first the features.

        Args:
            shapes: L + 1, of the features and of each layer's output.
            specifications: of each layer's modules.
        """
        return cls.of(shapes, specifications, None)

    @classmethod
    def of(
        cls, shapes: Sequence[Shape], specifications: Sequence[Sequence[str]], wiring: Mapping[str, Any] | None
    ) -> Blueprint:
        """The blueprint of these `shapes`, `specifications` and `wiring`, as a blueprint says them of itself."""
        if wiring is None:
            names = [FEATURES, *(f"layer{number + 1}" for number in range(len(specifications)))]
            wiring = {
                "places": [[FEATURES, shapes[0]]],
                "layers": [[name, [read]] for read, name in pairwise(names)],
            }
        places = {name: tuple(shape) for name, shape in wiring["places"]}
        layers = [
            Layer(name, tuple(reads), tuple(out_shape), tuple(kinds), *map(tuple, at))
            for (name, reads, *at), out_shape, kinds in zip(wiring["layers"], shapes[1:], specifications, strict=True)
        ]
        return cls(places, tuple(layers), wiring.get("head", ""), wiring.get("heads", {}))

    def ending(self, kind: str) -> Blueprint:
        """What is left of it for a kind of target: the layer that its heads read, and what comes to that."""
        needed, layers = {self.heads.get(kind, self.head)}, []
        for layer in reversed(self.layers):
            if layer.name in needed:
                needed |= set(layer.reads)
                layers.append(layer)
        return Blueprint(self.places, tuple(reversed(layers)))

    def parted(self, names: Collection[str]) -> tuple[Blueprint | None, Blueprint | None]:
        """What can be walked first, of layers of these names, and the rest.

        Returns:
            The layers of `names` that read places and each other alone; its `heads` are what the rest reads of it.
            All other layers; its places are what it reads of the first part and of the source. None for no layer.
        """
        first: list[Layer] = []
        rest: list[Layer] = []
        known = set(self.places)
        for layer in self.layers:
            leads = layer.name in names and known.issuperset(layer.reads)
            (first if leads else rest).append(layer)
            known |= {layer.name} if leads else set()
        read = {name for layer in rest for name in layer.reads} | {self.head}
        places = {name: shape for name, shape in self._known.items() if name in known & read}
        ends = {name: name for name in places if name not in self.places}
        return (
            Blueprint(self.places, tuple(first), heads=ends) if first else None,
            Blueprint(places, tuple(rest), self.head) if rest else None,
        )

    @property
    def shapes(self) -> list[Shape]:
        """Of what a network takes for one image (see `cut`), and of each layer's output."""
        taken = [*self.places.values()]
        first = taken[0] if len(taken) == 1 else (sum(map(prod, taken)),)
        return [first, *(layer.out_shape for layer in self.layers)]

    @property
    def specifications(self) -> list[list[str]]:
        """Of each layer's modules."""
        return [list(layer.modules) for layer in self.layers]

    @property
    def wiring(self) -> dict[str, Any] | None:
        """What a file says beside shapes and specifications; None for a chain, which needs no more."""
        if self == Blueprint.chain(self.shapes, self.specifications):
            return None
        return {
            "places": [[name, list(shape)] for name, shape in self.places.items()],  # files keep its order
            "layers": [
                [layer.name, list(layer.reads), *([list(layer.at)] if layer.at else [])] for layer in self.layers
            ],
            "head": self.head,
            **({"heads": self.heads} if self.heads else {}),
        }

    @cached_property
    def links(self) -> Links:
        """What each layer reads, by number."""
        numbers = {layer.name: number for number, layer in enumerate(self.layers)}
        return tuple(tuple(map(numbers.get, layer.reads)) for layer in self.layers)

    @cached_property
    def end(self) -> int:
        """Number of the layer that heads read."""
        return [layer.name for layer in self.layers].index(self.head)

    @property
    def head_shape(self) -> Shape:
        """Of what heads read."""
        return self.layers[self.end].out_shape

    @property
    def positions(self) -> int:
        """Most positions of a map that modules see; 1 where they see vectors only."""
        return max(prod(shape[1:]) for shape in self.in_shapes)

    @cached_property
    def sides(self) -> tuple[tuple[int, int] | None, ...]:
        """For each layer, the height and width that what it reads is brought to; None where all is flattened."""
        return tuple(self._side(layer) for layer in self.layers)

    def _side(self, layer: Layer) -> tuple[int, int] | None:
        read = self._read(layer)
        if any(len(shape) == 1 for shape in read):
            return None
        if layer.at is not None:
            return layer.at
        _, height, width = layer.out_shape if len(layer.out_shape) == 3 else read[0]
        return height, width

    @cached_property
    def in_shapes(self) -> tuple[Shape, ...]:
        """Of the one tensor that each layer's modules see."""
        found: list[Shape] = []
        for layer, side in zip(self.layers, self.sides, strict=True):
            read = self._read(layer)
            found.append((sum(map(prod, read)),) if side is None else (sum(shape[0] for shape in read), *side))
        return tuple(found)

    @cached_property
    def spent(self) -> tuple[tuple[str, ...], ...]:
        """For each layer, what nothing reads after it."""
        last = {name: number for number, layer in enumerate(self.layers) for name in layer.reads}
        last |= dict.fromkeys((self.head, *self.heads.values()), len(self.layers))
        return tuple(tuple(name for name, at in last.items() if at == number) for number in range(len(self.layers)))

    def along(self, path: Path) -> Blueprint:
        """What is left of it on a path."""
        return replace(
            self,
            layers=tuple(
                replace(layer, modules=tuple(layer.modules[i] for i in active))
                for layer, active in zip(self.layers, path.layers, strict=True)
            ),
        )

    def cut(self, x: Tensor) -> dict[str, Tensor]:
        """What a network takes for B images, by place.

        Args:
            x: (B, *shape) of the only place; where there are several, (B, n) with the values of all, one after another.
        """
        if len(self.places) == 1:
            return dict.fromkeys(self.places, x)
        parts = x.split(list(map(prod, self.places.values())), 1)
        return {name: part.unflatten(1, self.places[name]) for name, part in zip(self.places, parts, strict=True)}

    def _read(self, layer: Layer) -> list[Shape]:
        return [self._known[name] for name in layer.reads]

    @cached_property
    def _known(self) -> dict[str, Shape]:
        return self.places | {layer.name: layer.out_shape for layer in self.layers}


def _check_shape(what: str, shape: Shape) -> None:
    if len(shape) not in (1, 3) or not all(type(side) is int and side > 0 for side in shape):
        raise PathsearchError(
            f"blueprint {what}: expected a shape (width,) or (channels, height, width), each at least 1, got {shape}; "
            "give one without the batch"
        )
