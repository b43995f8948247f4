"""Recipes as genes: their text, the space with them, the operators, and what a search finds and spends on them."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from dataclasses import astuple, replace
from itertools import pairwise

import pytest
from drawn_paths import cases, paths_of
from hypothesis import given
from hypothesis import strategies as st
from landscapes import (
    BEST,
    SPACE,
    WAYS,
    assert_finds_the_best,
    every_way,
    rugged,
    seasoned,
    settings_of,
    size_of,
)

from data_prep.errors import PathsearchError
from pathsearch.grid.path import Path, Space, crossover, mutate
from pathsearch.grid.recipe import CHOICES, RATE, Recipe, all_recipes, cross_recipes, mutate_recipe
from pathsearch.search.search import Ground, SearchState, search

WITH = replace(SPACE, recipes=True)

recipes = st.builds(Recipe, *(st.sampled_from(choices) for choices in CHOICES.values()))
amounts = st.floats(0, allow_infinity=False)
any_recipes = st.builds(Recipe, amounts, amounts, st.floats(0, 1, exclude_max=True))
generators = st.integers(0, 2**32).map(random.Random)
with_recipes = st.builds(lambda path, recipe: Path(path.layers, recipe), paths_of(SPACE), recipes)


# --- the value ------------------------------------------------------------------------------------------------------


@given(cases(), any_recipes)
def test_text_round_trip(case, recipe):
    _, [path], _ = case
    dressed = Path(path.layers, recipe)
    assert Path.parse(str(dressed)) == dressed
    assert Recipe.parse(str(recipe)) == recipe
    assert dressed.bare == path
    assert dressed != path


def test_printed_form():
    path = Path(((0, 3), (1,), (2, 4)), Recipe(2e-3, 3, 0.5))
    assert str(path) == "0+3|1|2+4@0.002,3,0.5"
    assert Path.parse("3+0|1|4+2@2e-3,3.0,0.50") == path
    assert str(Recipe(1e-05, 0.1, 0)) == "1e-05,0.1,0"


def test_every_recipe_has_a_text_of_its_own():
    found = [str(recipe) for recipe in all_recipes()]
    assert len(set(found)) == 5 * 6 * 4
    assert not any(sign in text for text in found for sign in "|+@ \n"), "what divides paths and lists of them"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0|1@", "recipe: expected learning rate, weight decay and dropout in a form like 0.002,3,0.5, or .* got ''"),
        ("0|1@0.002,3", "recipe: expected .* got '0.002,3'"),
        ("0|1@0.002,3,0.5,1", "recipe strategy: expected one of alternating, joint, and a weight .* got '1' and 0"),
        ("0|1@0.002,3,x", "recipe: expected .* got '0.002,3,x'"),
        ("0|1@0.002@3", "recipe: expected .* got '0.002@3'"),
        ("0|1@-1,3,0.5", "recipe learning_rate: expected a number of at least 0, got -1.0; choose one of 0.0005"),
        ("0|1@nan,3,0.5", "recipe learning_rate: expected a number of at least 0, got nan"),
        ("0|1@0.002,inf,0.5", "recipe weight_decay: expected a number of at least 0, got inf; .* 1, 3, 10, 30"),
        ("0|1@0.002,3,1", r"recipe dropout: expected a share in \[0, 1\), got 1.0; choose one of 0, 0.25, 0.5, 0.75"),
        ("@0.002,3,0.5", "path: expected a form like 0.3.1.2.4, or 0.* with a recipe, or probe, got '@0.002,3,0.5'"),
    ],
)  # fmt: skip
def test_what_is_no_recipe_is_refused(text, message):
    with pytest.raises(PathsearchError, match=message):
        Path.parse(text)


@given(st.lists(with_recipes | paths_of(SPACE), max_size=8))
def test_paths_sort_with_and_without_recipes(paths):
    ordered, backwards = sorted(paths), list(reversed(paths))
    assert sorted(backwards) == ordered
    assert all(one <= other and other >= one for one, other in pairwise(ordered))
    assert [path.layers for path in ordered] == sorted(path.layers for path in paths)


def test_of_equal_layers_the_one_without_a_recipe_is_first():
    texts = ["0|1@0.002,3,0.5", "0|2", "0|1", "0|1@0.001,30,0.75"]
    ordered = [str(path) for path in sorted(map(Path.parse, texts))]
    assert ordered == ["0|1", "0|1@0.001,30,0.75", "0|1@0.002,3,0.5", "0|2"]


def test_subpaths_keep_the_recipe():
    assert {str(path) for path in Path.parse("0+2|1@0.002,3,0.5").subpaths()} == {
        "0|1@0.002,3,0.5",
        "2|1@0.002,3,0.5",
        "0+2|1@0.002,3,0.5",
    }


# --- the space ------------------------------------------------------------------------------------------------------


def test_all_paths_are_those_of_all_recipes():
    found = WITH.all_paths()
    assert len(found) == len(set(found)) == 100 * 120
    assert {path.bare for path in found} == set(SPACE.all_paths())
    assert all(WITH.check(path) for path in found)


@pytest.mark.parametrize(
    ("space", "text", "message"),
    [
        (WITH, "0|1", "path 0.1: expected a recipe, got none; was it evolved with search.recipes=false?"),
        (SPACE, "0|1@0.002,3,0.5", "expected no recipe, got 0.002,3,0.5; was it evolved with search.recipes=true?"),
        (WITH, "0|1@0.003,3,0.5", "recipe learning_rate: expected one of 0.0005, .*0.004, 0.008, got 0.003"),
    ],
)  # fmt: skip
def test_paths_of_another_space_are_refused(space, text, message):
    with pytest.raises(PathsearchError, match=message):
        space.check(Path.parse(text))


def test_recipes_are_drawn_uniformly():
    rng = random.Random(0)
    found = [WITH.check(WITH.random_path(rng)).recipe for _ in range(12_000)]
    counts = Counter(found)
    assert len(counts) == 120
    assert all(abs(n - 100) < 50 for n in counts.values())  # 100 ± 5 standard deviations of 10


def test_the_full_path_has_no_recipe():
    assert WITH.full_path() == SPACE.full_path()


# --- the operators --------------------------------------------------------------------------------------------------


@given(with_recipes, generators)
def test_mutation_stays_in_the_space(path, rng):
    for _ in range(20):
        before, path = path, WITH.check(mutate(path, WITH, rng))
        for name, choices in CHOICES.items():
            places = [choices.index(getattr(one.recipe, name)) for one in (before, path)]
            assert abs(places[0] - places[1]) <= 1, "one step at most"


@given(with_recipes, st.integers(0, 2**32))
def test_modules_mutate_as_without_a_recipe(path, seed):
    dressed, bare = mutate(path, WITH, random.Random(seed)), mutate(path.bare, SPACE, random.Random(seed))
    assert dressed.bare == bare


def test_each_gene_moves_one_time_in_three():
    rng, recipe, n = random.Random(0), Recipe(2e-3, 3.0, 0.25), 30_000  # no gene at an end of its choices
    found = [mutate_recipe(recipe, rng) for _ in range(n)]
    for own, each in zip(recipe.genes, zip(*(one.genes for one in found), strict=True), strict=True):
        counts = Counter(each)
        assert counts.pop(own) / n == pytest.approx(1 - RATE, abs=0.014)  # 5 sigma of 0.0027
        assert [count / n for count in counts.values()] == pytest.approx([RATE / 2, RATE / 2], abs=0.011)


def test_mutation_alone_favours_no_recipe():
    # The chance of a step from a to b is that from b to a, so all 120 end up equally likely, whatever the first.
    rng, recipe, counts = random.Random(0), Recipe(5e-4, 0.1, 0.0), Counter[tuple[str, float]]()
    for _ in range(60_000):
        recipe = mutate_recipe(recipe, rng)
        counts.update((name, getattr(recipe, name)) for name in CHOICES)
    for name, choices in CHOICES.items():
        shares = [counts[name, value] / 60_000 for value in choices]
        assert shares == pytest.approx([1 / len(choices)] * len(choices), abs=0.03)


def test_a_recipe_of_other_values_does_not_mutate():
    with pytest.raises(
        PathsearchError, match=r"weight_decay: expected one of 0.1, .*, got 2; was it evolved by another"
    ):
        mutate_recipe(Recipe(2e-3, 2.0, 0.5), random.Random(0))


@given(with_recipes, with_recipes, generators)
def test_crossover_conserves_the_genes(first, second, rng):
    one, other = crossover(first, second, rng)
    for a, b, c, d in zip(*(genes(path) for path in (first, second, one, other)), strict=True):
        assert (c, d) in {(a, b), (b, a)}
    assert WITH.check(one)
    assert WITH.check(other)


def genes(path: Path) -> list[object]:
    assert path.recipe is not None
    return [*path.layers, *astuple(path.recipe)]


@given(with_recipes, with_recipes, st.integers(0, 2**32))
def test_layers_cross_as_without_recipes(first, second, seed):
    dressed = crossover(first, second, random.Random(seed))
    assert tuple(child.bare for child in dressed) == crossover(first.bare, second.bare, random.Random(seed))


def test_every_recipe_gene_is_exchanged_by_a_fair_coin():
    rng, counts = random.Random(0), Counter[Recipe]()
    for _ in range(8000):
        counts[cross_recipes(Recipe(5e-4, 0.1, 0.0), Recipe(8e-3, 30.0, 0.75), rng)[0]] += 1
    assert len(counts) == 8
    assert all(abs(n - 1000) < 150 for n in counts.values())  # 1000 ± 5 standard deviations of 29.6


# --- the search -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", ["generational", "pathnet", "pareto"])
def test_the_search_finds_the_planted_recipe(planted, way, seed):
    worth = seasoned(seed)
    settings = settings_of(way, weights="fresh", recipes=True, population=32, generations=60)
    state = search(planted(worth), Ground(SPACE, size_of), settings, seed)
    assert Path.parse(state.hall_of_fame[0]).recipe == BEST
    assert_finds_the_best(state, WITH, worth, settings.pareto)
    assert all(WITH.check(Path.parse(text)) for text in [*state.visited, *state.population, *state.parents])


def test_a_search_without_recipes_does_not_find_it(planted):
    state = search(planted(seasoned(0)), Ground(SPACE, size_of), settings_of("generational"), 0)
    assert all(Path.parse(text).recipe is None for text in state.visited)
    with pytest.raises(AssertionError, match="but the best has"):
        assert_finds_the_best(state, WITH, seasoned(0))


@every_way
def test_a_search_goes_on_after_a_stop(planted, way):
    settings = settings_of(way, weights="fresh", recipes=True, generations=6)
    saved: list[SearchState] = []
    end = search(
        planted(seasoned(0)),
        Ground(SPACE, size_of),
        settings,
        0,
        None,
        lambda s: saved.append(SearchState(**s.to_dict())),
    )
    middle = SearchState(**{**saved[2].to_dict(), "log": saved[2].log[:3]})
    again = search(planted(seasoned(0)), Ground(SPACE, size_of), settings, 0, middle)
    assert (again.visited, again.population, again.hall_of_fame) == (end.visited, end.population, end.hall_of_fame)


# What searches visit, recipes or not: not one draw may differ, or runs could not be resumed. The first three are of
# the mutation that does not drift; `random` is as it was before there were recipes.
BEFORE = {
    "generational": "2967cbf25acb8e02",
    "pathnet": "d74a00029aaabef2",
    "pareto": "7b6395e0b407fb67",
    "random": "7e6dc6c91455ebc0",
}


@every_way
def test_without_recipes_every_draw_is_as_before(planted, way):
    state = search(planted(rugged(0)), Ground(Space(3, 8, 2), size_of), settings_of(way, generations=8), 0)
    text = "\n".join([*state.visited, *state.population, *state.parents, *state.hall_of_fame])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == BEFORE[way]
    assert set(BEFORE) == set(WAYS)


def test_steps_are_even():
    for name in ("learning_rate", "weight_decay"):
        steps = [math.log(high / low) for low, high in pairwise(CHOICES[name])]
        assert max(steps) - min(steps) < 0.15, "of the logarithm"
    assert {high - low for low, high in pairwise(CHOICES["dropout"])} == {0.25}


def test_recipes_of_many_tasks_are_counted_without_a_list_of_them():
    assert Space(1, 1, 1, recipes=True, tasks=3).n_paths == len(list(all_recipes(3)))
    assert Space(1, 1, 1, recipes=True, tasks=40).n_paths == 5 * 6 * 4 * 2 * 5**39
