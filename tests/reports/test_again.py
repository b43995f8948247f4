"""The command of a run or a comparison, told from its settings: it gives the same settings again."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace

import pytest
from pages import joint_folder, run_folder
from small_world import data_dir, settings

from data_prep.errors import PathsearchError
from pathsearch.cli import main as cli
from pathsearch.encoders.encoder import Encoder
from pathsearch.reports.again import compare_command, evolve_command, joint_command
from pathsearch.run.runs import Run, read_json
from pathsearch.run.settings import DECLARED, WITH_OPTIONS, RunSettings
from pathsearch.search.comparison import Comparison


def run_until_far_enough(command, tmp_path, monkeypatch, capsys):
    """Run a command up to where a patched step has caught what it was given."""
    places = ["--data-dir", str(data_dir()), "--runs-dir", str(tmp_path), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", [*command, *places])
    with pytest.raises(SystemExit):
        cli.main()
    assert "far enough" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pareto": True, "target": 0.5, "views": 2, "seed": 3, "threshold": "balanced"},
        {"weights": "fresh", "recipes": True},
    ],
)
def test_the_command_gives_the_same_settings(changes, monkeypatch, tmp_path, capsys):
    chosen = settings("blobs", **changes)
    chosen = replace(chosen, encoder_key=Encoder(chosen.encoder).key)
    command = shlex.split(evolve_command(chosen.to_dict(), "mine"))
    caught: list[object] = []

    def opened(self: Run, settings: object, **_: object) -> None:
        caught.extend([settings, self.name])
        raise PathsearchError("far enough")

    monkeypatch.setattr(Run, "open", opened)
    run_until_far_enough(command, tmp_path, monkeypatch, capsys)
    assert caught == [chosen, "mine"]


def test_the_command_is_short_and_names_files_only():
    config = read_json(run_folder() / "config.json")
    command = evolve_command(config, "stripes-random-s0")
    assert command.startswith("pathsearch evolve --task stripes --encoder squeezenet1_1 --encoder-weights random")
    assert "training.refit" not in command, "defaults are left out"
    assert command.endswith("--seed 0"), "the usual name is left out"
    named = evolve_command({**config, "encoder": {**config["encoder"], "weights": "/home/me/w.pth"}}, "mine")
    assert "--encoder-weights w.pth" in named
    assert "/home" not in named
    assert joint_command(read_json(joint_folder() / "report.json")) == "pathsearch joint-eval blobs stripes --seed 0"


def test_the_command_of_a_search_for_several_names_them_all():
    """With one of them alone its strategy is refused."""
    config = read_json(run_folder() / "config.json")
    config |= {"task": "blobs", "partners": {"stripes": "both-stripes", "blobs": "both-blobs"}}
    command = evolve_command(config, "both-blobs")
    assert command.startswith("pathsearch evolve --task stripes --task blobs --encoder")
    assert command.endswith("--run-name both")


@pytest.mark.parametrize(
    ("task", "changes"),
    [("stripes", {}), ("blobs", {"pareto": True, "target": 0.9, "threshold": "balanced", "seed": 4})],
)
def test_the_command_of_a_comparison_gives_the_same_settings(task, changes, monkeypatch, tmp_path, capsys):
    chosen = settings(task, random_paths=5, **changes)
    command = shlex.split(compare_command({**chosen.to_dict(), "seeds": 3, "without": ["ladder", "nearest"]}))
    assert "random_paths" not in compare_command({**settings(task).to_dict(), "seeds": 3}), "earlier versions took it"
    caught: list[object] = []

    def of(runs_dir: object, settings: object, seeds: int, encoder: object, without: list[str]) -> None:
        caught.extend([settings, seeds, without])
        raise PathsearchError("far enough")

    monkeypatch.setattr(Comparison, "of", of)
    run_until_far_enough(command, tmp_path, monkeypatch, capsys)
    assert caught == [chosen, 3, ["ladder", "nearest"]]


@pytest.mark.parametrize("command", ["evolve", "compare"])
@pytest.mark.parametrize("key", [key for key, one in DECLARED.items() if one.section and not one.said.apart])
def test_a_setting_is_told_by_its_option_or_by_set(command, key):
    one = DECLARED[key]
    unusual = {bool: not one.default, int: 77, float: 0.125, str: "other"}[one.kind]
    config = {**RunSettings("t", "s").to_dict(), "seeds": 5}
    usual = evolve_command(config, "t-s-s0") if command == "evolve" else compare_command(config)
    config[one.section][one.name] = unusual
    told = evolve_command(config, "t-s-s0") if command == "evolve" else compare_command(config)
    more = sorted(set(shlex.split(told)) - set(shlex.split(usual)))
    text = unusual if isinstance(unusual, str) else json.dumps(unusual)
    if one.said.option and one.section in WITH_OPTIONS[command]:
        shown = {one.said.option} if one.kind is bool else {one.said.option, text}
        assert set(more) == shown - set(shlex.split(usual))
    elif (key, command) == ("training.random_paths", "compare"):  # which has no effect there
        assert more == []
    else:
        assert [one for one in more if one != "--set"] == [f"{key}={text}"]


def test_only_what_compare_knows_has_an_option_of_its_own():
    command = compare_command({**settings("stripes").to_dict(), "seeds": 5})
    assert command.startswith("pathsearch compare --task stripes --seeds 5 --encoder squeezenet1_1")
    assert "--set search.population=8" in command
    assert "--population" not in command
