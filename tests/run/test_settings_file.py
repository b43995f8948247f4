"""`--config`: any settings in TOML, overruled by the command line; a file with whatever wrong in it is one line."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import refused

from data_prep.errors import PathsearchError
from pathsearch.run.settings import DECLARED, SECTIONS, RunSettings, with_settings
from pathsearch.run.settings_file import LARGEST, read_settings, settings_text


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "mine.toml"


def of(file: Path, text: str | bytes) -> dict[str, Any]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_settings(file)


# --- the file that `pathsearch settings` prints ---------------------------------------------------------------------


def test_the_printed_file_gives_the_defaults(plain, file):
    found = of(file, settings_text())
    assert with_settings(plain, [], file=found) == plain
    silent = {one.key for one in DECLARED.values() if one.default is None or one.said.otherwise or one.said.apart}
    assert set(found) == set(DECLARED) - silent
    assert silent == {
        *("encoder.image_size", "encoder.stages", "grid.plugins", "search.target"),
        *("training.images_per_class", "training.choice_folds"),
    }


def test_the_printed_file_says_help_reason_bounds_and_option_of_every_setting():
    text = settings_text()
    assert text.isascii()
    for one in DECLARED.values():
        if not one.said.apart:
            about = next(part for part in text.split("\n\n") if re.search(rf"^(# )?{one.name} =", part, re.MULTILINE))
            assert re.search(rf"^(# )?{one.name} =", about, re.MULTILINE)
            assert one.said.help in text
            assert f": {one.said.why}." in text
            assert not one.said.option or f"Option: {one.said.option}." in text
    assert len(text) * 3 < LARGEST


def test_its_silent_settings_can_be_given_by_taking_the_comment_away(plain, file):
    text = re.sub(r"^# (\w+ =)", r"\1", settings_text(), flags=re.MULTILINE)
    for name in ("stages", "target", "images_per_class", "choice_folds"):
        text = text.replace(f"{name} =", f'{name} = "null"')
    assert with_settings(plain, [], file=of(file, text)) == plain


# --- what stands before what ----------------------------------------------------------------------------------------


def test_default_then_file_then_command_line(plain, file):
    found = of(
        file,
        "seed = 3\n[search]\npopulation = 8\ngenerations = 5\nsteps = 7\n[training]\nlearning_rate = 1\nepochs = 9",
    )
    made = with_settings(
        plain,
        ["search.steps=6", "training.epochs=2"],
        {"search.population": ("--population", 12), "seed": ("--seed", 4)},
        found,
    )
    assert (made.seed, made.search.population, made.search.generations, made.search.steps) == (4, 12, 5, 6)
    assert (made.training.epochs, made.training.patience) == (2, 10)
    assert type(made.training.learning_rate) is float
    assert with_settings(plain, [], file=found).seed == 3


def test_a_file_and_set_give_the_same_bytes(plain, file):
    lines = ["search.target=1", "search.plateau=null", "training.weight_decay=5", "training.images_per_class=30"]
    found = of(
        file,
        '[search]\ntarget = 1\nplateau = "null"\n[training]\nweight_decay = 5\nimages_per_class = 30\n',
    )
    by_set, by_file = (with_settings(plain, lines), with_settings(plain, [], file=found))
    assert json.dumps(by_set.to_dict()) == json.dumps(by_file.to_dict())


@st.composite
def some_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Values within the bounds for a few settings that no rule binds to others."""
    free = ["seed", "encoder.map_size", "grid.width", "search.steps", "search.learning_rate", "training.dropout"]
    free += ["training.average", "training.epochs", "training.refit", "search.target", "search.plateau"]
    values: dict[str, Any] = {}
    for key in draw(st.lists(st.sampled_from(free), unique=True)):
        one = DECLARED[key]
        low, top = one.said.low, one.said.high if one.said.below is None else one.said.below
        values[key] = draw(
            st.booleans()
            if one.kind is bool
            else st.integers(int(low or 0), int(top))
            if one.kind is int
            else st.floats(low, top, exclude_max=one.said.below is not None, allow_infinity=False)
        )
    return values


@given(values=some_settings())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(values, tmp_path_factory):
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]  # dotted keys are tables too
    file = tmp_path_factory.mktemp("settings") / "x.toml"
    assert of(file, "\n".join(lines)) == values
    made = with_settings(RunSettings("t", "s"), [], file=values)
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        assert getattr(getattr(made, section) if section else made, name) == value


