"""Paths as values, the space they lie in, and the two operators that vary them."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from drawn_paths import cases
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import PathsearchError
from pathsearch.grid.path import Path, Space, crossover, mutate

# --- the value ----------------------------------------------------------------------------------------------


@given(cases())
def test_text_round_trip(case):
    _, [path], _ = case
    assert Path.parse(str(path)) == path


def test_printed_form():
    assert str(Path(((0, 3), (1,), (2, 4)))) == "0+3|1|2+4"
    assert Path.parse("3+0|1|4+2+4") == Path(((0, 3), (1,), (2, 4)))


@given(cases(), st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(case, shuffler):
    _, [path], _ = case
    layers = [list(layer) * 2 for layer in path.layers]
    for layer in layers:
        shuffler.shuffle(layer)
    again = Path.of(layers)
    assert again == path
    assert hash(again) == hash(path)
    assert len({again, path}) == 1


def test_paths_sort_by_their_layers():
    texts = ["1|0", "0+1|2", "0|2", "0|1"]
    assert [str(path) for path in sorted(map(Path.parse, texts))] == ["0|1", "0|2", "0+1|2", "1|0"]


def test_a_path_cannot_be_changed():
    with pytest.raises(AttributeError):
        Path.parse("0|1").layers = ((1,),)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (((0,), ()), "layer 1: expected at least one active module, got none"),
        (((0,), (1, 1)), r"layer 1: expected distinct module indices from 0 in rising order, got \(1, 1\)"),
        (((2, 1),), r"layer 0: .*rising order, got \(2, 1\)"),
        (((-1, 1),), r"layer 0: .*from 0 in rising order, got \(-1, 1\)"),
    ],
)
def test_what_is_no_path_is_refused(layers, message):
    with pytest.raises(PathsearchError, match=message):
        Path(layers)


@pytest.mark.parametrize("text", ["", "0|", "0+|1", "a|b", "0,1|2", "0.5|1"])
def test_text_that_is_no_path_is_refused(text):
    with pytest.raises(PathsearchError, match="expected a form like") as raised:
        Path.parse(text)
    assert repr(text) in str(raised.value)


def test_negative_index_in_text_names_the_layer():
    with pytest.raises(PathsearchError, match="layer 1: expected distinct module indices from 0"):
        Path.parse("0|-2")


def test_subpaths_by_hand():
    found = {str(path) for path in Path.parse("0+2|1").subpaths()}
    assert found == {"0|1", "2|1", "0+2|1"}
    assert len(Path.parse("0+1+2|3+4|5").subpaths()) == 7 * 3 * 1  # 2^k - 1 non-empty subsets of each layer


# --- the space ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n_layers", "n_modules", "max_active"])
def test_empty_space_is_refused(name):
    sizes = {"n_layers": 2, "n_modules": 3, "max_active": 1} | {name: 0}
    with pytest.raises(PathsearchError, match=f"{name}: expected at least 1, got 0"):
        Space(**sizes)


def test_more_active_than_there_are_is_refused():
    with pytest.raises(PathsearchError, match="max_active: expected at most n_modules=3, got 4"):
        Space(2, 3, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0|1|2", r"path 0\|1\|2: expected 2 layers, got 3"),
        ("0|4", r"layer 1 uses module 4, but this grid has 4 modules \(0 to 3\); was it evolved on a larger grid\?"),
        ("0+1+2|3", "layer 0 has 3 active modules, but at most 2 may be"),
    ],
)
def test_path_of_another_space_is_refused(text, message):
    with pytest.raises(PathsearchError, match=message):
        Space(2, 4, 2).check(Path.parse(text))


def test_all_paths_are_all_and_each_once():
    space = Space(2, 4, 2)
    found = space.all_paths()
    assert len(found) == len(set(found)) == (math.comb(4, 1) + math.comb(4, 2)) ** 2  # (4 + 6)² = 100
    assert all(space.check(path) for path in found)


@given(cases())
def test_random_paths_lie_in_the_space(case):
    space, _, rng = case
    assert space.check(space.random_path(rng))


def test_random_paths_reach_every_path():
    space, rng = Space(2, 3, 2), random.Random(0)
    assert {space.random_path(rng) for _ in range(1000)} == set(space.all_paths())


def test_number_of_active_modules_is_drawn_uniformly():
    space, rng = Space(1, 10, 3), random.Random(0)
    counts = Counter(len(space.random_path(rng).layers[0]) for _ in range(9000))
    assert sorted(counts) == [1, 2, 3]
    assert all(abs(n - 3000) < 200 for n in counts.values())  # 3000 ± 4.5 standard deviations of 44.7


def test_full_path_is_not_bound_by_the_number_of_active():
    assert str(Space(2, 3, 1).full_path()) == "0+1+2|0+1+2"


# --- mutation -----------------------------------------------------------------------------------------------


@given(cases())
def test_mutation_stays_in_the_space(case):
    space, [path], rng = case
    for _ in range(20):
        path = space.check(mutate(path, space, rng))


@given(cases())
def test_mutation_draws_from_its_generator_only(case):
    space, [path], rng = case
    state, before = rng.getstate(), random.getstate()
    child = mutate(path, space, rng)
    rng.setstate(state)
    assert mutate(path, space, rng) == child
    assert random.getstate() == before


def shares(text: str, space: Space, n: int = 20_000) -> dict[str, float]:
    rng, path = random.Random(1), Path.parse(text)
    counts = Counter(str(mutate(path, space, rng)) for _ in range(n))
    return {child: number / n for child, number in counts.items()}


def test_a_gene_moves_by_one_or_two_places_each_way():
    # L·N = 1, so the only gene always changes; it is the last, so it cannot be dropped.
    found = shares("5", Space(1, 10, 1))
    assert found == pytest.approx({"3": 0.25, "4": 0.25, "6": 0.25, "7": 0.25}, abs=0.015)  # 0.015: 5 sigma


@pytest.mark.parametrize(("text", "expected"), [("0", {"1", "2", "8", "9"}), ("9", {"7", "8", "0", "1"})])
def test_moves_wrap_around_the_layer(text, expected):
    assert set(shares(text, Space(1, 10, 1), 200)) == expected


def test_a_gene_is_added_or_moves():
    # L·N = 2: each of two places fires with 1/2. A change of one gene adds with 1/3 and moves with 2/3 (it cannot be
    # dropped); of two, it moves with 2/3 and drops with 1/3. Two genes at the end: one change, 2 · 1/4 · 1/3 = 1/6;
    # two changes, 1/4 · (1/3 · 2/3 + 2/3 · 1/3) = 1/9.
    found = shares("0", Space(1, 10, 2))
    assert sum(share for child, share in found.items() if "+" in child) == pytest.approx(1 / 6 + 1 / 9, abs=0.016)


def test_a_gene_is_dropped_but_never_the_last():
    # Mirror image of the test above: by detailed balance of the numbers, 2 → 1 is as likely as 1 → 2.
    found = shares("0+5", Space(1, 10, 2))
    assert sum(share for child, share in found.items() if "+" not in child) == pytest.approx(1 / 6 + 1 / 9, abs=0.016)


def test_a_gene_does_not_land_on_an_active_one():
    # All three modules are active: a move has nowhere to go, so at first genes can only be dropped.
    found = shares("0+1+2", Space(1, 3, 3), 3000)
    assert found["0+1+2"] > 0.5
    assert set(found) == {"0+1+2", "0+1", "0+2", "1+2", "0", "1", "2"}


def test_about_one_gene_changes():
    # Nine places, each with 1/9: no change with (8/9)^9 = 0.346; by chance two changes undo each other, with less
    # than 0.01.
    found = shares("0+3+6|0+3+6|0+3+6", Space(3, 10, 3))
    assert found["0+3+6|0+3+6|0+3+6"] == pytest.approx(0.346, abs=0.025)


def test_mutation_can_reach_every_path():
    space, rng = Space(2, 4, 2), random.Random(0)
    path, seen = Path.parse("0|0"), set()
    for _ in range(8000):
        path = mutate(path, space, rng)
        seen.add(path)
    assert seen == set(space.all_paths())


# --- crossover ----------------------------------------------------------------------------------------------


@given(cases(n_paths=2))
def test_children_have_the_parents_layers_between_them(case):
    space, [first, second], rng = case
    one, other = crossover(first, second, rng)
    for a, b, c, d in zip(first.layers, second.layers, one.layers, other.layers, strict=True):
        assert (c, d) in {(a, b), (b, a)}
    assert space.check(one)
    assert space.check(other)


@given(cases())
def test_equal_parents_have_equal_children(case):
    _, [path], rng = case
    assert crossover(path, path, rng) == (path, path)


def test_every_layer_is_exchanged_by_a_fair_coin():
    first, second, rng = Path.parse("0|0|0"), Path.parse("1|1|1"), random.Random(0)
    counts = Counter(str(crossover(first, second, rng)[0]) for _ in range(8000))
    assert len(counts) == 8
    assert all(abs(n - 1000) < 150 for n in counts.values())  # 1000 ± 5 standard deviations of 29.6
