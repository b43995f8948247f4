"""Joint evaluations as they are saved and found again: what was left out, by which router, under which digests."""

from __future__ import annotations

import json
import shutil

import pytest
from command_world import pathsearch
from joined import evaluate
from small_world import CPU, copied, data_dir, finished, place, refused

from pathsearch.experts import joint
from pathsearch.experts.model import Model
from pathsearch.run.runs import Run

# --- what was left out, and by which router -------------------------------------------------------------------------


def test_the_report_says_what_was_left_out():
    assert evaluate()["left_out"] == {}
    why = {"lungs": "another encoder: vgg16, random, 64 px"}
    runs = [finished("blobs")]
    made = joint.joint_evaluate(runs, data_dir(), place(), 0, left_out=why)
    assert made["left_out"] == why


def test_a_bare_command_says_what_it_leaves_out(tmp_path):
    copied(finished("blobs"), tmp_path)
    damaged = Run(shutil.copytree(finished("stripes").folder, tmp_path / "damaged"))
    damaged.log_file.write_text("")
    begun = Run(tmp_path / "begun")
    begun.open(finished("stripes").settings(), resume=False, overwrite=False)
    ended = pathsearch("joint-eval", "--runs-dir", tmp_path, "--data-dir", data_dir())
    assert ended.code == 0, ended
    assert "left out  begun: not finished\n" in ended.out
    assert "left out  damaged: " in ended.out
    assert "damaged/log.csv: differs from its digest" in ended.out
    (folder,) = tmp_path.glob("joint-*")
    assert set(joint.read(folder)["left_out"]) == {"begun", "damaged"}


def test_a_report_is_found_by_runs_digests_and_thresholds(tmp_path, runs):
    usual, generous = Model.of(runs, CPU), Model.of(runs, CPU, 0.5)
    assert joint.newest(runs, usual) is None
    report = joint.joint_evaluate(runs, data_dir(), place(), 0, 0.5)
    folder = joint.save(report, tmp_path)
    assert joint.newest(runs, usual) is None, "another router was asked"
    assert joint.newest(runs, generous) == json.loads(json.dumps(report))
    assert joint.newest(runs[:1], Model.of(runs[:1], CPU, 0.5)) is None
    old = {key: value for key, value in report.items() if key not in ("sha256", "thresholds", "digests")}
    (folder / "SHA256SUMS").unlink()
    for rate, found in ((0.5, False), (0.01, True)):
        (folder / "report.json").write_text(json.dumps({**old, "false_rejection_on_validation": rate}))
        assert (joint.newest(runs, usual) is not None) == found, "an earlier version says the rate only"


@pytest.mark.parametrize("name", ["report.json", "env.json", "SHA256SUMS"])
def test_a_damaged_report_is_refused_and_not_found(tmp_path, runs, name):
    model = Model.of(runs, CPU)
    folder = joint.save(joint.joint_evaluate(runs, data_dir(), place(), 0), tmp_path)
    assert joint.newest(runs, model) == joint.read(folder)
    content = (folder / name).read_bytes()
    for damaged in (content[:-2], content.replace(b"0", b"1", 1), None):
        (folder / name).unlink() if damaged is None else (folder / name).write_bytes(damaged)
        assert joint.newest(runs, model) is None
        with refused(f"{name}|SHA256SUMS"):
            joint.read(folder)
    assert pathsearch("plot", folder.name, "--runs-dir", tmp_path).code == 2


# --- saving ---------------------------------------------------------------------------------------------------------


def test_each_saved_report_has_a_directory_of_its_own(tmp_path, report):
    renamed = {**report, "tasks": {"chest_xray": {}, "ecg_2": {}}}
    folders = [joint.save(renamed, tmp_path) for _ in range(3)]  # three within a second
    assert len(set(folders)) == 3
    assert all(folder.name.startswith("joint-chest_xray+ecg_2-2") for folder in folders)
    assert all(json.loads((folder / "report.json").read_text()) == renamed for folder in folders)


def test_what_a_killed_evaluation_left_goes_with_the_next(tmp_path, report):
    folder = joint.save(report, tmp_path)
    left = [folder / ".SHA256SUMS.0123abcd.part", folder / ".report.html.89abcdef.part.html"]
    for file in left:
        file.touch()
    joint.save(report, tmp_path)
    assert not any(file.exists() for file in left)
    assert joint.read(folder)["tasks"] == json.loads(json.dumps(report["tasks"]))
