"""Finding runs: by name, the newest finished of each task, and what is left out."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from small_world import copied, earlier, finished, refused, settings
from written_reports import run_report

from pathsearch.run.runs import (
    Run,
    all_runs,
    find_run,
    newest_finished,
)

# --- finding --------------------------------------------------------------------------------------------------------


def planted(runs_dir: Path, name: str, task: str, key: str, age: int, done: bool = True) -> Run:
    """A run directory with just enough in it to be found: of an earlier version, which wrote no digests."""
    found = Run(runs_dir / name)
    found.open(replace(settings("blobs"), task=task), resume=False, overwrite=False)
    if done:
        report = {**run_report(task, "random", ["a", "b"], [[5, 5], [5, 5]]), "verdict": [], "earlier_experts": []}
        report["encoder"] = {**report["encoder"], "key": key}
        found.report_file.write_text(json.dumps(report))
        os.utime(found.report_file, (1e9 - age, 1e9 - age))
        found.sums_file.write_text("")
        earlier(found)
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
    chosen, left_out = newest_finished(tmp_path)
    assert [run.name for run in chosen] == ["ecg-new", "xray"]
    assert set(left_out) == {"ecg-newest-other-encoder", "lungs-other-encoder", "brain-unfinished"}
    assert left_out["brain-unfinished"] == "not finished"
    assert left_out["lungs-other-encoder"].startswith("another encoder: vgg16, ")
    assert len(all_runs(tmp_path)) == 6


def test_a_run_on_an_encoder_of_the_same_name_says_what_differs(tmp_path):
    planted(tmp_path, "ecg", "ecg", "k1", age=10)
    other = planted(tmp_path, "lungs", "lungs", "k2", age=20)
    report = json.loads(other.report_file.read_text())
    report["encoder"]["map_size"] = 2
    other.report_file.write_text(json.dumps(report))
    os.utime(other.report_file, (1e9 - 20, 1e9 - 20))
    _, left_out = newest_finished(tmp_path)
    assert left_out == {"lungs": "another encoder: vgg16, random (He, seed 0), 64 px, map_size 2, not 4"}


@pytest.mark.parametrize("content", ["{}", "3", "{", '{"task": "ecg", "encoder": 7}', '{"task": ["ecg"]}'])
def test_a_broken_other_run_is_named_and_left_out(tmp_path, content):
    planted(tmp_path, "good", "ecg", "k1", age=50)
    planted(tmp_path, "bad", "ecg", "k1", age=0).report_file.write_text(content)
    no_settings = copied(finished("blobs"), tmp_path)
    no_settings.config_file.unlink()
    chosen, left_out = newest_finished(tmp_path)
    assert [run.name for run in chosen] == ["good"]
    assert "report.json: " in left_out["bad"]
    assert "blobs/config.json: expected a file, got none" in left_out["blobs"]
    assert find_run(tmp_path, "good").report()["task"] == "ecg"
    with refused("bad/report.json: "):
        find_run(tmp_path, "bad").report()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": None}, "field task: expected a text"),
        ({"encoder": 3}, "config.json: "),
        ({"search": {"population": "many"}}, "config.json: "),
        ({"grown_from": 7}, "grown_from: expected text or null, got 7"),
        ({"wings": 2}, "unknown key 'wings'"),
    ],
    ids=str,
)
def test_settings_of_another_form_are_one_line(run, change, said):
    config = json.loads(run.config_file.read_text())
    run.config_file.write_text(json.dumps({**config, **change}))
    with refused(said):
        run.settings()
    del config["split"]
    run.config_file.write_text(json.dumps(config))
    with refused("config.json: field split is missing"):
        run.settings()


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
