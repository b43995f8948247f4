"""The genetic algorithm: DEAP's toolbox and selection over paths. The only file that imports DEAP.

population = random paths
for generation in 1 … G:
train(population)                      # shared weights: one pass for all
score(population + hall of fame)       # validation images
record a row of the log
population = select, cross, mutate     # registered in the toolbox, by preset
save everything
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from deap import base, creator, tools

from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path, Space, crossover, mutate
from pathsearch.measures.fronts import Frame, front
from pathsearch.run.settings import SearchSettings
from pathsearch.run.streams import python_stream
from pathsearch.targets.target import Fitness, NonFiniteFitness
from pathsearch.training.fitness import Evaluator

creator.create("BestFirst", base.Fitness, weights=(1.0, 1.0))  # score, then likelihood
creator.create("SizeAware", base.Fitness, weights=(1.0, -1.0))  # score against parameters (NSGA-II)

# What a plateau is without: the best score, its likelihood, NSGA-II's front, and by how much each must rise. Without
# some least gain of likelihood, a search that has all images right would gain for as long as its weights train on.
LEAST_GAIN = {"best": 0.0, "best_log_likelihood": 1e-4, "hypervolume": 0.0}


class Individual:
    """DEAP's form of a path: the path and a fitness object. The one place where the two meet."""

    def __init__(self, path: Path, pareto: bool) -> None:
        self.path = path
        self.fitness: Any = creator.SizeAware() if pareto else creator.BestFirst()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Individual) and self.path == other.path

    __hash__ = None  # type: ignore[assignment]


@dataclass
class SearchState:
    """Where a search stands: plain values, so that it can be saved and gone on with exactly.

    No random state is among them: every generation derives its streams from the seed and its own number.
    """

    population: list[str]  # the paths to train next
    parents: list[str] = field(default_factory=list)  # NSGA-II: the survivors that compete with them
    hall_of_fame: list[str] = field(default_factory=list)
    visited: list[str] = field(default_factory=list)  # every distinct path scored so far, in order
    log: list[dict[str, Any]] = field(default_factory=list)  # one row a generation
    stopped: str | None = None  # why the search ended

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        return asdict(self)


@dataclass(frozen=True)
class Ground:
    """What is searched.

    Attributes:
        space: which paths there are; whether they have recipes, the settings say.
        size_of: number of parameters of a path.
        first: known good paths that the first population begins with, at most as many as it has; the rest are drawn.
    """

    space: Space
    size_of: Callable[[Path], int]
    first: Sequence[Path] = ()

    @classmethod
    def of(cls, grid: Grid, task: str, rungs: int = 0) -> Ground:
        """The paths of a grid that end in a task's head; so many first ones are rungs of a ladder."""
        return cls(grid.space, partial(grid.count_parameters, task=task), grid.rungs(rungs))


