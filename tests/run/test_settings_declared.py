"""Every setting is declared once: with help, a reason and bounds, which are enforced; planted faults are seen."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import refused

from data_prep.errors import PathsearchError
from pathsearch.run.declared import Declared, Setting, declared, setting
from pathsearch.run.setting_checks import check_settings, fits
from pathsearch.run.settings import DECLARED, SECTIONS, WITH_OPTIONS, RunSettings, with_settings

OWNERS: dict[str, Any] = {"": lambda **values: RunSettings("t", "s", **values), **SECTIONS}
ALL = list(DECLARED.values())
BOUNDED = [one for one in ALL if one.said.low is not None or one.said.high is not None or one.said.below is not None]


def by_key(one: Any) -> str:
    return getattr(one, "key", repr(one))


def outside(one: Declared) -> st.SearchStrategy[Any]:
    """Values of the setting's type that its bounds exclude."""
    said, ways = one.said, []
    if one.kind is int:
        ways += [st.integers(max_value=int(said.low) - 1)] if said.low is not None else []
        ways += [st.integers(min_value=int(said.high) + 1)] if said.high is not None else []
    else:
        some = {"allow_nan": False, "allow_infinity": False}
        ways += [st.floats(max_value=said.low, exclude_max=True, **some)] if said.low is not None else []
        ways += [st.floats(min_value=said.high, exclude_min=True, **some)] if said.high is not None else []
        ways += [st.floats(min_value=said.below, **some)] if said.below is not None else []
    return st.one_of(ways)


def check_bound(owner: Any, one: Declared, value: Any) -> None:
    with refused(f"^{one.name}: expected {re.escape(one.said.bounds)}, got {re.escape(str(value))}"):
        owner(**{one.name: value})


# --- what a declaration says ----------------------------------------------------------------------------------------


def test_every_field_of_every_section_is_a_setting():
    assert set(DECLARED) == {"seed"} | {f"{name}.{one.name}" for name, part in SECTIONS.items() for one in fields(part)}
    assert [one.key for one in ALL if one.said.apart] == ["grid.plugins"]


@pytest.mark.parametrize("one", ALL, ids=by_key)
def test_help_and_reason_are_short_sentences(one):
    said = one.said
    assert said.help.endswith("."), "a sentence"
    assert not said.why.endswith("."), "a phrase that goes on"
    for text in (said.help, said.why):
        assert text.isascii(), "terminals and files of any encoding show it"
        assert "\n" not in text
        assert "[" not in text, "terminals would read it as markup"
        assert 3 <= len(text) <= 130
    if said.choices:
        assert all(choice in said.help for choice in said.choices), "help names every choice"


@pytest.mark.parametrize("one", ALL, ids=by_key)
def test_the_default_is_of_its_type(one):
    assert fits(one.default, one.kind) or (one.optional and one.default is None)


def test_no_option_is_given_twice():
    names = [name for one in ALL for name in (one.said.option, one.said.older) if name]
    assert len(names) == len(set(names)) == 18
    assert all(re.fullmatch("--[a-z]+(-[a-z]+)*", name) for name in names)
    assert set(WITH_OPTIONS["compare"]) < set(WITH_OPTIONS["evolve"]) == set(SECTIONS)
    assert "together" in WITH_OPTIONS["train"]


@pytest.mark.parametrize(("help", "why"), [("", "the paper's"), ("Layers.", ""), (" ", "x"), ("x", "\n")])
def test_a_declaration_without_help_or_reason_is_refused(help, why):
    with pytest.raises(TypeError, match="a setting needs help and a reason, got help="):
        setting(1, help, why)


def test_a_field_of_a_section_without_a_declaration_is_refused():
    @dataclass(frozen=True)
    class Part:
        layers: int = setting(3, "Layers.", "the paper's")
        colour: str = "blue"

    with pytest.raises(TypeError, match=r"Part\.colour: no help and no reason; declare it with `setting`"):
        declared(Part, "part")


# --- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", BOUNDED, ids=by_key)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_every_bound_is_enforced(one, data):
    check_bound(OWNERS[one.section], one, data.draw(outside(one)))


@pytest.mark.parametrize("one", BOUNDED, ids=by_key)
def test_the_bounds_themselves_are_taken(one):
    beside = {"max_active": 1} if one.name == "n_modules" else {}  # of which there cannot be more
    beside |= {"weights": "fresh"} if one.name == "folds" else {}
    said = one.said
    inside = [said.low, said.high, None if said.below is None else math.nextafter(said.below, 0)]
    for value in inside:
        if value is not None:
            assert getattr(OWNERS[one.section](**{one.name: one.kind(value)}, **beside), one.name) == value


@pytest.mark.parametrize("one", [one for one in ALL if one.said.choices], ids=by_key)
@given(other=st.text(max_size=9))
@settings(max_examples=20, deadline=None)
def test_only_choices_are_taken(one, other):
    if other not in one.said.choices:
        with refused(f"^{one.told}: expected one of {', '.join(one.said.choices)}; got "):
            OWNERS[one.section](**{one.name: other})
    for choice in one.said.choices:
        assert getattr(OWNERS[one.section](**{one.name: choice}), one.name) == choice


@pytest.mark.parametrize("one", [one for one in ALL if one.kind is int], ids=by_key)
@given(huge=st.integers(2**63, 2**80))
@settings(max_examples=10, deadline=1000)
def test_no_whole_number_may_be_huge(one, huge):
    """Refused at once and in one line, by a bound of its own or by what it counts in."""
    with refused(f"^{one.name}: expected .*, got {huge}"):
        OWNERS[one.section](**{one.name: huge})
    with refused(f"^{one.name}: expected .*, got {huge}"):
        with_settings(RunSettings("t", "s"), [], {one.key: ("--x", huge)})


def test_numbers_without_bounds_are_none():
    assert [one.key for one in ALL if one.kind in (int, float) and one not in BOUNDED] == []
    assert len(BOUNDED) > 30


def test_a_bound_that_nothing_enforces_is_seen():
    @dataclass(frozen=True)
    class Lax:
        layers: int = setting(3, "Layers.", "the paper's", low=1)

    @dataclass(frozen=True)
    class Strict(Lax):
        def __post_init__(self) -> None:
            check_settings(self)

    (one,) = declared(Lax, "part")
    check_bound(Strict, one, 0)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_bound(Lax, one, 0)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"low": 2}, "at least 2"),
        ({"low": 0, "high": 1}, "a share in [0, 1]"),
        ({"low": 0, "below": 1}, "a share in [0, 1)"),
        ({"low": 2, "high": 9}, "a number in [2, 9]"),
        ({"low": 0, "high": 1, "ends": ("none", "all")}, "0 (none) to 1 (all)"),
        ({"choices": ("a", "b")}, "one of a, b"),
        ({"like": "a or b:N"}, "a or b:N"),
        ({}, ""),
    ],
)
def test_bounds_in_words(said, words):
    assert Setting("Help.", "why", **said).bounds == words


def test_numbers_too_large_for_a_float_are_none():
    """Asking a whole number of a thousand digits whether it is finite is an error in Python."""
    assert not fits(10**400, float)
    assert fits(10**300, float)
    with pytest.raises(PathsearchError, match=r"^learning_rate: expected a finite number, got 1000"):
        SECTIONS["search"](learning_rate=10**400)
