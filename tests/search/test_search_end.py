"""When a search ends, and what NSGA-II's log tells on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from landscapes import (
    SPACE,
    every_way,
    settings_of,
    size_of,
    smooth,
    without_times,
)

from data_prep.errors import PathsearchError
from pathsearch.grid.path import Path, Space
from pathsearch.run.settings import SearchSettings
from pathsearch.search.search import Ground, SearchState, search
from pathsearch.targets.target import Fitness

# --- stopping -----------------------------------------------------------------------------------------------


@every_way
def test_stops_after_the_generations(planted, way):
    state = search(planted(smooth(0)), Ground(SPACE, size_of), settings_of(way, generations=7), 0)
    assert len(state.log) == 7
    assert state.stopped == "did all 7 generations"


def test_stops_at_the_target(planted):
    evaluator = planted(lambda path, generation: Fitness(generation / 10, -1.0))
    state = search(evaluator, Ground(SPACE, size_of), settings_of("generational", target=0.3), 0)
    assert len(state.log) == 3  # 0.1, 0.2, 0.3
    assert state.stopped == "reached the target 0.3 in generation 3"


def test_stops_at_a_plateau(planted):
    best = [0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.2, 0.4]  # the third generation without more than 0.3 is the 7th
    evaluator = planted(lambda path, generation: Fitness(best[generation - 1], -1.0))
    state = search(evaluator, Ground(SPACE, size_of), settings_of("generational", plateau=3), 0)
    assert len(state.log) == 7
    assert state.stopped == "no better best for 3 generations"


def scripted(planted, pairs: list[tuple[float, float]]):
    """Every path of generation g has the g-th score and likelihood; the last one stays."""
    return planted(lambda path, generation: Fitness(*pairs[min(generation, len(pairs)) - 1]))


def test_a_gain_of_likelihood_is_no_plateau(planted):
    pairs = [(0.9, -0.5), (0.9, -0.4), (0.9, -0.3), (0.9, -0.2)]  # and no more: the 7th is the third without gain
    state = search(scripted(planted, pairs), Ground(SPACE, size_of), settings_of("generational", plateau=3), 0)
    assert len(state.log) == 7


def test_a_search_that_has_all_right_stops(planted):
    """Shared weights train on: the likelihood rises for ever, by ever less than the least gain."""
    evaluator = planted(lambda path, generation: Fitness(1.0, -(10.0**-generation)))
    state = search(evaluator, Ground(SPACE, size_of), settings_of("generational", generations=100, plateau=5), 0)
    # gains over the last gain: 0.1 to 0.01, 0.001 and 0.0001 (the 4th generation); there is none to come: five more
    assert len(state.log) == 9
    assert state.stopped == "no better best for 5 generations"


def test_slow_gains_add_up(planted):
    """A fifth of the least gain each generation is a gain every sixth."""
    evaluator = planted(lambda path, generation: Fitness(0.9, -1 + 0.00002 * generation))
    for plateau, generations in ((7, 25), (5, 6)):
        state = search(evaluator, Ground(SPACE, size_of), settings_of("generational", plateau=plateau), 0)
        assert len(state.log) == generations, plateau


def test_the_plateau_is_on_by_default_and_null_turns_it_off(planted):
    evaluator = planted(lambda path, generation: Fitness(0.9, -1.0))
    settings = settings_of("generational", plateau=SearchSettings().plateau)
    assert len(search(evaluator, Ground(SPACE, size_of), settings, 0).log) == 13
    assert len(search(evaluator, Ground(SPACE, size_of), replace(settings, plateau=None), 0).log) == 25


# --- what NSGA-II's log tells ---------------------------------------------------------------------------------------


def test_the_survivors_of_nsga2_stand_in_its_log(planted):
    """The best of the first generation is never drawn again; it survives, and the log, target and plateau see it."""
    first: set[Path] = set()

    def worth(path: Path, generation: int) -> Fitness:
        if generation == 1:
            first.add(path)
        return Fitness(0.9 if path == max(first, key=size_of) else 0.5, -1.0)

    space, evaluator = Space(4, 60, 3), planted(worth)  # so large that mutation hardly comes back
    states: list[SearchState] = []
    search(
        evaluator,
        Ground(space, size_of),
        settings_of("pareto", generations=6),
        1,
        on_generation=lambda s: states.append(SearchState(**s.to_dict())),
    )
    best = str(max(first, key=size_of))
    assert any(best not in set(map(str, paths)) for _, paths in evaluator.trained[1:]), "offspring lost it"
    last = states[-1].log
    assert [row["best"] for row in last][1:] == [0.9] * 5
    assert {row["best_path"] for row in last[1:]} == {best}
    for before, row in zip(states, last[1:], strict=False):
        rivals = [*before.population, *(one for one in before.parents if one not in before.population)]
        each = [0.9 if one == best else 0.5 for one in rivals]
        assert row["mean"] == pytest.approx(np.mean(each))
        assert row["distinct_paths"] == len(set(before.population)), "of those that were trained"


def test_nsga2_reaches_its_target_with_survivors(planted):
    """A parent's score rises with the weights while no offspring's does."""
    born: dict[Path, int] = {}

    def worth(path: Path, generation: int) -> Fitness:
        return Fitness(0.5 + 0.1 * (generation - born.setdefault(path, generation)), -1.0)

    state = search(planted(worth), Ground(Space(4, 60, 3), size_of), settings_of("pareto", target=0.7), 0)
    assert len(state.log) == 3
    assert state.stopped == "reached the target 0.7 in generation 3"


def test_a_smaller_front_is_no_plateau_of_nsga2(planted):
    """All paths are as good: the best does not rise, but smaller ones are found: a gain of NSGA-II alone."""
    settings = settings_of("pareto", generations=25, plateau=3)
    space, flat = Space(3, 30, 2), lambda path, generation: Fitness(0.9, -1.0)
    log = search(planted(flat), Ground(space, size_of), settings, 0).log
    volumes = [row["hypervolume"] for row in log]
    assert len(log) > 4
    assert volumes == sorted(volumes)
    assert all(volumes[i] == volumes[-1] for i in range(-4, 0)) or len(log) == 25
    assert "hypervolume" not in search(planted(flat), Ground(space, size_of), settings_of("generational"), 0).log[0]


def test_a_stopped_search_does_nothing_more(planted):
    settings = settings_of("generational", generations=3)
    state = search(planted(smooth(0)), Ground(SPACE, size_of), settings, 0)
    evaluator, before = planted(smooth(0)), without_times(state)
    again = search(evaluator, Ground(SPACE, size_of), settings, 0, state)
    assert without_times(again) == before
    assert evaluator.trained == evaluator.scored == []


def test_pareto_wants_a_multiple_of_four():
    with pytest.raises(PathsearchError, match="population: NSGA-II expects a multiple of 4, got 10"):
        settings_of("pareto", population=10)
