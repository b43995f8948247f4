"""The genetic algorithm against exhaustive search."""

from __future__ import annotations

import pytest
from landscapes import (
    SPACE,
    assert_finds_the_best,
    assert_finds_the_front,
    every_way,
    rugged,
    settings_of,
    size_of,
    smooth,
    true_front,
    value,
)

from pathsearch.grid.path import Path, Space
from pathsearch.search.search import Ground, SearchState, search

# --- the oracle: exhaustive search --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("landscape", [smooth, rugged])
@every_way
def test_the_best_is_that_of_exhaustive_search(planted, way, landscape, seed):
    worth = landscape(seed)
    sizes = {} if landscape is smooth else {"population": 32, "generations": 120}  # no pattern to follow: try most
    settings = settings_of(way, **sizes)
    state = search(planted(worth), Ground(SPACE, size_of), settings, seed)
    assert_finds_the_best(state, SPACE, worth, settings.pareto)


@pytest.mark.parametrize("seed", range(4))
def test_the_front_is_that_of_exhaustive_search(planted, seed):
    worth = smooth(seed)
    state = search(planted(worth), Ground(SPACE, size_of), settings_of("pareto", population=32, generations=30), seed)
    assert 1 < len(true_front(SPACE, worth)) <= 32
    assert_finds_the_front(state, SPACE, worth)


@pytest.mark.parametrize("way", ["generational", "pathnet"])
def test_a_large_space_needs_few_visits(planted, way):
    """A search that only drew paths at random would find the best of 46,656 once in 60 times."""
    space, found = Space(3, 8, 2), 0
    for seed in range(6):
        worth = smooth(seed)
        state = search(planted(worth), Ground(space, size_of), settings_of(way, population=32, generations=60), seed)
        assert len(state.visited) < 1200
        best = max(worth(path, 0) for path in space.all_paths())
        found += worth(Path.parse(state.hall_of_fame[0]), 0) == best
    assert found >= 3, "by chance, once in 10,000 times"


def test_the_oracle_rejects_a_search_that_missed_the_best(planted):
    worth = rugged(0)
    state = search(planted(worth), Ground(SPACE, size_of), settings_of("generational", population=4, generations=1), 0)
    with pytest.raises(AssertionError, match="but the best has"):
        assert_finds_the_best(state, SPACE, worth)
    ranked = sorted(SPACE.all_paths(), key=lambda path: value(path, worth, False))
    assert_finds_the_best(SearchState([], hall_of_fame=[str(ranked[-1])]), SPACE, worth)
    with pytest.raises(AssertionError, match="but the best has"):
        assert_finds_the_best(SearchState([], hall_of_fame=[str(ranked[-2])]), SPACE, worth)


def test_the_front_oracle_rejects_a_front_with_a_gap():
    worth = smooth(0)
    front = [path for path in SPACE.all_paths() if value(path, worth, True) in true_front(SPACE, worth)]
    whole = [str(path) for path in front]
    assert_finds_the_front(SearchState([], parents=whole), SPACE, worth)
    with pytest.raises(AssertionError):
        assert_finds_the_front(SearchState([], parents=whole[1:]), SPACE, worth)
