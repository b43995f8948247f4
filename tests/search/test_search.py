"""The genetic algorithm: every state on the way, its stopping, its memory, and going on after a stop."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from landscapes import (
    SPACE,
    WAYS,
    assert_finds_the_best,
    every_way,
    rugged,
    settings_of,
    size_of,
    smooth,
    value,
    without_times,
)

from pathsearch.grid.path import Path, Space
from pathsearch.run.streams import derive
from pathsearch.search import search as search_module
from pathsearch.search.search import Ground, Individual, SearchState, _deap_draws_from, search
from pathsearch.targets.target import Fitness, NonFiniteFitness

# --- every state on the way ---------------------------------------------------------------------------------


@every_way
def test_every_generation_is_valid_and_of_full_size(planted, way):
    states: list[dict[str, Any]] = []
    settings = settings_of(way, generations=12)
    evaluator = planted(rugged(1))
    search(evaluator, Ground(SPACE, size_of), settings, 1, on_generation=lambda s: states.append(s.to_dict()))
    assert len(states) == 12
    for state in states:
        assert len(state["population"]) == settings.population
        assert len(state["hall_of_fame"]) <= settings.hall_of_fame
        for name in ("population", "parents", "hall_of_fame", "visited"):
            assert all(SPACE.check(Path.parse(text)) for text in state[name])
        for name in ("parents", "hall_of_fame", "visited"):
            assert len(set(state[name])) == len(state[name])
        json.dumps(state, allow_nan=False)
    trained = [str(path) for _, paths in evaluator.trained for path in paths]
    assert states[-1]["visited"] == list(dict.fromkeys(trained))


@every_way
@pytest.mark.parametrize("space", [Space(1, 1, 1), Space(1, 2, 1), Space(1, 3, 1), Space(2, 2, 2)])
def test_spaces_smaller_than_the_population(planted, way, space):
    state = search(planted(rugged(0)), Ground(space, size_of), settings_of(way, population=8, generations=8), 0)
    assert_finds_the_best(state, space, rugged(0), WAYS[way].get("pareto", False))


@pytest.mark.parametrize("way", ["generational", "pathnet"])
@pytest.mark.parametrize("population", [2, 3, 7])
def test_small_and_odd_populations(planted, way, population):
    settings = settings_of(way, population=population, generations=6, elite=1)
    state = search(planted(rugged(0)), Ground(SPACE, size_of), settings, 0)
    assert len(state.population) == population


@every_way
def test_known_paths_come_first_and_the_rest_is_drawn(planted, way):
    known, evaluator = [Path.parse("0|0"), Path.parse("3|3")], planted(rugged(0))
    search(evaluator, Ground(SPACE, size_of, known), settings_of(way, generations=1), 5)
    plain = planted(rugged(0))
    search(plain, Ground(SPACE, size_of), settings_of(way, generations=1), 5)
    (_, paths), (_, drawn) = evaluator.trained[0], plain.trained[0]
    assert list(paths) == [*known, *drawn[2:]]


def test_known_paths_get_recipes_where_paths_have_them(planted):
    evaluator = planted(rugged(0))
    settings = settings_of("generational", generations=1, weights="fresh", recipes=True)
    search(evaluator, Ground(SPACE, size_of, [Path.parse("0|0")]), settings, 5)
    paths = evaluator.trained[0][1]
    assert all(path.recipe is not None for path in paths)
    assert paths[0].bare == Path.parse("0|0")


def test_a_row_of_the_log_by_hand(planted):
    score = {"0": 0.5, "1": 0.9, "2": 0.7, "3": 0.7}
    settings = settings_of("generational", population=8, generations=1)
    space = Space(1, 4, 1)
    evaluator = planted(lambda path, _: Fitness(score[str(path)], -score[str(path)] / 10))
    (row,) = search(evaluator, Ground(space, size_of), settings, 3).log
    values = sorted(score[str(path)] for path in evaluator.trained[0][1])
    assert row["generation"] == 1
    assert (row["worst"], row["best"]) == (values[0], values[-1])
    assert row["mean"] == pytest.approx(sum(values) / 8)
    assert row["median"] == pytest.approx((values[3] + values[4]) / 2)
    assert row["q25"] == pytest.approx(values[1] + 0.75 * (values[2] - values[1]))
    assert row["q75"] == pytest.approx(values[5] + 0.25 * (values[6] - values[5]))
    assert row["best_log_likelihood"] == -values[-1] / 10
    assert row["mean_log_likelihood"] == pytest.approx(-sum(values) / 80)
    assert row["distinct_paths"] == len({str(path) for path in evaluator.trained[0][1]})
    assert score[row["best_path"]] == values[-1]
    assert row["best_parameters"] == size_of(Path.parse(row["best_path"]))
    assert (row["train_loss"], row["train_accuracy"]) == (1 / 3, 0.5)
    assert row["seconds"] >= 0


def test_accuracy_comes_first_then_likelihood(planted):
    def worth(path: Path, generation: int) -> Fitness:  # accuracies tie at the top; one likelihood is higher
        return {"0": Fitness(0.9, -0.3), "1": Fitness(0.9, -0.2), "2": Fitness(0.8, -0.1)}[str(path)]

    state = search(planted(worth), Ground(Space(1, 3, 1), size_of), settings_of("generational", generations=5), 0)
    assert state.hall_of_fame == ["1", "0", "2"]
    assert state.log[-1]["best_path"] == "1"


def test_individuals_compare_by_accuracy_then_likelihood_or_size():
    def individual(values: tuple[float, float], pareto: bool) -> Individual:
        one = Individual(Path.parse("0"), pareto)
        one.fitness.values = values
        return one

    assert individual((0.9, -5.0), False).fitness > individual((0.8, -0.1), False).fitness
    assert individual((0.9, -0.1), False).fitness > individual((0.9, -0.2), False).fitness
    assert individual((0.9, 10), True).fitness > individual((0.9, 20), True).fitness
    assert individual((0.9, 10), True).fitness.dominates(individual((0.8, 20), True).fitness)
    assert not individual((0.9, 30), True).fitness.dominates(individual((0.8, 20), True).fitness)
    assert Individual(Path.parse("0+1"), True) == Individual(Path.parse("1+0"), False)


@pytest.mark.parametrize("way", ["generational", "pareto"])
def test_as_many_couples_cross_as_the_settings_say(planted, monkeypatch, way):
    """Without mutation every path is a parent's, or a mixture of layers, as often as couples are crossed."""
    monkeypatch.setattr(search_module, "mutate", lambda path, space, rng: path)
    space, mixtures = Space(4, 60, 1), {}
    for crossover in (0.0, 0.5, 1.0):
        settings = settings_of(way, population=400, generations=1, elite=0, crossover=crossover, tournament=2)
        evaluator = planted(rugged(0))
        state = search(evaluator, Ground(space, size_of), settings, 0)
        parents = {str(path) for _, paths in evaluator.trained for path in paths}
        mixtures[crossover] = sum(child not in parents for child in state.population) / len(state.population)
    # A couple of different paths without a common layer yields two mixtures, unless all four coins agree: 7/8.
    assert mixtures[0.0] == 0
    assert mixtures[0.5] == pytest.approx(7 / 16, abs=0.09)
    assert mixtures[1.0] == pytest.approx(7 / 8, abs=0.09)


