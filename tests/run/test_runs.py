"""The run directory: whole files or none, nobody's directory taken, the right run chosen."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command_world import start
from small_world import copied, data_dir, finished, refused, settings

from data_prep.errors import PathsearchError
from pathsearch.reports import figures
from pathsearch.reports.report_page import write_page
from pathsearch.run.drawn import FIGURES
from pathsearch.run.environment import LIBRARIES
from pathsearch.run.log_table import write_table
from pathsearch.run.runs import (
    Run,
    environment,
    named_run,
    read_json,
)
from pathsearch.run.settings import RunSettings
from pathsearch.training.kept import Kept


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


# --- opening --------------------------------------------------------------------------------------------------------


def test_opening_writes_what_decides_the_outcome(run):
    assert run.settings() == settings("blobs")
    env = json.loads((run.folder / "env.json").read_text())
    assert env == environment()
    assert set(env["libraries"]) == set(LIBRARIES)
    assert env["libraries"]["torch"] == torch.__version__.partition("+")[0] or env["libraries"]["torch"]
    assert not run.finished


def test_a_taken_directory_is_refused_and_left_alone(run):
    before = {name: (run.folder / name).read_bytes() for name in names(run.folder)}
    with refused("already holds an unfinished run; go on with --resume, start again with --overwrite, or give another"):
        run.open(settings("blobs", seed=1), resume=False, overwrite=False)
    run.sums_file.write_text("")
    with refused("already holds a finished run; see it with `pathsearch plot [^ ]*`, start again with --overwrite"):
        run.open(settings("blobs"), resume=False, overwrite=False)
    run.sums_file.unlink()
    assert {name: (run.folder / name).read_bytes() for name in names(run.folder)} == before


def test_resume_with_the_same_settings_goes_back_in(run):
    run.open(settings("blobs"), resume=True, overwrite=False)


def test_resume_of_nothing_starts(tmp_path):
    Run(tmp_path / "new").open(settings("blobs"), resume=True, overwrite=False)
    assert (tmp_path / "new" / "config.json").is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"population": 16}, "search.population was 8, now 16"),
        ({"width": 32}, "grid.width was 16, now 32"),
        ({"image_size": 64}, "encoder.image_size was 48, now 64"),
        ({"views": 2}, "training.views was 1, now 2"),
        ({"grown_from": "x"}, "grown_from was None, now 'x'"),
        ({"data": "other"}, "data was .*, now 'other'"),
    ],
    ids=str,
)
def test_resume_with_other_settings_names_the_key(run, change, said):
    with refused(f"--resume t-random-s0: {said}; give the options it was started with, or --overwrite"):
        run.open(settings("blobs", **change), resume=True, overwrite=False)


def test_resume_with_weights_replaced_under_their_name(tmp_path):
    run = Run(tmp_path / "t-random-s0")
    run.open(replace(settings("blobs"), encoder_key="before"), resume=False, overwrite=False)
    with refused(
        "--resume t-random-s0: encoder_key was 'before', now 'after'; put the old weights back, or --overwrite"
    ):
        run.open(replace(settings("blobs"), encoder_key="after"), resume=True, overwrite=False)


def everything(folder: Path) -> dict[Path, bytes]:
    """Every file of a run, apart from its lock."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {file: file.read_bytes() for file in files}


def test_overwrite_leaves_nothing_of_the_old_run_and_all_of_others(tmp_path):
    old = copied(finished("blobs"), tmp_path)
    figures.plot_run(old.folder)
    write_page(old.folder, data_dir())
    (old.checkpoint_dir / "training-03.safetensors").write_bytes(b"kept")
    (old.folder / ".log.csv.0123abcd.part.csv").write_bytes(b"left by a killed process")
    foreign = {"notes.txt", "log.csv.bak", "figure.png", "thesis/fitness_curve.png", "checkpoint/mine.safetensors"}
    for name in foreign:
        (old.folder / name).parent.mkdir(exist_ok=True)
        (old.folder / name).write_bytes(b"dear to me")
    old.open(settings("blobs", seed=3), resume=False, overwrite=True)
    left = {file.relative_to(old.folder).as_posix() for file in everything(old.folder)}
    assert left == {"config.json", "env.json", *foreign}
    assert old.settings().seed == 3


def test_every_figure_of_a_run_is_known_as_its_own():
    assert [name for name, _, _ in figures.RUN_FIGURES] == list(FIGURES)


class Killed(BaseException):
    """A kill, as far as a test can have it within its own process."""


def test_a_kill_anywhere_in_overwriting_leaves_nothing_to_go_on_with(tmp_path, monkeypatch):
    unlink, n = Path.unlink, 0
    while True:
        old = copied(finished("blobs"), tmp_path / str(n))
        (old.checkpoint_dir / "training-03.safetensors").write_bytes(b"kept")
        left = n

        def until_killed(file: Path, missing_ok: bool = False) -> None:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            unlink(file, missing_ok=missing_ok)

        with monkeypatch.context() as context:
            context.setattr(Path, "unlink", until_killed)
            try:
                old.open(settings("blobs", seed=3), resume=False, overwrite=True)
            except Killed:
                pass
            else:
                break
        n += 1
        kept = {file.name for file in old.checkpoint_dir.iterdir()}
        if old.finished:
            old.report()  # whole still
        elif old.config_file.exists():
            assert old.settings() in (settings("blobs"), settings("blobs", seed=3))
            assert not kept, "an unfinished run has nothing of the finished one to go on from"
        else:
            assert set(names(old.folder)) <= {"env.json"}
    assert n > 30


