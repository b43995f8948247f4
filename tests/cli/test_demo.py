"""The demo: the whole flow, from generated raw data to a joint table, in one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_world import pathsearch

from data_prep.manifest import load_task
from pathsearch.experts.expert import Expert
from pathsearch.run.runs import all_runs

pytestmark = pytest.mark.slow


def test_demo_runs_the_whole_flow(tmp_path):
    shown = pathsearch("demo", "--out", tmp_path / "demo", "--device", "cpu", "--json", patience=1200)
    assert shown.code == 0, shown
    assert shown.out.count("\n") == 1
    report = json.loads(shown.out)

    # raw data in the real formats, prepared tasks, runs, a joint report
    raw = tmp_path / "demo" / "raw"
    assert list((raw / "mitdb").glob("*.hea"))
    assert list((raw / "chest_xray" / "train" / "NORMAL").glob("*.jpeg"))
    for name in ("ecg", "pneumonia"):
        task = load_task(tmp_path / "demo" / "data", name)
        assert "generated" in task.info["source"].lower() or "synthetic" in task.info["source"].lower()
    runs = all_runs(tmp_path / "demo" / "runs")
    assert {run.report()["task"] for run in runs} == {"ecg", "pneumonia"} == set(report["tasks"])
    assert all(Expert.load(run.expert_file).facts.encoder["name"] == "vgg16" for run in runs)
    assert "nothing about medicine" in shown.err
    assert all(Expert.load(run.expert_file).facts.path != "probe" for run in runs), "paths are what is shown"
    assert "the linear probe is a baseline here" in shown.err

    # it works: better than chance by far, and the router knows beats from chests
    assert report["routing"]["accuracy"] > 0.95
    assert report["overall"]["accuracy"] > 0.6
    folder = Path(report["folder"])
    figures = {file.name for place in (folder, *(run.folder for run in runs)) for file in place.glob("*.png")}
    assert {"confusion_joint.png", "fitness_curve.png", "path_on_grid.png"} <= figures

    # what it says to do next works
    again = pathsearch("joint-eval", "--data-dir", tmp_path / "demo" / "data", "--runs-dir", tmp_path / "demo" / "runs")
    assert again.code == 0, again