# --- elitism, warm-up, stale scores -------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["generational", "pathnet"])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_is_kept(planted, way, seed):
    state = search(planted(rugged(seed)), Ground(SPACE, size_of), settings_of(way, elite=1), seed)
    best = [row["best"] for row in state.log]
    assert best == sorted(best)


def test_without_an_elite_the_best_can_be_lost(planted):
    """So the test above can fail."""
    drops = 0
    for seed in range(3):
        state = search(planted(rugged(seed)), Ground(SPACE, size_of), settings_of("generational", elite=0), seed)
        best = [row["best"] for row in state.log]
        drops += best != sorted(best)
    assert drops


@every_way
def test_the_hall_of_fame_never_loses_a_best_that_still_stands(planted, way):
    halls: list[str] = []
    worth = rugged(2)
    settings = settings_of(way)
    search(planted(worth), Ground(SPACE, size_of), settings, 2, on_generation=lambda s: halls.append(s.hall_of_fame[0]))
    values = [value(Path.parse(text), worth, settings.pareto) for text in halls]
    assert values == sorted(values)


@pytest.mark.parametrize("warmup", [0, 3])
def test_warmup_trains_random_paths_before_the_first_generation(planted, warmup):
    evaluator = planted(smooth(0))
    search(evaluator, Ground(SPACE, size_of), settings_of("generational", generations=2, warmup=warmup), 0)
    assert [generation for generation, _ in evaluator.trained] == ([-1] if warmup else []) + [1, 2]
    if warmup:
        before, first = evaluator.trained[0][1], evaluator.trained[1][1]
        assert len(before) == 16
        assert before != first


