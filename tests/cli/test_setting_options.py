"""The options of `evolve` and `compare` come from the declarations of settings, and none that was there is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pathsearch.cli import main as cli
from pathsearch.run.settings import DECLARED, WITH_OPTIONS

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "options.json").read_text())  # from before they were made
NOT_SETTINGS = {
    *("--task", "--grid", "--run-name", "--resume", "--overwrite", "--seeds", "--without", "--data-dir", "--runs-dir"),
    *("--device", "--json", "--config", "--set", "--plugin", "--path"),
}


def parameters(command: str) -> list[Any]:
    described: Any = typer.main.get_command(cli.app)
    return list(described.commands[command].params)


def told(command: str, option: str) -> list[Any]:
    """An option as the golden list has it: type, default, and how it is given."""
    (one,) = (one for one in parameters(command) if option in one.opts)
    kind = one.type_descriptor.annotation
    default = one.default if isinstance(one.default, (int, float, str, type(None))) else str(one.default)
    how = {"required": one.required, "repeated": one.multiple, "off": one.secondary_opts}
    return [getattr(kind, "__name__", str(kind)), default, how]


@pytest.mark.parametrize("which", GOLDEN)
def test_every_option_that_was_there_is_there_as_it_was(which):
    assert told(*which.split()) == GOLDEN[which]


def test_the_comparison_with_the_golden_list_sees_a_change():
    assert told("evolve", "--population") != ["int", 65, GOLDEN["evolve --population"][2]]
    assert len(GOLDEN) == 41


@pytest.mark.parametrize("command", WITH_OPTIONS)
def test_all_other_options_are_known_not_to_be_settings(command):
    """An option whose setting is unknown would be silently overruled by `--set`."""
    of_settings = {name for one in DECLARED.values() for name in (one.said.option, one.said.older)}
    assert {name for one in parameters(command) for name in one.opts} <= of_settings | NOT_SETTINGS


@pytest.mark.parametrize("command", WITH_OPTIONS)
def test_help_shows_every_option_with_help_and_default_by_section(command):
    shown = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    for option in {which.split()[1] for which in GOLDEN if which.startswith(command)} | {"--config"}:
        assert any(option in line.replace(",", " ").split() for line in lines), option
    for one in DECLARED.values():
        if (
            not one.said.option
            or one.said.apart
            or one.section not in ("", *WITH_OPTIONS[command])
            or one.key == "seed"
        ):
            continue
        (line,) = (line for line in lines if one.said.option in line.replace(",", " ").split())
        assert one.said.help.removesuffix(".") in line
        assert one.default in (None, False) or one.said.otherwise or f"[default: {one.default}]" in line
    panels = [section.capitalize() for section in WITH_OPTIONS[command]]
    heads = [line.strip("╭─╮ ") for line in lines if line.startswith("╭")]
    assert [head for head in heads if head != "Options"] == panels


@pytest.mark.parametrize("command", [*WITH_OPTIONS, "settings"])
def test_help_does_not_wait_for_torch(command):
    script = (
        f"import sys; from pathsearch.cli import main as cli; sys.argv = ['pathsearch', '{command}', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules, 'slow imports'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
