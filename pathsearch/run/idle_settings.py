"""Settings that others leave without effect: who gives one of them is told so, and what would make it count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from functools import partial
from typing import Any, NamedTuple

from data_prep.errors import PathsearchError


class Rule(NamedTuple):
    """One setting, when it counts, and how to make it count."""

    key: str
    counts: Callable[[Any], bool]  # of the whole settings
    why: str  # it does not
    instead: str  # what makes it count
    off: Any = MISSING  # the value that asks for nothing, which may be given anywhere


def _by_tournament(settings: Any) -> bool:
    return bool(settings.search.preset == "generational" and not settings.search.pareto)


def _shared(settings: Any) -> bool:
    return bool(settings.search.weights == "shared")


def _balanced(part: str, settings: Any) -> bool:
    return bool(getattr(settings, part).balance)


def _weighs(part: str, settings: Any) -> bool:
    return bool(getattr(settings, part).balance_strength > 0)


def _without_recipes(settings: Any) -> bool:
    return not settings.search.recipes


def _together(settings: Any) -> bool:
    return bool(settings.together.strategy != "independent")


def _searched_together(settings: Any) -> bool:
    return _together(settings) and not settings.path


def _ranked(settings: Any) -> bool:
    return bool(_searched_together(settings) and settings.together.fitness == "rank")


SEARCHED = "it is of a search for several tasks at once"
ALONE = "the probe shares no layer: beside a search for several tasks it is a baseline only"
VALIDATED = "the validation images choose for several tasks at once"
RANKS = "a rank is among the paths of one generation and tells no gain from it to the next"
TOURNAMENT = "tournaments of paths are the way of preset=generational without pareto"
GENERATIONAL = "give search.preset=generational and search.pareto=false"
RECIPES = "with recipes=true each path is trained by its own"
CHAINS = ("mixed", "paper")
RULES = [
    Rule("search.preset", lambda s: not s.search.pareto, "pareto=true selects by NSGA-II", "leave out --pareto"),
    Rule("search.tournament", _by_tournament, TOURNAMENT, GENERATIONAL),
    Rule("search.elite", _by_tournament, "only preset=generational without pareto keeps an elite", GENERATIONAL),
    Rule(
        "search.crossover",
        lambda s: s.search.pareto or s.search.preset == "generational",
        "paths are crossed by preset=generational and by pareto only",
        "give search.preset=generational",
    ),
    Rule("search.average", _shared, "fresh weights are not averaged", "give search.weights=shared", 0.0),
    Rule("search.warmup", _shared, "fresh weights have no warm-up", "give search.weights=shared", 0),
    *(
        Rule(f"search.{name}", _without_recipes, RECIPES, "give search.recipes=false")
        for name in ("learning_rate", "weight_decay", "dropout")
    ),
    *(
        Rule(
            f"{part}.balance_strength",
            partial(_balanced, part),
            f"it says how much {part}.balance does, which is off",
            f"give {part}.balance=true",
        )
        for part in ("search", "training")
    ),
    *(
        Rule(
            f"{part}.balance",
            partial(_weighs, part),
            f"{part}.balance_strength=0 lets all images weigh alike",
            f"give {part}.balance_strength above 0",
            False,
        )
        for part in ("search", "training")
    ),
    Rule(
        "encoder.sizes",
        lambda s: s.encoder.taps == 1 or s.grid.modules not in CHAINS,
        "the first layer of a chain brings all that it reads to the size of the last map",
        "give --blueprint with one that reads stages at their own sizes",
        "one",
    ),
    Rule(
        "encoder.random_seed",
        lambda s: s.encoder.weights == "random",
        "it is the seed of random encoder weights only",
        "give encoder.weights=random",
    ),
    Rule(
        "training.begin",
        lambda s: bool(s.grown_from or s.begun_from),
        "there is no earlier grid",
        "give --grid RUN",
        "new",
    ),
    Rule(
        "together.turns",
        lambda s: s.together.strategy == "alternating" or (_searched_together(s) and s.search.recipes),
        "tasks have turns under strategy=alternating only",
        "give --strategy alternating",
    ),
    Rule("together.loss_weights", _together, "one after another each task has its own loss", "give --strategy joint"),
    Rule("together.fitness", _searched_together, SEARCHED, "give several --task to pathsearch evolve --strategy joint"),
    Rule(
        "together.shared_layers",
        _searched_together,
        SEARCHED,
        "give several --task to pathsearch evolve --strategy joint",
        0,
    ),
    Rule("training.probe", lambda s: not _searched_together(s), ALONE, "give training.probe=false", False),
    Rule("training.choice_folds", lambda s: not _searched_together(s), VALIDATED, "give training.choice_folds=1", 1),
    *(
        Rule(f"search.{name}", lambda s: not _ranked(s), RANKS, "give together.fitness=equal", None)
        for name in ("target", "plateau")
    ),
]


def refuse_idle(settings: Any, given: Iterable[str] | None = None) -> None:
    """Raise `PathsearchError` if a setting was given that has no effect beside the others.

    Args:
        settings: of a run, all resolved.
        given: the settings that somebody gave, as `search.elite`; None: all that differ from their defaults.

    What is read from a run's `config.json` is not asked: earlier versions took such settings.
    """
    named = changed(settings) if given is None else set(given)
    for rule in RULES:
        part, _, name = rule.key.partition(".")
        value = getattr(getattr(settings, part), name)
        if rule.key in named and value != rule.off and not rule.counts(settings):
            raise PathsearchError(
                f"{rule.key}: {value} has no effect, since {rule.why}; {rule.instead}, or leave out {rule.key}"
            )


def refuse_idle_in_comparison(settings: Any) -> None:
    """Raise `PathsearchError` if a setting of `evolve` differs from its default that a comparison does not ask."""
    for key in sorted(changed(settings)):
        if key.startswith("together."):
            raise PathsearchError(f"{key}: has no effect in a comparison, which is of one task; leave it out")
    if "training.random_paths" in changed(settings):
        raise PathsearchError(
            f"training.random_paths: {settings.training.random_paths} has no effect in a comparison, whose random "
            "paths are as many as the evolved path's budget pays for; leave out training.random_paths"
        )


def refuse_idle_in_training(given: Iterable[str]) -> None:
    """Raise `PathsearchError` if a setting was given that only a search, or the choice after it, asks."""
    of_choice = {f"training.{name}" for name in ("finalists", "random_paths", "probe", "choice_folds")}
    for key in sorted(given):
        if key in of_choice or (key.startswith("search.") and key != "search.fitness"):
            raise PathsearchError(f"{key}: has no effect on a path that is trained without a search; leave it out")


def changed(settings: Any) -> set[str]:
    """All settings that differ from their defaults."""
    parts = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return {
        f"{name}.{one.name}"
        for name, part in parts.items()
        if hasattr(part, "__dataclass_fields__")
        for one in fields(part)
        if getattr(part, one.name) != one.default
    }
