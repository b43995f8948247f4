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
from pathsearch.grid.vocabulary import chain
from pathsearch.run.settings import (
    EncoderSettings,
    GridSettings,
    RunSettings,
    SearchSettings,
    TrainingSettings,
    with_settings,
)
from pathsearch.run.training_settings import parse_threshold

PARTS = {"encoder": EncoderSettings, "grid": GridSettings, "search": SearchSettings, "training": TrainingSettings}


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
    bounds = rf"(at least {low}|a number in \[{low}, \d+\])"
    with pytest.raises(PathsearchError, match=f"^{name}: expected {bounds}, got {bad}; choose a larger number$"):
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
def test_set_takes_no_number_that_is_none(plain, part, name, kind, text):
    if part is RunSettings or (text == "1e308" and name in MAY_BE_HUGE):
        return
    section = next(key for key, one in PARTS.items() if one is part)
    others = {"encoder.random_seed": ["encoder.weights=random"], "search.balance_strength": ["search.balance=true"]}
    key = f"{section}.{name}"
    with refused(f"{name}: expected"):
        with_settings(plain, [f"{key}={text}", *others.get(key, [])])


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
        (GridSettings, "modules", "mixed, paper, ums-rep, unet"),
        (EncoderSettings, "precision", "float32, bfloat16"),
        (SearchSettings, "preset", "generational, pathnet, random"),
        (SearchSettings, "weights", "shared, fresh"),
        (SearchSettings, "fitness", "accuracy, balanced_accuracy, auc"),
    ],
)
def test_unknown_choice_is_refused_and_every_choice_is_taken(part, name, choices):
    told = "blueprint" if name == "modules" else name  # as its option
    with pytest.raises(PathsearchError, match=f"{told}: expected one of {choices}; got 'other'"):
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


def test_the_default_elite_follows_a_small_population(plain):
    assert [SearchSettings(population=n).elite for n in (2, 3, 64)] == [1, 2, 2]
    two = {"search.population": ("--population", 2)}
    assert with_settings(plain, [], two).search.elite == 1
    assert with_settings(plain, ["search.elite=1"], two).search.elite == 1
    assert with_settings(plain, ["search.elite=0"], two).search.elite == 0
    with refused("^elite: expected fewer than population=2, got 2$"):
        with_settings(plain, ["search.elite=2"], two)


def test_options_and_assignments_are_checked_together(plain):
    """Neither stands alone: NSGA-II wants a multiple of four, few rungs a small population."""
    options = {"search.pareto": ("--pareto", True), "search.population": ("--population", 8)}
    assert with_settings(plain, ["search.rungs=8"], options).search.population == 8
    with refused("^rungs: expected at most population=8, got 9$"):
        with_settings(plain, ["search.rungs=9"], options)
    with refused("^population: NSGA-II expects a multiple of 4, got 10$"):
        with_settings(plain, ["search.population=10"], {"search.pareto": ("--pareto", True)})
    with refused("^--set search.population=10: --population is given too; leave out one of them$"):
        with_settings(plain, ["search.population=10"], options)


def test_no_layer_may_have_more_active_modules_than_it_has(plain):
    with refused("^max_active: expected at most n_modules=2, got 3; lower it, or raise n_modules$"):
        with_settings(plain, ["grid.n_modules=2"])
    assert with_settings(plain, ["grid.n_modules=2", "grid.max_active=2"]).grid.max_active == 2


def test_a_setting_is_given_once(plain):
    with refused("^--set search.steps=6: --set search.steps=5 is given too; leave out one of them$"):
        with_settings(plain, ["search.steps=5", "search.elite=1", "search.steps=6"])


def test_plug_ins_have_an_option(plain):
    with refused(r"^--set grid.plugins=\[\]: expected plug-ins by an option of their own; give --plugin FILE$"):
        with_settings(plain, ["grid.plugins=[]"])


@pytest.mark.parametrize("settings", [EncoderSettings(), GridSettings(), SearchSettings(), TrainingSettings()])
def test_settings_cannot_be_changed(settings):
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.name = "x"


def test_every_named_vocabulary_exists():
    for name in ("mixed", "paper"):
        assert GridSettings(modules=name)
        chain(name, 3, 10, {"features": (8, 2, 2)}, 8)


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
        seed=draw(st.integers(0, 2**63 - 1)),
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


def test_unknown_keys_are_refused(plain):
    with pytest.raises(PathsearchError, match=r"config\.json: unknown key 'colour' in RunSettings; was it written by"):
        RunSettings.from_dict(plain.to_dict() | {"colour": 1})
    for part, cls in PARTS.items():
        values = plain.to_dict()
        values[part]["colour"] = 1
        with pytest.raises(PathsearchError, match=f"unknown key 'colour' in {cls.__name__}"):
            RunSettings.from_dict(values)


def test_values_are_checked_when_read_back(plain):
    values = plain.to_dict()
    values["grid"]["n_layers"] = 0
    with pytest.raises(PathsearchError, match=r"n_layers: expected a number in \[1, 1000\], got 0"):
        RunSettings.from_dict(values)


def test_keys_of_an_older_version_may_be_absent(plain):
    values = plain.to_dict()
    del values["training"]["threshold"]
    assert RunSettings.from_dict(values) == plain
