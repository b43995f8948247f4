"""The command of a comparison, told from its settings: it gives the same settings again."""

from __future__ import annotations

import shlex
import sys

import pytest
from small_world import data_dir, settings

from data_prep.errors import PathsearchError
from pathsearch import cli
from pathsearch.again import compare_command
from pathsearch.compare import Comparison


@pytest.mark.parametrize(
    ("task", "changes"),
    [("stripes", {}), ("blobs", {"pareto": True, "target": 0.9, "threshold": "balanced", "seed": 4})],
)
def test_the_command_of_a_comparison_gives_the_same_settings(task, changes, monkeypatch, tmp_path, capsys):
    chosen = settings(task, **changes)
    command = shlex.split(compare_command({**chosen.to_dict(), "seeds": 3}))
    caught: list[object] = []

    def of(runs_dir: object, settings: object, seeds: int, encoder: object) -> None:
        caught.extend([settings, seeds])
        raise PathsearchError("far enough")

    monkeypatch.setattr(Comparison, "of", of)
    places = ["--data-dir", str(data_dir()), "--runs-dir", str(tmp_path), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", [*command, *places])
    with pytest.raises(SystemExit):
        cli.main()
    assert "far enough" in capsys.readouterr().err
    assert caught == [chosen, 3]


def test_only_what_compare_knows_has_an_option_of_its_own():
    command = compare_command({**settings("stripes").to_dict(), "seeds": 5})
    assert command.startswith("pathsearch compare --task stripes --seeds 5 --encoder squeezenet1_1")
    assert "--set search.population=8" in command
    assert "--population" not in command
