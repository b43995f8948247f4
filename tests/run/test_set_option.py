"""`--set`: any setting by name, read as its type and checked like any other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from data_prep.errors import PathsearchError
from pathsearch.run.settings import (
    RunSettings,
    with_settings,
)

# --- --set --------------------------------------------------------------------------------------------------

SECTIONS = ("encoder", "grid", "search", "training")


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("training.epochs=20", 20),
        ("search.learning_rate=0.01", 0.01),
        ("search.learning_rate=1e-3", 1e-3),
        ("search.learning_rate=1", 1.0),
        ("search.pareto=true", True),
        ("search.preset=pathnet", "pathnet"),
        ("encoder.weights=a=b.pth", "a=b.pth"),
        ("encoder.weights=7", "7"),
        ("search.target=0.9", 0.9),
        ("search.plateau=5", 5),
        ("search.plateau=null", None),
        ("search.target=null", None),
        ("training.threshold=sensitivity:0.9", "sensitivity:0.9"),
    ],
)
def test_set_reads_the_value_as_the_present_ones_type(plain, assignment, expected):
    section, _, name = assignment.partition("=")[0].partition(".")
    changed = with_settings(plain, [assignment])
    got = getattr(getattr(changed, section), name)
    assert got == expected
    assert type(got) is type(expected)
    values, before = changed.to_dict(), plain.to_dict()
    del values[section][name], before[section][name]
    assert values == before  # and nothing else


def test_set_leaves_the_given_settings_alone(plain):
    before = plain.to_dict()
    changed = with_settings(plain, ["grid.width=32", "training.epochs=6"])
    assert (changed.training.epochs, changed.grid.width) == (6, 32)
    assert plain.to_dict() == before
    assert with_settings(plain, []) == plain


@pytest.mark.parametrize(
    ("assignment", "expected", "got"),
    [
        ("training.epochs=20.5", "a value like {default}", "20.5"),
        ("training.epochs=many", "a value like {default}", "many"),
        ("training.epochs=", "a value like {default}", ""),
        ("training.epochs", "a value like {default}", ""),
        ("training.epochs=true", "a value like {default}", "true"),
        ("training.epochs=null", "a value like {default}", "null"),
        ("search.pareto=1", "a value like {default}", "1"),
        ("search.pareto=yes", "a value like {default}", "yes"),
        ("search.learning_rate=true", "a value like {default}", "true"),
        ("search.learning_rate=fast", "a value like {default}", "fast"),
        ("search.learning_rate=[1]", "a value like {default}", "[1]"),
        ("search.target=high", "a number or null", "high"),
        ("search.target=true", "a number or null", "true"),
        ('search.plateau="5"', "a number or null", '"5"'),
        ("search.plateau=", "a number or null", ""),
    ],
)
def test_set_refuses_a_value_of_another_type(plain, assignment, expected, got):
    key = assignment.partition("=")[0]
    section, _, name = key.partition(".")
    default = json.dumps(getattr(getattr(plain, section), name))
    with pytest.raises(PathsearchError) as raised:
        with_settings(plain, [assignment])
    assert str(raised.value) == f"--set {key}: expected {expected.format(default=default)}, got {got!r}"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "training.epoch=3",
            r"--set training\.epoch=3: unknown setting 'training\.epoch'; did you mean training\.epochs",
        ),
        ("serch.steps=3", r"unknown setting 'serch\.steps'; did you mean search\.steps\?"),
        ("epochs=3", r"unknown setting 'epochs'; did you mean training\.epochs\?"),
        ("dropout=0", r"unknown setting 'dropout'; did you mean search\.dropout or training\.dropout\?"),
        ("zzz=3", r"unknown setting 'zzz'; settings: encoder\.name, .*training\.threshold"),
        ("seed=3", "unknown setting 'seed'"),
        ("task.name=x", r"unknown setting 'task\.name'"),
        ("=3", "unknown setting ''"),
    ],
)
def test_set_of_an_unknown_setting_is_refused(plain, assignment, message):
    with pytest.raises(PathsearchError, match=message):
        with_settings(plain, [assignment])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.dropout=1.5", r"dropout: expected a share in \[0, 1\), got 1\.5"),
        ("search.preset=best", "preset: expected one of generational, pathnet, random; got 'best'"),
        ("search.learning_rate=NaN", "--set search.learning_rate: expected a value like 0.002, got 'NaN'"),
        ("grid.n_modules=0", "n_modules: expected a number in \\[1, 1000\\], got 0"),
        ("search.recipes=true", "recipes: expected weights=fresh beside recipes=true, got weights=shared: .*add --set"),
    ],
)
def test_set_values_are_checked_like_any_other(plain, assignment, message):
    with pytest.raises(PathsearchError, match=message):
        with_settings(plain, [assignment])


def test_recipes_with_fresh_weights(plain):
    found = with_settings(plain, ["search.recipes=true", "search.weights=fresh"])  # in whatever order
    assert found.search.recipes
    assert RunSettings.from_dict(found.to_dict()) == found
    older = found.to_dict()
    del older["search"]["recipes"]  # a run from before there were recipes
    assert not RunSettings.from_dict(older).search.recipes


def every_setting() -> list[tuple[str, Any]]:
    values = RunSettings("t", "s").to_dict()
    return [(f"{part}.{name}", value) for part in SECTIONS for name, value in values[part].items() if name != "plugins"]


@pytest.mark.parametrize(("key", "value"), every_setting())
def test_every_setting_can_be_set_to_what_it_is(plain, key, value):
    beside = {  # without which it has no effect
        "encoder.random_seed": ["encoder.weights=random"],
        "search.balance_strength": ["search.balance=true"],
        "training.balance_strength": ["training.balance=true"],
    }.get(key, [])
    text = value if isinstance(value, str) else json.dumps(value)
    assert with_settings(plain, [f"{key}={text}", *beside]) == with_settings(plain, beside)