def test_a_file_is_read_whatever_wrote_it(file):
    text = "seed = 5\n[search]\npopulation = 8\n"
    wanted = {"seed": 5, "search.population": 8}
    assert of(file, text.replace("\n", "\r\n")) == wanted
    assert of(file, b"\xef\xbb\xbf" + text.encode()) == wanted, "a byte order mark, as Windows writes it"
    assert of(file, "") == {}
    assert of(file, "search = { population = 8 }\nseed = 5") == wanted


# --- without effect, and rules over several -------------------------------------------------------------------------


def test_a_setting_without_effect_is_named(plain, file):
    with refused("^search.average: 0.9 has no effect, since fresh weights are not averaged; .*or leave out search.av"):
        with_settings(plain, [], file=of(file, '[search]\nweights = "fresh"\naverage = 0.9'))
    with refused("^search.tournament: 5 has no effect"):  # made so by the command line
        with_settings(plain, ["search.preset=random"], file=of(file, "[search]\ntournament = 5"))


def test_defaults_in_a_file_ask_for_nothing(plain, file):
    found = of(file, settings_text())
    for beside in ("search.preset=random", "search.weights=fresh", "search.pareto=true"):
        with_settings(plain, [beside], file=found)
    two = with_settings(plain, [], {"search.population": ("--population", 2)}, found)
    assert two.search.elite == 1, "the default follows"


def test_file_and_command_line_are_checked_together(plain, file):
    found = of(file, "[search]\nrecipes = true")
    assert with_settings(plain, ["search.weights=fresh"], file=found).search.recipes
    with refused("^recipes: expected weights=fresh"):
        with_settings(plain, [], file=found)
    with refused("^elite: expected fewer than population=4, got 9$"):
        with_settings(plain, [], file=of(file, "[search]\nelite = 9\npopulation = 4"))


# --- whatever is wrong is one line ----------------------------------------------------------------------------------

WRONG = {
    "[search]\npopulatoin = 8": "unknown setting 'search.populatoin'; did you mean search.population?",
    "[serch]\npopulation = 8": r"unknown table 'serch'; did you mean \[search\]\?",
    "[zzz]": "unknown table 'zzz'; tables: encoder, grid, search, training",
    "population = 8": "unknown setting 'population'; did you mean search.population?",
    "task = 'x'": "unknown setting 'task'; ",
    "[task]": "unknown table 'task'",
    '"search.population" = 8': "unknown setting 'search.population'; write it without quotes, or in the table",
    '[search]\n"population.x" = 8': "unknown setting 'search.population.x'; did you mean search.population",
    '[search]\n"" = 8': "unknown setting 'search.'",
    '[""]\na = 1': "unknown table ''",
    '"a\\nb" = 1': r"unknown setting 'a\\nb'",
    "search.population.x = 8": "search.population: expected a whole number, got a table",
    "[[search]]\npopulation = 8": r"search: expected a table, \[search\], got a list",
    "search = 8": r"search: expected a table, \[search\], got 8",
    "[search]\npopulation = 8.5": "search.population: expected a whole number, got 8.5",
    "[search]\npopulation = '8'": "search.population: expected a whole number, got '8'",
    "[search]\npopulation = true": "search.population: expected a whole number, got true",
    "[search]\npopulation = [8]": "search.population: expected a whole number, got a list",
    "[search]\npopulation = 1979-05-27": "search.population: expected a whole number, got 1979-05-27",
    "[search]\npopulation = 1": r"search.population: expected a number in \[2, 100000\], got 1; choose a larger number",
    "[search]\npopulation = 99999999999999999999": "search.population: .* got a number of 67 bits",
    "[search]\npareto = 1": "search.pareto: expected true or false, got 1",
    "[search]\npreset = 1": "search.preset: expected text, got 1",
    "[search]\npreset = 'best'": "search.preset: expected one of generational, pathnet, random; got 'best'",
    "[search]\nlearning_rate = nan": "search.learning_rate: expected a finite number, got nan",
    "[search]\nlearning_rate = -inf": "search.learning_rate: expected a finite number, got -inf",
    f"[search]\nlearning_rate = 1{'0' * 400}": "search.learning_rate: .* got a number of 1329 bits",
    "[search]\ntarget = 'high'": "search.target: expected a finite number or \"null\", got 'high'",
    "[search]\ndropout = 1.0": r"search.dropout: expected a share in \[0, 1\), got 1.0",
    "[training]\nthreshold = 'x'": "threshold: expected argmax, balanced or sensitivity",
    "[grid]\nplugins = ['x.py']": "grid.plugins: expected an option of its own, got a setting; give --plugin",
    "seed = -1": r"seed: expected a number in \[0, 9223372036854775807\], got -1",
    "[grid]\nn_layers = 9999": r"grid.n_layers: expected a number in \[1, 1000\], got 9999; choose a smaller number",
    "[grid]\nmodules = 'mixd'": "grid.modules: expected one of mixed, paper, .*; got 'mixd'; did you mean 'mixed'\\?",
    "[grid]\nmodules = 'mine'": "grid.modules: expected one of .*; got 'mine'.*; one of your own needs --plugin FILE",
    "seed = 'a'": "seed: expected a whole number, got 'a'",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:40])