def drifting(path: Path, generation: int) -> Fitness:
    """Today's best is tomorrow's worst: what an old score says of new weights."""
    return Fitness(derive(generation, path) % 1000 / 1000, -1.0)


@every_way
def test_the_hall_of_fame_is_scored_with_the_last_weights(planted, way):
    evaluator = planted(drifting)
    settings = settings_of(way, generations=10)
    states: list[SearchState] = []
    state = search(
        evaluator,
        Ground(SPACE, size_of),
        settings,
        0,
        on_generation=lambda s: states.append(SearchState(**s.to_dict())),
    )
    for before, after, (generation, scored) in zip(states, states[1:], evaluator.scored[1:], strict=False):
        assert {*before.hall_of_fame, *before.population, *before.parents} == set(map(str, scored))
        ranked = sorted((value_now(path, generation, settings.pareto) for path in set(scored)), reverse=True)
        hall = [value_now(Path.parse(text), generation, settings.pareto) for text in after.hall_of_fame]
        assert hall == ranked[: len(hall)]
    best = max(drifting(Path.parse(text), 10) for text in state.hall_of_fame)
    assert drifting(Path.parse(state.hall_of_fame[0]), 10) == best


def value_now(path: Path, generation: int, pareto: bool) -> tuple[float, float]:
    return drifting(path, generation).score, -size_of(path) if pareto else 0.0


def test_pareto_parents_compete_with_their_scores_of_today(planted):
    """Under drifting fitness the survivors must be on today's front of parents and children."""
    evaluator = planted(drifting)
    states: list[dict[str, Any]] = []
    search(
        evaluator,
        Ground(SPACE, size_of),
        settings_of("pareto", generations=6, population=32),
        0,
        on_generation=lambda s: states.append(s.to_dict()),
    )
    for generation in range(2, 7):
        before, after = states[generation - 2], states[generation - 1]
        pool = {value_now(Path.parse(text), generation, True) for text in before["parents"] + before["population"]}
        front = {v for v in pool if not any(w != v and w[0] >= v[0] and w[1] >= v[1] for w in pool)}
        assert front <= {value_now(Path.parse(text), generation, True) for text in after["parents"]}


# --- refusing what is not finite ----------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("bad", [Fitness(math.nan, -1.0), Fitness(0.5, math.nan), Fitness(0.5, -math.inf)])
def test_non_finite_fitness_is_refused_by_path_and_generation(planted, way, bad):
    victims = []

    def worth(path: Path, generation: int) -> Fitness:
        if generation == 3 and (not victims or path == victims[0]):
            victims.append(path)
            return bad
        return Fitness(0.5, -1.0)

    with pytest.raises(NonFiniteFitness, match="in generation 3") as raised:
        search(planted(worth), Ground(SPACE, size_of), settings_of(way), 0)
    assert f"path {victims[0]}: fitness became" in str(raised.value)


# --- determinism and the global generators ------------------------------------------------------------------


@every_way
def test_a_seed_says_everything(planted, way):
    ends = []
    for seed, noise in [(5, 1), (5, 2), (6, 1)]:
        random.seed(noise)
        torch.manual_seed(noise)
        np.random.seed(noise)  # noqa: NPY002 - the global generator is the point
        ends.append(without_times(search(planted(rugged(0)), Ground(SPACE, size_of), settings_of(way), seed)))
    assert ends[0] == ends[1]
    assert ends[0] != ends[2]


@every_way
def test_global_generators_are_left_as_they_were(planted, way):
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    search(planted(rugged(0)), Ground(SPACE, size_of), settings_of(way), 0)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert (np.random.get_state()[1] == before[2]).all()  # noqa: NPY002


def test_deap_draws_from_our_generator_even_when_it_fails():
    ours, twin = random.Random(3), random.Random(3)
    before = random.getstate()

    def draw_and_fail() -> None:
        with _deap_draws_from(ours):
            assert [random.random() for _ in range(3)] == [twin.random() for _ in range(3)]
            raise KeyError

    with pytest.raises(KeyError):
        draw_and_fail()
    assert random.getstate() == before
    assert ours.random() == twin.random()  # ours has moved on by what was drawn
