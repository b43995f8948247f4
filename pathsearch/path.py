"""A path: which modules are active in each layer. The genotype of the search, an immutable value."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product

from data_prep.errors import PathsearchError


@dataclass(frozen=True)
class Space:
    """All paths of a grid: L layers of M modules, at most N of them active in a layer."""

    n_layers: int  # L
    n_modules: int  # M
    max_active: int  # N

    def __post_init__(self) -> None:
        for name in ("n_layers", "n_modules", "max_active"):
            if getattr(self, name) < 1:
                raise PathsearchError(f"{name}: expected at least 1, got {getattr(self, name)}; choose a larger grid")
        if self.max_active > self.n_modules:
            raise PathsearchError(
                f"max_active: expected at most n_modules={self.n_modules}, got {self.max_active}; lower it"
            )

    def check(self, path: Path) -> Path:
        """Return `path` unchanged if it lies in this space; raise `PathsearchError` naming the layer if not."""
        if len(path.layers) != self.n_layers:
            raise PathsearchError(
                f"path {path}: expected {self.n_layers} layers, got {len(path.layers)}; "
                "was it evolved on another grid? See config.json of its run"
            )
        for number, layer in enumerate(path.layers):
            if layer[-1] >= self.n_modules:
                raise PathsearchError(
                    f"path layer {number} uses module {layer[-1]}, but this grid has {self.n_modules} modules "
                    f"(0 to {self.n_modules - 1}); was it evolved on a larger grid? See config.json of its run"
                )
            if len(layer) > self.max_active:
                raise PathsearchError(
                    f"path layer {number} has {len(layer)} active modules, but at most {self.max_active} may be; "
                    "raise max_active or drop some"
                )
        return path

    def random_path(self, rng: random.Random) -> Path:
        """Return a path with 1 to N active modules in each layer, the number itself drawn uniformly."""
        return Path(
            tuple(
                tuple(sorted(rng.sample(range(self.n_modules), rng.randint(1, self.max_active))))
                for _ in range(self.n_layers)
            )
        )

    def full_path(self) -> Path:
        """Return the path in which every module is active (the full grid, which N does not bind)."""
        return Path((tuple(range(self.n_modules)),) * self.n_layers)

    def all_paths(self) -> list[Path]:
        """Return every path of a small grid, for the oracle that the search is tested against."""
        sizes = range(1, self.max_active + 1)
        layer = list(chain.from_iterable(combinations(range(self.n_modules), size) for size in sizes))
        return [Path(layers) for layers in product(layer, repeat=self.n_layers)]


@dataclass(frozen=True, order=True)
class Path:
    """One sorted tuple of distinct module indices for each layer; equal paths are one path, whatever their order.

    Printed `0+3|1|2+4`: layers divided by `|`, active modules joined by `+`.
    """

    layers: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise PathsearchError("path: expected at least one layer, got none")
        for number, layer in enumerate(self.layers):
            if not layer:
                raise PathsearchError(f"path layer {number}: expected at least one active module, got none")
            if any(index < 0 for index in layer) or list(layer) != sorted(set(layer)):
                raise PathsearchError(
                    f"path layer {number}: expected distinct module indices from 0 in rising order, got {layer}"
                )

    @classmethod
    def of(cls, layers: Sequence[Sequence[int]]) -> Path:
        """Return the path of these layers; order and repeats within a layer do not matter."""
        return cls(tuple(tuple(sorted(set(layer))) for layer in layers))

    @classmethod
    def parse(cls, text: str) -> Path:
        """Return the path printed as `text`; raise `PathsearchError` if it is not one."""
        try:
            return cls.of([[int(index) for index in layer.split("+")] for layer in text.split("|")])
        except ValueError as error:
            if isinstance(error, PathsearchError):
                raise
            raise PathsearchError(f"path: expected a form like 0+3|1|2+4, got {text!r}") from None

    def __str__(self) -> str:
        return "|".join("+".join(map(str, layer)) for layer in self.layers)

    def subpaths(self) -> list[Path]:
        """Return every path whose layers are non-empty subsets of this one's, itself included."""
        subsets = [
            list(chain.from_iterable(combinations(layer, size) for size in range(1, len(layer) + 1)))
            for layer in self.layers
        ]
        return [Path(layers) for layers in product(*subsets)]


def mutate(path: Path, space: Space, rng: random.Random) -> Path:
    """Return a mutated copy: genes move by up to 2 places, and may be dropped or added.

    Each of the L·N gene places changes with probability 1/(L·N). An active gene moves by a non-zero
    integer in [-2, 2], wrapped around the layer, or is dropped (one time in four, if it is not the last);
    an empty place gets a random module. A gene that would land on an active one stays where it was.

    Source: Fernando et al. 2017, section 2 (moves only). We differ: the number of active modules evolves too.
    """
    rate = 1 / (space.n_layers * space.max_active)
    layers = []
    for layer in path.layers:
        genes = set(layer)
        for place in range(space.max_active):
            if rng.random() >= rate:
                continue
            if place >= len(layer):
                genes.add(rng.randrange(space.n_modules))
            elif len(genes) > 1 and rng.random() < 0.25:
                genes.discard(layer[place])
            else:
                moved = (layer[place] + rng.choice((-2, -1, 1, 2))) % space.n_modules
                if layer[place] in genes and moved not in genes:
                    genes.remove(layer[place])
                    genes.add(moved)
        layers.append(genes)
    return space.check(Path.of([sorted(genes) for genes in layers]))


def crossover(first: Path, second: Path, rng: random.Random) -> tuple[Path, Path]:
    """Return two children: each layer of the parents goes whole to one child or the other, by a fair coin."""
    swaps = [rng.random() < 0.5 for _ in first.layers]
    pairs = [(b, a) if swap else (a, b) for a, b, swap in zip(first.layers, second.layers, swaps, strict=True)]
    return Path(tuple(a for a, _ in pairs)), Path(tuple(b for _, b in pairs))
