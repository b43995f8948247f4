"""Settings: checked when made, changed by `--set`, saved and read back."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_world import refused

from data_prep.errors import PathsearchError
from pathsearch.grid.vocabulary import vocabulary
from pathsearch.run.settings import (
    EncoderSettings,
    GridSettings,
    RunSettings,
    SearchSettings,
    TrainingSettings,
    parse_threshold,
    with_settings,
)

PARTS = {"encoder": EncoderSettings, "grid": GridSettings, "search": SearchSettings, "training": TrainingSettings}


@pytest.fixture
def run() -> RunSettings:
    return RunSettings("ecg", "random")


# --- refusals, each with what was expected and what was given -----------------------------------------------

TOO_SMALL = [
    (EncoderSettings, "image_size", 31, 32),
    (EncoderSettings, "map_size", 0, 1),
    (EncoderSettings, "taps", 0, 1),
    (TrainingSettings, "images_per_class", 1, 2),
    *((GridSettings, name, 0, 1) for name in ("n_layers", "n_modules", "max_active", "width")),
    *((SearchSettings, name, 1, 2) for name in ("population", "tournament")),
    *(
        (SearchSettings, name, 0, 1)
        for name in ("generations", "hall_of_fame", "steps", "batch_size", "plateau", "snapshots", "folds")
    ),
    (EncoderSettings, "random_seed", -1, 0),
    *((SearchSettings, name, -1, 0) for name in ("elite", "rungs", "warmup", "learning_rate", "weight_decay")),
    *((TrainingSettings, name, 0, 1) for name in ("epochs", "patience", "batch_size", "views", "finalists")),
    *((TrainingSettings, name, -1, 0) for name in ("learning_rate", "weight_decay", "random_paths")),
]


@pytest.mark.parametrize(("part", "name", "bad", "low"), TOO_SMALL)
def test_too_small_is_refused(part, name, bad, low):
    with pytest.raises(PathsearchError, match=f"^{name}: expected at least {low}, got {bad}; choose a larger number$"):
        part(**{name: bad})
    beside = {"max_active": 1} if name == "n_modules" else {}  # of which there cannot be more
    part(**{name: low, **beside})


@pytest.mark.parametrize("part", [SearchSettings, TrainingSettings])
def test_nan_is_refused(part):
    with pytest.raises(PathsearchError, match=r"^learning_rate: expected a finite number, got nan$"):
        part(learning_rate=float("nan"))
    with pytest.raises(PathsearchError, match=r"^dropout: expected a finite number, got nan$"):
        part(dropout=float("nan"))


def numbers() -> list[tuple[Any, str, Any]]:
    """Every setting that is a number: its class, name and type."""
    found = []
    for part in (*PARTS.values(), RunSettings):
        for name, hint in get_type_hints(part).items():
            kinds = set(getattr(hint, "__args__", (hint,)))
            found += [(part, name, kind) for kind in (int, float) if kind in kinds]
    return found


BAD = [math.nan, math.inf, -math.inf, -1, 0, 1e308, True, "x"]
MAY_BE_NOUGHT = {
    "random_seed", "seed", "crossover", "elite", "rungs", "warmup", "learning_rate", "weight_decay", "dropout",
    "average", "balance_strength", "target", "label_smoothing", "random_paths",
}  # fmt: skip
MAY_BE_HUGE = {"learning_rate", "weight_decay"}  # the training then says that its loss is none


@pytest.mark.parametrize("bad", BAD, ids=repr)
@pytest.mark.parametrize(("part", "name", "kind"), numbers(), ids=lambda value: getattr(value, "__name__", value))
def test_no_number_takes_what_is_none_of_its_kind(part, name, kind, bad):
    required = {"task": "t", "split": "s"} if part is RunSettings else {}
    if (type(bad) is int and bad == 0 and name in MAY_BE_NOUGHT) or (bad == 1e308 and name in MAY_BE_HUGE):
        assert getattr(part(**required, **{name: bad}), name) == bad
        return
    with refused(rf"^{name}: expected .*got {re.escape(repr(bad))}"):
        part(**required, **{name: bad})


def test_the_table_of_numbers_has_all():
    assert {"learning_rate", "population", "target", "plateau", "images_per_class", "seed", "taps"} <= {
        name for _, name, _ in numbers()
    }
    assert len(numbers()) > 40


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "-1", "1e308", "true", "x"])
@pytest.mark.parametrize(("part", "name", "kind"), numbers(), ids=lambda value: getattr(value, "__name__", value))
def test_set_takes_no_number_that_is_none(run, part, name, kind, text):
    if part is RunSettings or (text == "1e308" and name in MAY_BE_HUGE):
        return
    section = next(key for key, one in PARTS.items() if one is part)
    others = {"encoder.random_seed": ["encoder.weights=random"], "search.balance_strength": ["search.balance=true"]}
    key = f"{section}.{name}"
    with refused(f"{name}: expected"):
        with_settings(run, [f"{key}={text}", *others.get(key, [])])


@pytest.mark.parametrize(("part", "name"), [(SearchSettings, "pareto"), (GridSettings, "modules")])
def test_truth_values_and_texts_are_checked_too(part, name):
    with refused(f"^{name}: expected (true or false|text), got 1$"):
        part(**{name: 1})


SHARES = [
    *((SearchSettings, n) for n in ("dropout", "average")),
    *((TrainingSettings, n) for n in ("dropout", "label_smoothing", "average")),
]


@pytest.mark.parametrize(("part", "name"), SHARES)
@pytest.mark.parametrize("bad", [-0.1, 1.0])
def test_what_is_no_share_is_refused(part, name, bad):
    with pytest.raises(PathsearchError, match=rf"{name}: expected a share in \[0, 1\), got {bad}"):
        part(**{name: bad})
    part(**{name: 0.0})


@pytest.mark.parametrize(
    ("part", "name", "choices"),
    [
        (GridSettings, "modules", "mixed, paper"),
        (EncoderSettings, "precision", "float32, bfloat16"),
        (SearchSettings, "preset", "generational, pathnet, random"),
        (SearchSettings, "weights", "shared, fresh"),
        (SearchSettings, "fitness", "accuracy, balanced_accuracy, auc"),
    ],
)
def test_unknown_choice_is_refused_and_every_choice_is_taken(part, name, choices):
    with pytest.raises(PathsearchError, match=f"{name}: expected one of {choices}; got 'other'"):
        part(**{name: "other"})
    for choice in choices.split(", "):
        assert getattr(part(**{name: choice}), name) == choice


def test_images_of_a_class_are_whole():
    with pytest.raises(PathsearchError, match=r"images_per_class: expected a whole number or null, got 50\.5"):
        TrainingSettings(images_per_class=50.5)  # type: ignore[arg-type]
    assert TrainingSettings(images_per_class=50).images_per_class == 50


@pytest.mark.parametrize("section", [SearchSettings, TrainingSettings])
@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_the_strength_of_the_balance_is_between_none_and_full(section, strength):
    with pytest.raises(PathsearchError, match=r"balance_strength: expected 0 \(images weigh alike\) to 1"):
        section(balance_strength=strength)
    assert section(balance_strength=0.5).balance_strength == 0.5


def test_crossover_may_be_one_but_not_more():
    assert SearchSettings(crossover=1.0).crossover == 1.0
    with pytest.raises(PathsearchError, match=r"crossover: expected a share in \[0, 1\], got 1\.5"):
        SearchSettings(crossover=1.5)


def test_an_elite_of_everyone_is_refused():
    with pytest.raises(PathsearchError, match="elite: expected fewer than population=8, got 8"):
        SearchSettings(population=8, elite=8)
    assert SearchSettings(population=8, elite=7).elite == 7


def test_the_default_elite_follows_a_small_population(run):
    assert [SearchSettings(population=n).elite for n in (2, 3, 64)] == [1, 2, 2]
    two = {"search.population": ("--population", 2)}
    assert with_settings(run, [], two).search.elite == 1
    assert with_settings(run, ["search.elite=1"], two).search.elite == 1
    assert with_settings(run, ["search.elite=0"], two).search.elite == 0
    with refused("^elite: expected fewer than population=2, got 2$"):
        with_settings(run, ["search.elite=2"], two)


def test_options_and_assignments_are_checked_together(run):
    """Neither stands alone: NSGA-II wants a multiple of four, few rungs a small population."""
    options = {"search.pareto": ("--pareto", True), "search.population": ("--population", 8)}
    assert with_settings(run, ["search.rungs=8"], options).search.population == 8
    with refused("^rungs: expected at most population=8, got 9$"):
        with_settings(run, ["search.rungs=9"], options)
    with refused("^population: NSGA-II expects a multiple of 4, got 10$"):
        with_settings(run, ["search.population=10"], {"search.pareto": ("--pareto", True)})
    with refused("^--set search.population=10: --population is given too; leave out one of them$"):
        with_settings(run, ["search.population=10"], options)


def test_no_layer_may_have_more_active_modules_than_it_has(run):
    with refused("^max_active: expected at most n_modules=2, got 3; lower it, or raise n_modules$"):
        with_settings(run, ["grid.n_modules=2"])
    assert with_settings(run, ["grid.n_modules=2", "grid.max_active=2"]).grid.max_active == 2


def test_a_setting_is_given_once(run):
    with refused("^--set search.steps=6: --set search.steps=5 is given too; leave out one of them$"):
        with_settings(run, ["search.steps=5", "search.elite=1", "search.steps=6"])


def test_plug_ins_have_an_option(run):
    with refused(r"^--set grid.plugins=\[\]: expected plug-ins by an option of their own; give --plugin FILE$"):
        with_settings(run, ["grid.plugins=[]"])


@pytest.mark.parametrize("settings", [EncoderSettings(), GridSettings(), SearchSettings(), TrainingSettings()])
def test_settings_cannot_be_changed(settings):
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.name = "x"


def test_every_named_vocabulary_exists():
    for name in ("mixed", "paper"):
        assert GridSettings(modules=name)
        vocabulary(name, 3, 10, (8, 2, 2), 8)


# --- threshold rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "parsed"),
    [("argmax", ("argmax", 0)), ("balanced", ("balanced", 0)), ("sensitivity:0.95", ("sensitivity", 0.95))],
)
def test_threshold_rules(rule, parsed):
    assert parse_threshold(rule) == parsed
    assert TrainingSettings(threshold=rule).threshold == rule


@pytest.mark.parametrize(
    "rule", ["", "sensitivity", "sensitivity:", "sensitivity:0", "sensitivity:1", "sensitivity:nan"]
)
@pytest.mark.parametrize("suffix", ["", "x"])
def test_what_is_no_threshold_rule_is_refused(rule, suffix):
    with pytest.raises(PathsearchError, match=r"threshold: expected argmax, balanced or sensitivity:S .*got") as raised:
        TrainingSettings(threshold=rule + suffix)
    assert repr(rule + suffix) in str(raised.value)


@pytest.mark.parametrize("rule", ["argmax:0.5", "balanced:1", "specificity:0.9"])
def test_rules_without_a_number_take_none(rule):
    with pytest.raises(PathsearchError, match="threshold: expected argmax"):
        parse_threshold(rule)


# --- saved and read back ------------------------------------------------------------------------------------


@st.composite
def run_settings(draw: st.DrawFn) -> RunSettings:
    share = st.floats(0, 1, exclude_max=True)
    return RunSettings(
        task=draw(st.text(min_size=1)),
        split=draw(st.sampled_from(["random", "patient"])),
        seed=draw(st.integers(0, 2**63)),
        encoder=EncoderSettings("resnet18", draw(st.text()), draw(st.integers(32, 512))),
        grid=GridSettings(
            draw(st.integers(1, 5)), draw(st.integers(3, 20)), modules=draw(st.sampled_from(["mixed", "paper"]))
        ),
        search=SearchSettings(
            4 * draw(st.integers(1, 250)),
            dropout=draw(share),
            learning_rate=draw(st.floats(0, 1)),
            target=draw(st.none() | st.floats(0, 1)),
            plateau=draw(st.none() | st.integers(1, 9)),
            pareto=draw(st.booleans()),
        ),
        training=TrainingSettings(average=draw(share), threshold="sensitivity:0.9"),
        grown_from=draw(st.none() | st.text()),
    )


@given(run_settings())
def test_round_trip_through_json(settings):
    assert RunSettings.from_dict(json.loads(json.dumps(settings.to_dict(), allow_nan=False))) == settings


def test_unknown_keys_are_refused(run):
    with pytest.raises(PathsearchError, match=r"config\.json: unknown key 'colour' in RunSettings; was it written by"):
        RunSettings.from_dict(run.to_dict() | {"colour": 1})
    for part, cls in PARTS.items():
        values = run.to_dict()
        values[part]["colour"] = 1
        with pytest.raises(PathsearchError, match=f"unknown key 'colour' in {cls.__name__}"):
            RunSettings.from_dict(values)


def test_values_are_checked_when_read_back(run):
    values = run.to_dict()
    values["grid"]["n_layers"] = 0
    with pytest.raises(PathsearchError, match="n_layers: expected at least 1, got 0"):
        RunSettings.from_dict(values)


def test_keys_of_an_older_version_may_be_absent(run):
    values = run.to_dict()
    del values["training"]["threshold"]
    assert RunSettings.from_dict(values) == run


# --- --set --------------------------------------------------------------------------------------------------


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
def test_set_reads_the_value_as_the_present_ones_type(run, assignment, expected):
    section, _, name = assignment.partition("=")[0].partition(".")
    changed = with_settings(run, [assignment])
    got = getattr(getattr(changed, section), name)
    assert got == expected
    assert type(got) is type(expected)
    values, before = changed.to_dict(), run.to_dict()
    del values[section][name], before[section][name]
    assert values == before  # and nothing else


def test_set_leaves_the_given_settings_alone(run):
    before = run.to_dict()
    changed = with_settings(run, ["grid.width=32", "training.epochs=6"])
    assert (changed.training.epochs, changed.grid.width) == (6, 32)
    assert run.to_dict() == before
    assert with_settings(run, []) == run


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
def test_set_refuses_a_value_of_another_type(run, assignment, expected, got):
    key = assignment.partition("=")[0]
    section, _, name = key.partition(".")
    default = json.dumps(getattr(getattr(run, section), name))
    with pytest.raises(PathsearchError) as raised:
        with_settings(run, [assignment])
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
def test_set_of_an_unknown_setting_is_refused(run, assignment, message):
    with pytest.raises(PathsearchError, match=message):
        with_settings(run, [assignment])


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.dropout=1.5", r"dropout: expected a share in \[0, 1\), got 1\.5"),
        ("search.preset=best", "preset: expected one of generational, pathnet, random; got 'best'"),
        ("search.learning_rate=NaN", "--set search.learning_rate: expected a value like 0.002, got 'NaN'"),
        ("grid.n_modules=0", "n_modules: expected at least 1, got 0"),
        ("search.recipes=true", "recipes: expected weights=fresh beside recipes=true, got weights=shared: .*add --set"),
    ],
)
def test_set_values_are_checked_like_any_other(run, assignment, message):
    with pytest.raises(PathsearchError, match=message):
        with_settings(run, [assignment])


def test_recipes_with_fresh_weights(run):
    found = with_settings(run, ["search.recipes=true", "search.weights=fresh"])  # in whatever order
    assert found.search.recipes
    assert RunSettings.from_dict(found.to_dict()) == found
    older = found.to_dict()
    del older["search"]["recipes"]  # a run from before there were recipes
    assert not RunSettings.from_dict(older).search.recipes


def every_setting() -> list[tuple[str, Any]]:
    values = RunSettings("t", "s").to_dict()
    return [(f"{part}.{name}", value) for part in PARTS for name, value in values[part].items() if name != "plugins"]


@pytest.mark.parametrize(("key", "value"), every_setting())
def test_every_setting_can_be_set_to_what_it_is(run, key, value):
    beside = {  # without which it has no effect
        "encoder.random_seed": ["encoder.weights=random"],
        "search.balance_strength": ["search.balance=true"],
        "training.balance_strength": ["training.balance=true"],
    }.get(key, [])
    text = value if isinstance(value, str) else json.dumps(value)
    assert with_settings(run, [f"{key}={text}", *beside]) == with_settings(run, beside)