def search(
    evaluator: Evaluator,
    ground: Ground,
    settings: SearchSettings,
    seed: int,
    state: SearchState | None = None,
    on_generation: Callable[[SearchState], None] = lambda state: None,
) -> SearchState:
    """Evolve paths until the generations, the target or the plateau end it.

    Args:
        evaluator: trains and scores paths.
        ground: the paths, and their sizes.
        settings: of the algorithm.
        seed: of all random choices.
        state: to go on from; None to start.
        on_generation: called with the state after each generation, which is when to save it.

    Returns:
        The last state; its hall of fame holds the best paths, best first, scored with the last weights.

    Source: Fernando et al. 2017, section 2 (`pathnet` preset); Deb et al. 2002 (NSGA-II, `pareto`).
    """
    toolbox = _toolbox(replace(ground.space, recipes=settings.recipes), settings)
    if state is None:
        rng = python_stream(seed, "first paths")
        drawn = [toolbox.random_path(rng) for _ in range(settings.population)]
        dressed = [replace(known, recipe=one.recipe) for known, one in zip(ground.first, drawn, strict=False)]
        state = SearchState([str(path) for path in [*dressed, *drawn[len(dressed) :]]])
        # 1. warm-up: uniform training along random paths makes the first scores worth comparing
        if settings.warmup:
            evaluator.train([toolbox.random_path(rng) for _ in range(settings.population)], -1)
    while not state.stopped:
        started = time.perf_counter()
        generation = len(state.log) + 1
        # 2. train the generation, then score it beside the paths that are kept from earlier ones
        population = [Path.parse(text) for text in state.population]
        progress = evaluator.train(population, generation)
        elders = [Path.parse(text) for text in dict.fromkeys([*state.parents, *state.hall_of_fame])]
        scores = dict(zip([*population, *elders], evaluator.score([*population, *elders]), strict=True))

        def individual(path: Path, scores: dict[Path, Fitness] = scores, generation: int = generation) -> Individual:
            if not all(map(math.isfinite, scores[path])):
                raise NonFiniteFitness(f"path {path}: fitness became {scores[path]} in generation {generation}")
            one = Individual(path, settings.pareto)
            one.fitness.values = (scores[path].score, ground.size_of(path)) if settings.pareto else scores[path]
            return one

        # 3. the hall of fame is refilled, since old scores are of old weights
        individuals = [individual(path) for path in population]
        hall = tools.HallOfFame(settings.hall_of_fame)
        hall.update([individual(path) for path in scores])
        state.hall_of_fame = [str(one.path) for one in hall]
        state.visited = list(dict.fromkeys([*state.visited, *state.population]))
        # 4. a row of the log tells of all that compete, under NSGA-II of the survivors of earlier generations too
        parents = [individual(Path.parse(text)) for text in state.parents]
        rivals = [one.path for one in parents if one.path not in population]
        row = row_of(generation, [*population, *rivals], scores, progress, ground.size_of)
        row["distinct_paths"] = len(set(population))
        if settings.pareto:
            row["hypervolume"] = _hypervolume(scores, ground.size_of, ground.size_of(ground.space.full_path()))
        # 5. select and vary
        rng = python_stream(seed, "breed", generation)
        survivors, children = toolbox.breed(individuals, parents, rng)
        state.population, state.parents = [str(p) for p in children], [str(p) for p in survivors]
        # 6. record, stop or go on
        row["seconds"] = time.perf_counter() - started
        state.log.append(row)
        state.stopped = _why_stop(state.log, settings)
        on_generation(state)
    return state


Breed = tuple[list[Path], list[Path]]  # survivors that stay to compete, and the next population


def _toolbox(space: Space, settings: SearchSettings) -> Any:
    """The one seam: what each verb of the algorithm means under these settings."""
    toolbox = base.Toolbox()
    toolbox.register("random_path", space.random_path)
    toolbox.register("mutate", mutate, space=space)
    toolbox.register("mate", crossover)
    if settings.pareto:
        toolbox.register("breed", _breed_nsga2, toolbox=toolbox, settings=settings)
    elif settings.preset == "random":
        toolbox.register("breed", _breed_random, toolbox=toolbox, settings=settings)
    elif settings.preset == "pathnet":
        toolbox.register("breed", _breed_pathnet, toolbox=toolbox, settings=settings)
    else:
        toolbox.register("select", tools.selTournament, tournsize=settings.tournament)
        toolbox.register("breed", _breed_generational, toolbox=toolbox, settings=settings)
    return toolbox


def _breed_generational(
    population: list[Individual],
    parents: list[Individual],
    rng: random.Random,
    toolbox: Any,
    settings: SearchSettings,
) -> Breed:
    """Elite unchanged; the rest by tournament, layer-wise uniform crossover and mutation."""
    best = sorted(population, key=lambda one: one.fitness, reverse=True)
    elite = list(dict.fromkeys(one.path for one in best))[: settings.elite]
    with _deap_draws_from(rng):
        chosen = [one.path for one in toolbox.select(population, settings.population - len(elite))]
    return [], elite + _vary(chosen, toolbox, settings, rng)


def _breed_pathnet(
    population: list[Individual],
    parents: list[Individual],
    rng: random.Random,
    toolbox: Any,
    settings: SearchSettings,
) -> Breed:
    """Random pairs compete; each loser is replaced by a mutated copy of its winner (Fernando et al. 2017)."""
    order = rng.sample(range(len(population)), len(population))
    children = [one.path for one in population]
    for first, second in zip(order[::2], order[1::2], strict=False):
        win, lose = (first, second) if population[first].fitness >= population[second].fitness else (second, first)
        children[lose] = toolbox.mutate(population[win].path, rng=rng)
    return [], children


