"""A recipe: how a path is trained, as genes that evolve with its modules. An immutable value."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields, replace
from itertools import product
from typing import TypeVar

from data_prep.errors import PathsearchError
from pathsearch.run.settings import SearchSettings, TrainingSettings

# Each gene's choices, in order: even steps, of the logarithm but for dropout, around the settings' defaults.
CHOICES: dict[str, tuple[float, ...]] = {
    "learning_rate": (5e-4, 1e-3, 2e-3, 4e-3, 8e-3),
    "weight_decay": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "dropout": (0.0, 0.25, 0.5, 0.75),
}
RATE = 1 / 3  # chance of each gene to move in a mutation: one of the three on average, as of the modules

Settings = TypeVar("Settings", SearchSettings, TrainingSettings)


@dataclass(frozen=True, order=True)
class Recipe:
    """Learning rate and weight decay of AdamW, and the dropout after each layer's sum; absolute values.

    Printed `0.002,3,0.5`, in this order.

    Raises:
        PathsearchError: a value that no training can have; which of the others a search draws, its space says.
    """

    learning_rate: float
    weight_decay: float
    dropout: float

    def __post_init__(self) -> None:
        for name, low, high in (
            ("learning_rate", 0, math.inf),
            ("weight_decay", 0, math.inf),
            ("dropout", 0, 1),
        ):
            value = getattr(self, name)
            if not low <= value < high:
                wanted = "a number of at least 0" if high == math.inf else "a share in [0, 1)"
                raise PathsearchError(f"recipe {name}: expected {wanted}, got {value}; choose one of {_said(name)}")

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Return the recipe printed as `text`; raise `PathsearchError` if it is not one."""
        try:
            rate, decay, dropout = map(float, text.split(","))
        except ValueError:
            raise PathsearchError(
                f"recipe: expected learning rate, weight decay and dropout in a form like 0.002,3,0.5, got {text!r}"
            ) from None
        return cls(rate, decay, dropout)

    def __str__(self) -> str:
        return ",".join(repr(float(value)).removesuffix(".0") for value in astuple(self))

    def check(self) -> Recipe:
        """Return this recipe if each of its values is among the gene's choices; raise `PathsearchError` if not."""
        for name, value in asdict(self).items():
            if value not in CHOICES[name]:
                raise PathsearchError(
                    f"recipe {name}: expected one of {_said(name)}, got {value:g}; was it evolved by another version?"
                )
        return self


def all_recipes() -> Iterator[Recipe]:
    """Every recipe that a search may draw."""
    return (Recipe(*values) for values in product(*CHOICES.values()))


def random_recipe(rng: random.Random) -> Recipe:
    """Return a recipe whose genes are drawn uniformly from their choices."""
    return Recipe(*(rng.choice(choices) for choices in CHOICES.values()))


def mutate_recipe(recipe: Recipe, rng: random.Random) -> Recipe:
    """Return a mutated copy: each gene goes one step up or down its choices with probability `RATE`.

    A step beyond the last choice stays there: mutation alone then leaves all choices equally likely.
    """
    recipe.check()
    moved = {}
    for name, choices in CHOICES.items():
        place = choices.index(getattr(recipe, name))
        if rng.random() < RATE:
            place = min(max(place + rng.choice((-1, 1)), 0), len(choices) - 1)
        moved[name] = choices[place]
    return Recipe(**moved)


def cross_recipes(first: Recipe, second: Recipe, rng: random.Random) -> tuple[Recipe, Recipe]:
    """Return two recipes: each gene of the two goes to the one or the other, by a fair coin."""
    swapped = [field.name for field in fields(Recipe) if rng.random() < 0.5]
    return (
        replace(first, **{name: getattr(second, name) for name in swapped}),
        replace(second, **{name: getattr(first, name) for name in swapped}),
    )


def followed(settings: Settings, recipe: Recipe | None) -> Settings:
    """Settings of a training that follows a recipe; without one, as they are."""
    return settings if recipe is None else replace(settings, **asdict(recipe))


def _said(name: str) -> str:
    return ", ".join(f"{value:g}" for value in CHOICES[name])
