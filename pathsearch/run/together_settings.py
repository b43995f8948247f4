"""Settings of tasks that are trained together: which of them share a step, and how their losses are weighed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from data_prep.errors import PathsearchError
from pathsearch.run.declared import setting
from pathsearch.run.setting_checks import check_settings

TURNS = "size, or numbers in the order of the tasks, as 3:1"
WEIGHTS = "equal, learned, or numbers in the order of the tasks, as 1:0.5"
FITNESS = "equal, rank, or numbers in the order of the tasks, as 1:0.5"


def parse_turns(text: str) -> list[float] | None:
    """Read how often tasks have their turn; None: by the number of their training images."""
    return None if text == "size" else _numbers("turns", text, TURNS)


def parse_weights(text: str) -> list[float] | None:
    """Read the weights of losses; None: all alike, or learned."""
    return None if text in ("equal", "learned") else _numbers("loss_weights", text, WEIGHTS)


def parse_fitness(text: str) -> list[float] | None:
    """Read the weights of the tasks' measures; None: all alike, or ranks."""
    return None if text in ("equal", "rank") else _numbers("fitness", text, FITNESS)


def _numbers(name: str, text: str, form: str) -> list[float]:
    try:
        found = [float(one) for one in text.split(":")]
    except ValueError:
        found = []
    if not found or not all(0 < one < math.inf for one in found):
        raise PathsearchError(f"{name}: expected {form}, each above 0; got {text!r}")
    return found


@dataclass(frozen=True)
class TogetherSettings:
    """How several tasks or targets are trained on layers that they share."""

    strategy: str = setting(
        "independent",
        "independent: one after another, shared layers fixed; alternating: by turns; joint: all in each step.",
        "alone forgets nothing: what one task has learned, the next cannot change",
        choices=("independent", "alternating", "joint"),
        option="--strategy",
    )
    turns: str = setting(
        "size",
        "How often a task has its turn under alternating: by its training images, or numbers as 3:1.",
        "each image is seen once in an epoch",
        form=parse_turns,
        like=TURNS,
    )
    loss_weights: str = setting(
        "equal",
        "Weights of the tasks' losses: equal, learned (homoscedastic uncertainty), or numbers as 1:0.5.",
        "the paper sums them; what learned ones are worth was not measured yet",
        form=parse_weights,
        like=WEIGHTS,
    )

    fitness: str = setting(
        "equal",
        "What a search for several tasks maximises: the mean of their measures, of their rank, or weighted, as 1:0.5.",
        "means tell a gain from generation to generation; ranks suit measures of other spread, and end no search",
        form=parse_fitness,
        like=FITNESS,
    )
    shared_layers: int = setting(
        0,
        "First layers in which tasks that are searched together have one path; 0: all that lead to every head.",
        "what all heads need is learned once; give fewer where targets want ways of their own",
        low=0,
        high=1_000,
    )

    def __post_init__(self) -> None:
        check_settings(self)