def test_a_wrong_setting_is_one_line_that_names_file_and_key(file, text):
    with refused(f"^{re.escape(str(file))}: {WRONG[text]}") as caught:
        of(file, text)
    assert len(str(caught.value)) < 1600


DAMAGED: dict[str, bytes] = {
    "not TOML": b"{ 'task': 'ecg' }",
    "two equal keys": b"seed = 1\nseed = 2",
    "two equal tables": b"[search]\nsteps = 1\n[search]\nsteps = 2",
    "no value": b"[search]\npopulation =",
    "no end of a text": b"[search]\npreset = 'path",
    "not UTF-8": b"[encoder]\nname = '\xff\xfe'",
    "UTF-16": "\ufeffseed = 1".encode("utf-16"),
    "binary": bytes(range(256)) * 8,
    "nul": b"\0" * 100,
    "old line ends": b"seed = 1\r[search]\rsteps = 2\r",
    "deep list": b"seed = " + b"[" * 30_000,
    "deep table": b"seed = " + b"{a=" * 9_000,
    "a million digits": b"seed = " + b"9" * 60_000,
    "a long key twice": b"[%s]\n[%s]" % (b"k" * 30_000, b"k" * 30_000),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_one_short_line(file, what):
    began = time.process_time()
    with refused(f"^--config {re.escape(str(file))}: expected TOML, got: .+; `pathsearch settings` prints") as caught:
        of(file, DAMAGED[what])
    assert len(str(caught.value)) < 500
    assert time.process_time() - began < 5


@pytest.mark.parametrize("text", ["a" + ".a" * 9_000 + " = 1", "a." * 9_000 + "b.search = 1", f"{'k' * 60_000} = 1"])
def test_a_long_key_is_one_short_line(file, text):
    began = time.process_time()
    with refused("unknown (table|setting) '") as caught:
        of(file, text)
    assert len(str(caught.value)) < 2000
    assert time.process_time() - began < 5


def test_what_is_no_file_is_one_line(tmp_path):
    for there, words in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with refused(
            f"^--config {re.escape(str(there))}: expected a settings file, got: {words}; `pathsearch settings`"
        ):
            read_settings(there)


def test_a_large_file_is_refused_before_it_is_read_whole(file):
    with refused("expected a settings file of at most 64 KiB, got a larger one"):
        of(file, b"# comment\n" * 1_000_000)
    if Path("/dev/zero").exists():
        with refused("expected a settings file of at most 64 KiB"):
            read_settings(Path("/dev/zero"))
    of(file, b"#" * LARGEST)


def refusal(file: Path, raw: str | bytes) -> str:
    """What is said of a file; nothing if it is taken."""
    try:
        with_settings(RunSettings("t", "s"), [], file=of(file, raw))
    except PathsearchError as error:
        return str(error)
    return ""


@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_anything_is_settings_or_refused_in_one_line(raw, tmp_path_factory):
    assert "\n" not in refusal(tmp_path_factory.getbasetemp() / "any.toml", raw)


ANY = ["nan", "inf", "-1", "0", "1e308", "true", "'x'", "''", "[]", "{}", "9" * 30, "07:32:00", "1979-05-27", '"null"']


@pytest.mark.parametrize("value", ANY)
@pytest.mark.parametrize("key", DECLARED)
def test_any_value_of_any_setting_is_taken_or_refused_by_name(key, value, file):
    said = refusal(file, f"{key} = {value}")
    assert "\n" not in said
    assert not said or key.rpartition(".")[2] in said


def test_python_310_has_a_reader_too():
    """Before 3.11 the standard library reads no TOML."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert "tomli>=2.0; python_version < '3.11'" in text
    assert ("tomllib" if sys.version_info >= (3, 11) else "tomli") in sys.modules
    assert set(SECTIONS) == {"encoder", "grid", "search", "training", "together"}