@pytest.mark.parametrize("name", ["report.json", "SHA256SUMS", "expert.safetensors"])
def test_results_without_settings_are_of_an_unknown_run(tmp_path, name):
    run = copied(finished("blobs"), tmp_path)
    for file in everything(run.folder):
        if file.name != name:
            file.unlink()
    for resume in (False, True):
        with refused(f"holds {name} of a run, but no config.json that says of which; start again with --overwrite"):
            run.open(settings("blobs"), resume=resume, overwrite=False)
    run.open(settings("blobs"), resume=False, overwrite=True)
    assert names(run.folder) == ["config.json", "env.json"]


def test_a_comparison_is_never_taken_for_a_run(tmp_path):
    (tmp_path / "compare-x" / "parts").mkdir(parents=True)
    (tmp_path / "compare-x" / "config.json").write_text("{}")
    with refused("expected a run, got a comparison"):
        Run(tmp_path / "compare-x").open(settings("blobs"), resume=False, overwrite=True)
    assert (tmp_path / "compare-x" / "config.json").exists()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/tmp/x", "a/b", "a/", "a\\b", "C:x", ".hidden", "a\nb", "a\0b"]
)
def test_names_that_lead_out_of_the_directory_of_runs_are_refused(tmp_path, name):
    with refused("run name: expected that of a folder in .*runs, without slashes.*; give another --run-name"):
        named_run(tmp_path / "runs", name)


@pytest.mark.parametrize("name", ["blobs-random-s0", "a b", "ä+1.2", "_x"])
def test_plain_names_are_taken(tmp_path, name):
    assert named_run(tmp_path, name).folder == tmp_path / name


def test_settings_survive_the_file_and_unknown_keys_do_not(run):
    values = run.settings().to_dict()
    assert RunSettings.from_dict(json.loads(json.dumps(values))) == settings("blobs")
    values["search"]["wings"] = 2
    run.config_file.write_text(json.dumps(values))
    with refused("config.json: unknown key 'wings' in SearchSettings"):
        run.settings()


# --- one process a run ----------------------------------------------------------------------------------------------


def test_two_processes_do_not_share_a_run(run):
    with run.alone(), refused("another process is at work in it; wait for it, or give"), Run(run.folder).alone():
        raise AssertionError("the lock was given twice")
    with run.alone():
        pass


def _die_in(folder: Path) -> None:
    with Run(folder).alone():
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_leaves_no_lock(run):
    process = start(_die_in, run.folder)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with run.alone():
        pass


def test_overwriting_keeps_the_lock(run):
    with run.alone():
        run.open(settings("blobs"), resume=False, overwrite=True)
        with refused("another process is at work"), Run(run.folder).alone():
            raise AssertionError("the lock was given twice")


def begin(run: Run) -> None:
    run.open(settings("blobs"), resume=False, overwrite=False)
    raise PathsearchError("refused")


def test_a_run_that_is_refused_before_anything_was_made_leaves_nothing(tmp_path):
    run = Run(tmp_path / "new")
    with refused("^refused$"), run.alone():
        begin(run)
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_is_removed_when_a_run_is_refused(run, tmp_path):
    with refused("^refused$"), run.alone():
        raise PathsearchError("refused")
    assert run.config_file.is_file(), "it was there before"
    made = Run(tmp_path / "made")
    with refused("^refused$"), made.alone():
        (made.folder / "notes.txt").touch()
        begin(made)
    assert made.config_file.is_file(), "something of somebody's is beside it"


# --- whole files ----------------------------------------------------------------------------------------------------


def generation(run: Run) -> None:
    Kept(run.checkpoint_dir, "me").save_generation({"population": ["0|1|2"]}, {"w": torch.ones(3)})


def later_generation(run: Run) -> None:
    Kept(run.checkpoint_dir, "me").save_generation({"population": ["1|1|1"]}, {"w": torch.zeros(300)})


def table(run: Run) -> None:
    write_table(run.log_file, [{"generation": 1, "best": 0.5}])


def later_table(run: Run) -> None:
    write_table(run.log_file, [{"generation": 1, "best": 0.5}, {"generation": 2, "best": 0.6}])


def disk_full(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def half_then_full(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content[: len(content) // 2])
    disk_full()


@pytest.mark.parametrize(
    ("first", "later", "plant"),
    [
        (generation, later_generation, lambda m: m.setattr(Path, "write_bytes", half_then_full)),
        (generation, later_generation, lambda m: m.setattr("data_prep.whole_files.os.fsync", disk_full)),
        (table, later_table, lambda m: m.setattr("data_prep.whole_files.os.fsync", disk_full)),
        (table, later_table, lambda m: m.setattr(Path, "write_text", disk_full)),
        (table, later_table, lambda m: m.setattr(Path, "replace", disk_full)),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_no_litter(
    run, monkeypatch, first: Callable[[Run], None], later: Callable[[Run], None], plant: Callable[[Any], None]
):
    first(run)
    before = {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}
    with monkeypatch.context() as context:
        plant(context)
        with pytest.raises(OSError, match="No space left on device"):
            later(run)
    assert {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()} == before
    later(run)
    assert {file.name for file in before} == set(names(run.folder)), "and it can go on when there is space"


def test_tables_keep_floats_in_full(tmp_path):
    write_table(tmp_path / "t.csv", [{"x": 0.1 + 0.2, "name": "a,b"}, {"x": 1e-17, "name": 'say "b"'}])
    assert (tmp_path / "t.csv").read_text() == 'x,name\n0.30000000000000004,"a,b"\n1e-17,"say ""b"""\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file; is .* a run that was started"),
        (b"{", "not readable as JSON"),
        (b"\xff\xfe\x00", "not readable as JSON"),
        (b"[1]", "expected a JSON object, got list"),
    ],
)
def test_damaged_json_is_one_line(tmp_path, content, said):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with refused(said):
        read_json(tmp_path / "x.json")
