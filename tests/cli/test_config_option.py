"""`--config` and `pathsearch settings`, as a person gives them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from small_world import SIZE, data_dir
from typer.testing import CliRunner

from data_prep.errors import PathsearchError
from pathsearch.cli import main as cli
from pathsearch.run.runs import Run
from pathsearch.run.settings import DECLARED, RunSettings
from pathsearch.run.settings_file import read_settings
from pathsearch.search.comparison import Comparison

SMALL = '[encoder]\nname = "squeezenet1_1"\nweights = "random"\n'


@pytest.fixture
def asked(monkeypatch, tmp_path, capsys) -> Any:
    """Run a command up to where its settings are known, and return them with the run's name; or the error's line."""

    def go(*words: str) -> Any:
        caught: list[Any] = []

        def opened(self: Run, settings: RunSettings, **_: object) -> None:
            caught.append((settings, self.name))
            raise PathsearchError("far enough")

        def of(_: object, settings: RunSettings, *__: object) -> None:
            caught.append((settings, ""))
            raise PathsearchError("far enough")

        monkeypatch.setattr(Run, "open", opened)
        monkeypatch.setattr(Comparison, "of", of)
        places = ["--task", "blobs", "--data-dir", str(data_dir()), "--runs-dir", str(tmp_path / "runs")]
        monkeypatch.setattr(sys, "argv", ["pathsearch", *words, *places, "--device", "cpu"])
        with pytest.raises(SystemExit):
            cli.main()
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return caught[0] if caught else said

    return go


@pytest.mark.parametrize("command", ["evolve", "compare"])
def test_a_file_is_overruled_by_the_command_line(command, asked, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(f"seed = 3\n{SMALL}image_size = 64\n[search]\ngenerations = 3\n[training]\nviews = 2\nepochs = 4\n")
    found, name = asked(command, "--config", str(file), "--views", "3", "--set", "training.epochs=5")
    assert (found.seed, found.encoder.name, found.encoder.image_size) == (3, "squeezenet1_1", 64)
    assert (found.search.generations, found.training.views, found.training.epochs) == (3, 3, 5)
    assert name in ("blobs-random-s3", ""), "the run is named after the seed of the file"
    found, _ = asked(command, "--config", str(file), "--seed", "0")
    assert (found.seed, found.training.views, found.training.epochs) == (0, 2, 4)


@pytest.mark.parametrize("command", ["evolve", "compare"])
def test_the_printed_file_changes_nothing(command, asked, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(CliRunner().invoke(cli.app, ["settings"]).output)
    small = ["--encoder", "squeezenet1_1", "--encoder-weights", "random"]
    with_file, without = (asked(command, *small, *more)[0] for more in (["--config", str(file)], []))
    assert with_file == without
    assert without.encoder.image_size == SIZE, "the task's own, which the file leaves to it"


def test_a_file_that_is_wrong_is_one_line(asked, tmp_path):
    file = tmp_path / "mine.toml"
    for text, words in {
        "[training]\nviews = 0": f"error: {file}: training.views: expected a number in [1, 1000], got 0; ",
        "[search]\nstep = 5": f"error: {file}: unknown setting 'search.step'; did you mean search.steps?\n",
        "[training]\nbalance_strength = 0.5": "error: training.balance_strength: 0.5 has no effect, since",
        "seed": f"error: --config {file}: expected TOML, got: ",
    }.items():
        file.write_text(text)
        assert str(asked("evolve", "--config", str(file))).startswith(words)
    file.write_text("[training]\nrandom_paths = 9")
    assert "training.random_paths: 9 has no effect in a comparison" in asked("compare", "--config", str(file))
    assert "got: No such file or directory" in asked("evolve", "--config", str(tmp_path / "none.toml"))


@pytest.mark.parametrize("name", ["--blueprint", "--modules"])
def test_the_blueprint_has_an_older_name(name, asked):
    small = ["--encoder", "squeezenet1_1", "--encoder-weights", "random"]
    found, _ = asked("evolve", name, "paper", *small)
    assert found.grid.modules == "paper"
    assert "--set grid.modules=paper: --blueprint is given too" in asked(
        "evolve", name, "paper", "--set", "grid.modules=paper"
    )
    assert f"{name}: expected an option of compare, got one of evolve; give --set grid.modules=paper" in asked(
        "compare", name, "paper"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--blueprint paper --modules mixed", "--modules mixed: --blueprint paper is given too; leave out one of them"),
        ("--modules=paper --blueprint=mixed", "--blueprint mixed: --modules paper is given too; leave out one of them"),
        ("--population 8 --population 12", "--population 12: --population 8 is given too; leave out one of them"),
    ],
)
def test_a_setting_has_one_value_by_whichever_name(words, line, asked):
    assert asked("evolve", *words.split()) == f"error: {line}\n"
    small = ["--encoder", "squeezenet1_1", "--encoder-weights", "random"]
    assert asked("evolve", "--blueprint", "paper", "--modules", "paper", *small)[0].grid.modules == "paper"


def test_settings_are_printed_as_a_file_an_object_or_a_page(tmp_path):
    shown = CliRunner().invoke(cli.app, ["settings"])
    assert shown.exit_code == 0
    (tmp_path / "x.toml").write_text(shown.output)
    assert read_settings(tmp_path / "x.toml")["search.population"] == 64
    table = json.loads(CliRunner().invoke(cli.app, ["settings", "--json"]).stdout)
    assert list(table) == list(DECLARED)
    made = CliRunner().invoke(cli.app, ["settings", "--page", str(tmp_path / "page.md")])
    assert made.exit_code == 0
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert (tmp_path / "page.md").read_text() == page.read_text()
