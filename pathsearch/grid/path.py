"""A path: which modules are active in each layer, and how it is trained. The genotype, an immutable value."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import total_ordering
from itertools import chain, combinations, product
from math import comb, prod

from data_prep.errors import PathsearchError
from pathsearch.grid.recipe import Recipe, all_recipes, choices_of, cross_recipes, mutate_recipe, random_recipe

Layers = tuple[tuple[int, ...], ...]  # modules in each layer of a grid


@dataclass(frozen=True)
class Space:
    """All paths of a grid: L layers of M modules, at most N of them active in a layer; with `recipes`, one each."""

    n_layers: int  # L
    n_modules: int  # M
    max_active: int  # N
    recipes: bool = False  # without them, not one random draw is spent on them
    tasks: int = 1  # that a path is for; recipes of several have genes for how these are trained together

    def __post_init__(self) -> None:
        for name in ("n_layers", "n_modules", "max_active"):
            if getattr(self, name) < 1:
                raise PathsearchError(f"{name}: expected at least 1, got {getattr(self, name)}; choose a larger grid")
        if self.max_active > self.n_modules:
            raise PathsearchError(
                f"max_active: expected at most n_modules={self.n_modules}, got {self.max_active}; lower it"
            )

    def check(self, path: Path) -> Path:
        """Return `path` unchanged if it lies in this space; raise `PathsearchError` naming the layer if not.

        The probe lies in every space, with or without a recipe.
        """
        if path.is_probe:
            if path.recipe is not None:
                path.recipe.check()
            return path
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
        if (path.recipe is not None) != self.recipes:
            wanted, got = ("a recipe", "none") if self.recipes else ("no recipe", str(path.recipe))
            raise PathsearchError(
                f"path {path}: expected {wanted}, got {got}; was it evolved with search.recipes="
                f"{str(not self.recipes).lower()}? See config.json of its run"
            )
        if path.recipe is not None:
            if path.recipe.tasks != self.tasks:
                raise PathsearchError(
                    f"path {path}: expected a recipe for {self.tasks} tasks, got one for {path.recipe.tasks}"
                )
            path.recipe.check()
        return path

    def random_path(self, rng: random.Random) -> Path:
        """Return a path with 1 to N active modules in each layer, the number itself drawn uniformly; so its recipe."""
        layers = tuple(
            tuple(sorted(rng.sample(range(self.n_modules), rng.randint(1, self.max_active))))
            for _ in range(self.n_layers)
        )
        return Path(layers, random_recipe(rng, self.tasks) if self.recipes else None)

    def full_path(self) -> Path:
        """Return the path in which every module is active (the full grid, which N does not bind), without a recipe."""
        return Path((tuple(range(self.n_modules)),) * self.n_layers)

    @property
    def n_paths(self) -> int:
        """How many paths there are."""
        layer = sum(comb(self.n_modules, size) for size in range(1, self.max_active + 1))
        recipes = prod(map(len, choices_of(self.tasks).values())) if self.recipes else 1
        return layer**self.n_layers * recipes

    def all_paths(self) -> list[Path]:
        """Return every path of a small grid, for the oracle that the search is tested against."""
        sizes = range(1, self.max_active + 1)
        layer = list(chain.from_iterable(combinations(range(self.n_modules), size) for size in sizes))
        recipes = list(all_recipes(self.tasks)) if self.recipes else [None]
        return [Path(layers, recipe) for layers in product(layer, repeat=self.n_layers) for recipe in recipes]


@total_ordering
@dataclass(frozen=True)
class Path:
    """One sorted tuple of distinct module indices for each layer; equal paths are one path, whatever their order.

    Printed `0+3|1|2+4`: layers divided by `|`, active modules joined by `+`; with a recipe, `0+3|1|2+4@0.002,3,0.5`.
    A path without a layer is the linear probe, printed `probe`: a head on the flattened features.
    """

    layers: Layers
    recipe: Recipe | None = None  # how it is trained; None: as the settings say

    def __post_init__(self) -> None:
        for number, layer in enumerate(self.layers):
            if not layer:
                raise PathsearchError(f"path layer {number}: expected at least one active module, got none")
            if any(index < 0 for index in layer) or list(layer) != sorted(set(layer)):
                raise PathsearchError(
                    f"path layer {number}: expected distinct module indices from 0 in rising order, got {layer}"
                )

    def __lt__(self, other: Path) -> bool:
        """By layers; of equal ones, without a recipe first."""
        mine, others = ((one.layers, () if one.recipe is None else (one.recipe,)) for one in (self, other))
        return mine < others

    @classmethod
    def of(cls, layers: Sequence[Sequence[int]], recipe: Recipe | None = None) -> Path:
        """Return the path of these layers; order and repeats within a layer do not matter."""
        return cls(tuple(tuple(sorted(set(layer))) for layer in layers), recipe)

    @classmethod
    def parse(cls, text: str) -> Path:
        """Return the path printed as `text`; raise `PathsearchError` if it is not one."""
        modules, at, recipe = text.partition("@")
        try:
            parts = [] if modules == PROBE_NAME else modules.split("|")
            layers = [[int(index) for index in layer.split("+")] for layer in parts]
        except ValueError:
            raise PathsearchError(
                f"path: expected a form like 0+3|1|2+4, or 0+3|1|2+4@0.002,3,0.5 with a recipe, or {PROBE_NAME}, "
                f"got {text!r}"
            ) from None
        return cls.of(layers, Recipe.parse(recipe) if at else None)

    def __str__(self) -> str:
        layers = "|".join("+".join(map(str, layer)) for layer in self.layers) or PROBE_NAME
        return layers if self.recipe is None else f"{layers}@{self.recipe}"

    @property
    def is_probe(self) -> bool:
        """Whether it is the linear probe."""
        return not self.layers

    def over(self, n_layers: int) -> Layers:
        """Active modules of each layer of a grid of so many; the probe has none in any."""
        return self.layers or ((),) * n_layers

    @property
    def bare(self) -> Path:
        """The same modules without a recipe."""
        return replace(self, recipe=None)

    def subpaths(self, most: int | None = None) -> list[Path]:
        """Return every path whose layers are non-empty subsets of this one's, itself included; of the same recipe.

        Where they are more than `most`, which many layers of several modules make at once, only those that differ from
        it in one layer.
        """
        subsets = [
            list(chain.from_iterable(combinations(layer, size) for size in range(1, len(layer) + 1)))
            for layer in self.layers
        ]
        if most is None or prod(map(len, subsets)) <= most:
            return [Path(layers, self.recipe) for layers in product(*subsets)]
        before = [(self.layers[:n], self.layers[n + 1 :]) for n in range(len(self.layers))]
        others = [(*a, one, *b) for (a, b), own in zip(before, subsets, strict=True) for one in own]
        return [Path(layers, self.recipe) for layers in dict.fromkeys(others)]


PROBE_NAME = "probe"
PROBE = Path(())  # in every space, and one of every choice


def mutate(path: Path, space: Space, rng: random.Random) -> Path:
    """Return a mutated copy: genes move by up to 2 places, and may be dropped or added.

    Each of the L·N gene places brings a change to its layer with probability 1/(L·N). A change moves a gene, adds one
    or drops one, all equally likely: the gene is drawn from the layer's active modules, moves by a non-zero integer in
    [-2, 2], wrapped around the layer, and stays where it was if that module is active; a new one is drawn from the
    inactive modules. Where no gene may be added or dropped, one moves. The genes of a recipe take their own steps
    (`mutate_recipe`).

    What is invariant: mutation alone takes a path into another as often as back, so paths that are distributed as
    `Space.random_path` draws them stay so. Without selection a search does not drift to more modules or to fewer.

    Source: Fernando et al. 2017, section 2 (moves only). We differ: the number of active modules evolves too, and a
    recipe where there is one.
    """
    rate = 1 / (space.n_layers * space.max_active)
    layers = []
    for layer in path.layers:
        genes = layer
        for _ in range(space.max_active):
            if rng.random() < rate:
                genes = _changed(genes, space, rng)
        layers.append(genes)
    recipe = None if path.recipe is None else mutate_recipe(path.recipe, rng)
    return space.check(Path.of(layers, recipe))


def _changed(layer: tuple[int, ...], space: Space, rng: random.Random) -> tuple[int, ...]:
    """One layer after one change, its genes in rising order."""
    change = rng.choice(("move", "add", "drop"))
    inactive = [index for index in range(space.n_modules) if index not in layer]
    if change == "add" and len(layer) < space.max_active:
        return tuple(sorted((*layer, rng.choice(inactive))))
    gene = rng.choice(layer)
    rest = tuple(index for index in layer if index != gene)
    if change == "drop" and rest:
        return rest
    moved = (gene + rng.choice((-2, -1, 1, 2))) % space.n_modules
    return tuple(sorted((*rest, moved))) if moved in inactive else layer


def crossover(first: Path, second: Path, rng: random.Random) -> tuple[Path, Path]:
    """Return two children: each layer and recipe gene of the parents goes to one child or the other, by a fair coin."""
    swaps = [rng.random() < 0.5 for _ in first.layers]
    pairs = [(b, a) if swap else (a, b) for a, b, swap in zip(first.layers, second.layers, swaps, strict=True)]
    recipes = first.recipe, second.recipe
    if first.recipe is not None and second.recipe is not None:
        recipes = cross_recipes(first.recipe, second.recipe, rng)
    return Path(tuple(a for a, _ in pairs), recipes[0]), Path(tuple(b for _, b in pairs), recipes[1])
