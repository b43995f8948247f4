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
from small_world import copied, finished, refused, settings, start

from pathsearch import runs
from pathsearch.config import RunSettings
from pathsearch.runs import Run, all_runs, environment, find_run, newest_finished, read_json, write_table


@pytest.fixture
def run(tmp_path) -> Run:
    opened = Run(tmp_path / "runs" / "t-random-s0")
    opened.open(settings("blobs"), resume=False, overwrite=False)
    return opened


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


# --- opening --------------------------------------------------------------------------------------------------------


def test_opening_writes_what_decides_the_outcome(run):
    assert run.settings() == settings("blobs")
    env = json.loads((run.folder / "env.json").read_text())
    assert env == environment()
    assert set(env["libraries"]) == set(runs.LIBRARIES)
    assert env["libraries"]["torch"] == torch.__version__.partition("+")[0] or env["libraries"]["torch"]
    assert not run.finished


def test_a_taken_directory_is_refused_and_left_alone(run):
    before = {name: (run.folder / name).read_bytes() for name in names(run.folder)}
    with refused("already holds an unfinished run; go on with --resume, start again with --overwrite, or give another"):
        run.open(settings("blobs", seed=1), resume=False, overwrite=False)
    run.report_file.write_text("{}")
    with refused("already holds a finished run"):
        run.open(settings("blobs"), resume=False, overwrite=False)
    run.report_file.unlink()
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


def test_overwrite_leaves_nothing_of_the_old_run(tmp_path):
    old = copied(finished("blobs"), tmp_path)
    assert old.load_checkpoint() is not None
    old.open(settings("blobs", seed=3), resume=False, overwrite=True)
    assert names(old.folder) == ["config.json", "env.json"]
    assert old.settings().seed == 3
    assert old.load_checkpoint() is None


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


# --- whole files ----------------------------------------------------------------------------------------------------


def checkpoint(run: Run) -> None:
    run.save_checkpoint({"population": ["0|1|2"]}, {"w": torch.ones(3)})


def later_checkpoint(run: Run) -> None:
    run.save_checkpoint({"population": ["1|1|1"]}, {"w": torch.zeros(300)})


def table(run: Run) -> None:
    write_table(run.log_file, [{"generation": 1, "best": 0.5}])


def later_table(run: Run) -> None:
    write_table(run.log_file, [{"generation": 1, "best": 0.5}, {"generation": 2, "best": 0.6}])


def disk_full(*arguments: Any, **options: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def half_then_full(tensors: Any, file: Path, metadata: Any = None) -> None:
    Path(file).write_bytes(b"half")
    disk_full()


@pytest.mark.parametrize(
    ("first", "later", "plant"),
    [
        (checkpoint, later_checkpoint, lambda m: m.setattr(runs, "save_file", half_then_full)),
        (checkpoint, later_checkpoint, lambda m: m.setattr("data_prep.whole_files.os.fsync", disk_full)),
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


def test_checkpoint_round_trip(run):
    assert run.load_checkpoint() is None
    state = {"population": ["0|1|2"], "log": [{"best": 0.1 + 0.2}], "stopped": None}
    tensors = {"a": torch.randn(3, 2), "step": torch.tensor(3.0), "bits": torch.tensor([1, 2], dtype=torch.uint8)}
    run.save_checkpoint(state, tensors)
    loaded_state, loaded = run.load_checkpoint() or ({}, {})
    assert loaded_state == state
    assert loaded.keys() == tensors.keys()
    assert all(
        torch.equal(loaded[name], tensors[name]) and loaded[name].dtype == tensors[name].dtype for name in tensors
    )


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_checkpoint_says_what_to_do(run, content):
    checkpoint(run)
    whole = run.checkpoint_file.read_bytes()
    run.checkpoint_file.write_bytes(whole[:-2] if content is None else content)
    with refused("checkpoint .*cannot be read .*start the run again with --overwrite"):
        run.load_checkpoint()


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


# --- finding --------------------------------------------------------------------------------------------------------


def planted(runs_dir: Path, name: str, task: str, key: str, age: int, done: bool = True) -> Run:
    """A run directory with just enough in it to be found."""
    found = Run(runs_dir / name)
    found.open(replace(settings("blobs"), task=task), resume=False, overwrite=False)
    if done:
        found.report_file.write_text(json.dumps({"task": task, "encoder": {"key": key}}))
        os.utime(found.report_file, (1e9 - age, 1e9 - age))
    return found


def test_the_newest_finished_run_of_each_task_on_the_newest_encoder(tmp_path):
    planted(tmp_path, "ecg-old", "ecg", "k1", age=50)
    planted(tmp_path, "ecg-new", "ecg", "k1", age=20)
    planted(tmp_path, "ecg-newest-other-encoder", "ecg", "k2", age=15)
    planted(tmp_path, "xray", "xray", "k1", age=10)
    planted(tmp_path, "lungs-other-encoder", "lungs", "k2", age=30)
    planted(tmp_path, "brain-unfinished", "brain", "k1", age=0, done=False)
    (tmp_path / "joint-ecg+xray-20260101T000000").mkdir()
    (tmp_path / "joint-ecg+xray-20260101T000000" / "report.json").write_text("{}")
    assert [run.name for run in newest_finished(tmp_path)] == ["ecg-new", "xray"]
    assert len(all_runs(tmp_path)) == 6


def test_no_finished_run_says_how_to_make_one(tmp_path):
    planted(tmp_path, "a", "ecg", "k", age=0, done=False)
    for folder in (tmp_path, tmp_path / "nowhere"):
        with refused("no finished run in .*make one with `pathsearch evolve --task NAME`"):
            newest_finished(folder)


def test_runs_are_found_by_name_and_by_directory(tmp_path, monkeypatch):
    planted(tmp_path / "here", "a", "ecg", "k", age=0)
    assert find_run(tmp_path / "here", "a").folder == tmp_path / "here" / "a"
    assert find_run(tmp_path / "elsewhere", str(tmp_path / "here" / "a")).name == "a"
    monkeypatch.chdir(tmp_path / "here")
    assert find_run(tmp_path / "elsewhere", "a").settings().task == "ecg"
    with refused("run b: not found in .*here; runs there: a"):
        find_run(tmp_path / "here", "b")
    with refused("runs there: none"):
        find_run(tmp_path / "elsewhere", "b")