def _breed_random(
    population: list[Individual],
    parents: list[Individual],
    rng: random.Random,
    toolbox: Any,
    settings: SearchSettings,
) -> Breed:
    """No selection: every generation is drawn anew. The control of all the others, with the same evaluations."""
    return [], [toolbox.random_path(rng) for _ in range(settings.population)]


def _breed_nsga2(
    population: list[Individual],
    parents: list[Individual],
    rng: random.Random,
    toolbox: Any,
    settings: SearchSettings,
) -> Breed:
    """NSGA-II: the least dominated of parents and children survive; their crowded tournament breeds."""
    distinct = {one.path: one for one in [*parents, *population]}  # copies would crowd the front
    with _deap_draws_from(rng):
        survivors = tools.selNSGA2(list(distinct.values()), settings.population)
        pool = survivors[: len(survivors) // 4 * 4]
        chosen = tools.selTournamentDCD(pool, len(pool)) if pool else survivors
    couples = [one.path for one in chosen] or [one.path for one in survivors]
    while len(couples) < settings.population:
        couples.append(couples[rng.randrange(len(couples))])
    return [one.path for one in survivors], _vary(couples[: settings.population], toolbox, settings, rng)


def _vary(chosen: list[Path], toolbox: Any, settings: SearchSettings, rng: random.Random) -> list[Path]:
    """Cross couples with the crossover's probability, then mutate every child."""
    children = list(chosen)
    for i in range(0, len(children) - 1, 2):
        if rng.random() < settings.crossover:
            children[i], children[i + 1] = toolbox.mate(children[i], children[i + 1], rng=rng)
    return [toolbox.mutate(child, rng=rng) for child in children]


@contextmanager
def _deap_draws_from(rng: random.Random) -> Iterator[None]:
    """Let DEAP's selection, which draws from the global `random`, draw from `rng`; leave the global as it was."""
    before = random.getstate()
    random.setstate(rng.getstate())
    try:
        yield
    finally:
        rng.setstate(random.getstate())
        random.setstate(before)


def row_of(
    generation: int,
    paths: Sequence[Path],
    scores: dict[Path, Fitness],
    progress: Any,
    size_of: Callable[[Path], int],
) -> dict[str, Any]:
    """A row of the log: of the paths that compete in a generation, and of how its training went."""
    each = [scores[path] for path in paths]
    values = np.array([fitness.score for fitness in each])
    best = max(paths, key=scores.__getitem__)
    return {
        "generation": generation,
        "best": scores[best].score,
        "mean": float(values.mean()),
        "q25": float(np.quantile(values, 0.25)),
        "median": float(np.median(values)),
        "q75": float(np.quantile(values, 0.75)),
        "worst": float(values.min()),
        "best_log_likelihood": scores[best].log_likelihood,
        "mean_log_likelihood": float(np.mean([fitness.log_likelihood for fitness in each])),
        "train_loss": progress.loss,
        "train_accuracy": progress.accuracy,
        "best_path": str(best),
        "best_parameters": size_of(best),
    }


def _hypervolume(scores: dict[Path, Fitness], size_of: Callable[[Path], int], largest: int) -> float:
    """How much of score and (logarithm of) size the front covers: what NSGA-II gains where the best does not."""
    sizes, rates = [size_of(path) for path in scores], [fitness.score for fitness in scores.values()]
    kept = front(sizes, rates)
    return Frame(1, largest, 0.0).hypervolume([sizes[i] for i in kept], [rates[i] for i in kept])


def _why_stop(log: list[dict[str, Any]], settings: SearchSettings) -> str | None:
    if settings.target is not None and log[-1]["best"] >= settings.target:
        return f"reached the target {settings.target} in generation {len(log)}"
    if settings.plateau is not None and _since_gain(log) >= settings.plateau:
        return f"no better best for {settings.plateau} generations"
    if len(log) >= settings.generations:
        return f"did all {settings.generations} generations"
    return None


def _since_gain(log: list[dict[str, Any]]) -> int:
    """Generations since the last one that gained over every earlier gain, in one of what `LEAST_GAIN` names."""
    reached: dict[str, float] = {}
    last = 0
    for number, row in enumerate(log):
        for name, least in LEAST_GAIN.items():
            if name in row and row[name] > reached.get(name, -math.inf) + least:
                reached[name], last = row[name], number
    return len(log) - 1 - last
