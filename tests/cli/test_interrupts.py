"""A stopped command says what is true of it, exits as a shell expects, and leaves every file whole: real signals."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import command_world
import pytest
import small_world
import typer
from bundles import write
from command_world import pathsearch
from small_world import SIZE, copied, data_dir, draw_folder, finished, options, outcome, scratch, settings
from small_world import evolve as evolve_here

from pathsearch.cli import main as cli
from pathsearch.cli.interrupts import WHAT_NOW, Interrupts, Stopped

SIGNALS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminal closed"}


def test_every_command_says_what_is_true_of_it():
    assert set(WHAT_NOW) == set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    assert [name for name, words in WHAT_NOW.items() if "--resume" in words] == ["evolve", "train"]


def stopped(*arguments: object, at: str, call: int = 1, by: str = "SIGTERM") -> tuple[int, str, str]:
    """`pathsearch ARGUMENTS` in a process that gets a signal when the function `at` is called: code, out, err."""
    folder = Path(small_world.tempfile.mkdtemp(dir=scratch()))
    words = [str(one) for one in arguments]
    process = command_world.start(signalled, words, folder, at, call, getattr(signal, by))
    process.join(120)
    assert not process.is_alive()
    return process.exitcode, (folder / "out").read_text(), (folder / "err").read_text()


def signalled(arguments: list[str], folder: Path, at: str, call: int, number: int) -> None:
    # as in a terminal: a shell's background job, such as a gate, is started with Ctrl-C ignored
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    command_world.plant(at, call, lambda: (os.kill(os.getpid(), number), time.sleep(60)))
    command_world.command(arguments, folder)


def litter(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.name.startswith(".") and file.name != ".lock"]


@pytest.mark.parametrize("by", SIGNALS)
def test_a_stopped_evolve_goes_on_with_resume(tmp_path, by):
    chosen = settings("blobs", generations=4)
    command = ["evolve", *options(chosen), "--data-dir", data_dir(), "--runs-dir", tmp_path, "--run-name", "r"]
    code, out, err = stopped(*command, at="pathsearch.experts.evolve:write_table", call=3, by=by)
    assert (code, out) == (128 + getattr(signal, by), "")
    assert err.splitlines()[-1] == f"{SIGNALS[by]}; the same command with `--resume` goes on where it stopped"
    assert "Traceback" not in err
    assert litter(tmp_path) == []
    resumed = pathsearch(*command, "--resume")
    assert resumed.code == 0, resumed
    run, _ = evolve_here(tmp_path / "whole", chosen)
    assert outcome(small_world.Run(tmp_path / "r"))["expert"] == outcome(run)["expert"]


@pytest.mark.parametrize("by", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("command", ["prepare", "joint-eval", "bundle", "plot", "predict", "compare"])
def test_other_commands_say_what_is_left(tmp_path, command, by):
    where = ["--data-dir", data_dir(), "--runs-dir", tmp_path / "runs"]
    run = copied(finished("blobs"), tmp_path / "runs")
    before = {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}
    if command == "prepare":
        source = draw_folder(tmp_path / "raw", "blobs", 30)
        made = ["prepare", "folder", "--source", source, "--name", "x", "--image-size", SIZE]
        where, at = ["--data-dir", tmp_path / "data"], "data_prep.manifest:write_text"
    elif command == "joint-eval":
        made, at = ["joint-eval", run.name], "pathsearch.experts.joint:answer"
    elif command == "bundle":
        made, at = ["bundle", run.name, "--out", tmp_path / "model"], "pathsearch.experts.bundle:card"
    elif command == "plot":
        made, at = ["plot", run.name], "pathsearch.reports.figures:plot_run"
    elif command == "predict":
        write(tmp_path / "model", ("blobs",))
        made = ["predict", tmp_path / "model", data_dir() / "blobs", "--out", tmp_path / "rows.csv"]
        where, at = [], "pathsearch.experts.model:Model.stream"
    else:
        made = ["compare", *options(settings("blobs", generations=1))[:2], "--seeds", 1, "--device", "cpu"]
        others = options(settings("blobs", generations=1))[6:]
        made += [
            one for two in zip(others[::2], others[1::2], strict=True) if "random_paths" not in two[1] for one in two
        ]
        at = "pathsearch.search.rivals:enter"
    code, out, err = stopped(*made, *where, at=at, by=by)
    assert (code, out) == (128 + getattr(signal, by), "")
    assert err.splitlines()[-1] == f"{SIGNALS[by]}; {WHAT_NOW[command]}"
    assert "Traceback" not in err
    assert litter(tmp_path) == []
    assert {file: file.read_bytes() for file in before} == before
    assert not (tmp_path / "rows.csv").exists()
    assert command == "predict" or not (tmp_path / "model").exists()
    assert not (tmp_path / "data" / "x").exists()


def test_a_signal_that_was_ignored_stays_so(monkeypatch):
    """As `nohup` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interrupts.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back():
    before = [signal.getsignal(getattr(signal, name)) for name in SIGNALS]
    with pytest.raises(Stopped) as ended, Interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143
    assert [signal.getsignal(getattr(signal, name)) for name in SIGNALS] == before


def test_a_library_that_hides_the_signal_changes_nothing(monkeypatch, capsys):
    def hidden(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except BaseException as error:
            raise ImportError("a library failed to import") from error

    monkeypatch.setattr("pathsearch.cli.doctor.examine", hidden)
    monkeypatch.setattr("sys.argv", ["pathsearch", "doctor"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 143
    assert capsys.readouterr().err == f"terminated; {WHAT_NOW['doctor']}\n"
