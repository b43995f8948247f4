"""A recipe: how a path is trained, as genes that evolve with its modules. An immutable value."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, TypeVar

from data_prep.errors import PathsearchError
from pathsearch.run.settings import SearchSettings, TogetherSettings, TrainingSettings

# Each gene's choices, in order: even steps, of the logarithm but for dropout, around the settings' defaults.
CHOICES: dict[str, tuple[float, ...]] = {
    "learning_rate": (5e-4, 1e-3, 2e-3, 4e-3, 8e-3),
    "weight_decay": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "dropout": (0.0, 0.25, 0.5, 0.75),
}
STRATEGIES = ("alternating", "joint")  # genes of recipes for several tasks: who has a turn in a step,
WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)  # and what the loss of each task after the first counts beside the first one's
RATE = 1 / 3  # chance of each gene to move in a mutation: one of the three on average, as of the modules

Settings = TypeVar("Settings", SearchSettings, TrainingSettings)


@dataclass(frozen=True, order=True)
class Recipe:
    """Learning rate and weight decay of AdamW, and the dropout after each layer's sum; absolute values.

    Printed `0.002,3,0.5`, in this order; of several tasks that are trained together `0.002,3,0.5,joint,0.3`, with the
    strategy and what the loss of each task after the first counts.

    Raises:
        PathsearchError: a value that no training can have; which of the others a search draws, its space says.
    """

    learning_rate: float
    weight_decay: float
    dropout: float
    strategy: str = ""  # empty: of one task
    weights: tuple[float, ...] = ()  # of the losses of all tasks but the first

    def __post_init__(self) -> None:
        for name, low, high in (
            ("learning_rate", 0, math.inf),
            ("weight_decay", 0, math.inf),
            ("dropout", 0, 1),
        ):
            value = getattr(self, name)
            if not low <= value < high:
                wanted = "a number of at least 0" if high == math.inf else "a share in [0, 1)"
                raise PathsearchError(
                    f"recipe {name}: expected {wanted}, got {value}; choose one of {_said(CHOICES[name])}"
                )
        if bool(self.strategy) != bool(self.weights) or self.strategy not in ("", *STRATEGIES):
            raise PathsearchError(
                f"recipe strategy: expected one of {_said(STRATEGIES)}, and a weight for each task after the first, "
                f"got {self.strategy!r} and {len(self.weights)}"
            )
        if not all(0 < weight < math.inf for weight in self.weights):
            raise PathsearchError(f"recipe weights: expected numbers above 0, got {self.weights}")

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Return the recipe printed as `text`; raise `PathsearchError` if it is not one."""
        values, rest = text.split(",")[:3], text.split(",")[3:]
        try:
            rate, decay, dropout = map(float, values)
            strategy, weights = (rest[0], tuple(map(float, rest[1:]))) if rest else ("", ())
        except ValueError:
            raise PathsearchError(
                "recipe: expected learning rate, weight decay and dropout in a form like 0.002,3,0.5, or "
                f"0.002,3,0.5,joint,0.3 of several tasks, got {text!r}"
            ) from None
        return cls(rate, decay, dropout, strategy, weights)

    @classmethod
    def of(cls, genes: Sequence[Any]) -> Recipe:
        """The recipe of these values, in the order of `genes`."""
        return cls(*genes[:3], *([genes[3], tuple(genes[4:])] if len(genes) > 3 else []))

    @property
    def genes(self) -> list[Any]:
        """Its values, in the order in which it is printed."""
        plain = [self.learning_rate, self.weight_decay, self.dropout]
        return [*plain, self.strategy, *self.weights] if self.strategy else plain

    @property
    def tasks(self) -> int:
        """How many it is for."""
        return 1 + len(self.weights)

    def as_dict(self) -> dict[str, Any]:
        """Its values by name, for a report."""
        named = {name: getattr(self, name) for name in CHOICES}
        return named | ({"strategy": self.strategy, "weights": list(self.weights)} if self.strategy else {})

    def __str__(self) -> str:
        return ",".join(one if isinstance(one, str) else repr(float(one)).removesuffix(".0") for one in self.genes)

    def check(self) -> Recipe:
        """Return this recipe if each of its values is among the gene's choices; raise `PathsearchError` if not."""
        for (name, choices), value in zip(choices_of(self.tasks).items(), self.genes, strict=True):
            if value not in choices:
                said = value if isinstance(value, str) else f"{value:g}"
                raise PathsearchError(
                    f"recipe {name}: expected one of {_said(choices)}, got {said}; was it evolved by another version?"
                )
        return self


def choices_of(tasks: int) -> dict[str, Sequence[Any]]:
    """The choices of each gene of a recipe for so many tasks."""
    if tasks == 1:
        return dict(CHOICES)
    return {**CHOICES, "strategy": STRATEGIES, **{f"weight {number}": WEIGHTS for number in range(2, tasks + 1)}}


def all_recipes(tasks: int = 1) -> Iterator[Recipe]:
    """Every recipe that a search for so many tasks may draw."""
    return (Recipe.of(values) for values in product(*choices_of(tasks).values()))


def random_recipe(rng: random.Random, tasks: int = 1) -> Recipe:
    """Return a recipe whose genes are drawn uniformly from their choices."""
    return Recipe.of([rng.choice(choices) for choices in choices_of(tasks).values()])


def mutate_recipe(recipe: Recipe, rng: random.Random) -> Recipe:
    """Return a mutated copy: each gene goes one step up or down its choices with probability `RATE`.

    A step beyond the last choice stays there: mutation alone then leaves all choices equally likely.
    """
    recipe.check()
    moved = []
    for choices, value in zip(choices_of(recipe.tasks).values(), recipe.genes, strict=True):
        place = choices.index(value)
        if rng.random() < RATE:
            place = min(max(place + rng.choice((-1, 1)), 0), len(choices) - 1)
        moved.append(choices[place])
    return Recipe.of(moved)


def cross_recipes(first: Recipe, second: Recipe, rng: random.Random) -> tuple[Recipe, Recipe]:
    """Return two recipes: each gene of the two goes to the one or the other, by a fair coin."""
    pairs = [(b, a) if rng.random() < 0.5 else (a, b) for a, b in zip(first.genes, second.genes, strict=True)]
    return Recipe.of([one for one, _ in pairs]), Recipe.of([other for _, other in pairs])


def followed(settings: Settings, recipe: Recipe | None) -> Settings:
    """Settings of a training that follows a recipe; without one, as they are."""
    return settings if recipe is None else replace(settings, **{name: getattr(recipe, name) for name in CHOICES})


def followed_together(settings: TogetherSettings, recipe: Recipe | None) -> TogetherSettings:
    """Settings of a training of several tasks that follows a recipe; without one, as they are."""
    if recipe is None or not recipe.strategy:
        return settings
    return replace(
        settings, strategy=recipe.strategy, loss_weights=":".join(f"{one:g}" for one in (1.0, *recipe.weights))
    )


def _said(choices: Sequence[Any]) -> str:
    return ", ".join(one if isinstance(one, str) else f"{one:g}" for one in choices)
