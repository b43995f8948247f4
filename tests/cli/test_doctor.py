"""The doctor: says what is there and what to do, and never falls ill itself."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError

import pytest
import torch
from small_world import copied, data_dir, finished, prepare, runs_dir

from data_prep.whole_files import write_json
from pathsearch.cli import doctor
from pathsearch.cli import main as cli
from pathsearch.cli.doctor import Finding, examine
from pathsearch.experts import joint
from pathsearch.run.sums import write_sums


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    found = {finding.what: finding for finding in findings}
    assert len(found) == len(findings), "two findings of one name would be one in --json"
    return found


def test_an_empty_place_gets_advice(tmp_path):
    found = by_name(examine(tmp_path / "data", tmp_path / "runs"))
    assert found["python"].ok
    assert found["torch"].ok
    assert not found["tasks"].ok
    assert "pathsearch prepare" in found["tasks"].advice
    assert found["runs"].found == f"0 in {tmp_path / 'runs'}"
    assert "GiB" in found["free disk"].found
    assert not any(finding.fatal for finding in found.values())


def test_tasks_and_runs_are_listed(tmp_path):
    finished("blobs")
    found = by_name(examine(data_dir(), runs_dir()))
    assert found["task blobs"] == Finding("task blobs", True, "120 images, large, small")
    assert found["task stripes"].ok
    assert found["runs"].ok


def test_an_unfinished_run_is_named(tmp_path):
    copied(finished("blobs"), tmp_path).sums_file.unlink()
    found = by_name(examine(data_dir(), tmp_path))
    assert not found["runs"].ok
    assert "unfinished: blobs; go on with the same command and --resume" in found["runs"].advice


def test_a_damaged_run_is_named(tmp_path):
    run = copied(finished("blobs"), tmp_path)
    run.log_file.write_text("generation\n")
    found = by_name(examine(data_dir(), tmp_path))
    assert not found["runs"].ok
    assert "log.csv: differs from its digest" in found["runs"].advice
    assert "unfinished" not in found["runs"].advice


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00garbage", '{"task": 3}', None])
def test_an_unfinished_run_whose_settings_are_garbage_is_damaged(tmp_path, content):
    run = copied(finished("blobs"), tmp_path)
    run.sums_file.unlink()
    run.config_file.unlink()
    if content is None:
        run.config_file.mkdir()
    else:
        run.config_file.write_text(content)
    advice = by_name(examine(data_dir(), tmp_path))["runs"].advice
    assert "config.json" in advice
    assert "go on with" not in advice


def test_a_finished_run_without_its_settings_is_damaged(tmp_path):
    copied(finished("blobs"), tmp_path).config_file.unlink()
    runs = by_name(examine(data_dir(), tmp_path))["runs"]
    assert runs.found.startswith("1 in ")
    assert "config.json: expected a file, got none" in runs.advice


def test_an_unfinished_comparison_goes_on_without_resume(tmp_path):
    folder = tmp_path / "compare-blobs"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    copied(finished("blobs"), tmp_path).sums_file.unlink()
    advice = by_name(examine(data_dir(), tmp_path))["runs"].advice
    resumed, same = advice.split("; unfinished")
    assert resumed == "unfinished: blobs; go on with the same command and --resume"
    assert same == ": compare-blobs; go on with the same command"
    (folder / "config.json").write_text("{")
    assert "config.json: not readable as JSON" in by_name(examine(data_dir(), tmp_path))["runs"].advice


def test_joint_evaluations_are_verified(tmp_path):
    folder = tmp_path / "joint-blobs"
    write_json(folder / "env.json", {})
    write_json(folder / "report.json", {})
    write_sums(folder, joint.SAVED)
    assert by_name(examine(data_dir(), tmp_path))["runs"] == Finding("runs", True, f"1 in {tmp_path}")
    (folder / "report.json").write_text("[]")
    runs = by_name(examine(data_dir(), tmp_path))["runs"]
    assert not runs.ok
    assert "report.json: differs from its digest" in runs.advice


@pytest.mark.parametrize("damage", ["manifest.csv", "task.json", "an image", "a name"])
def test_a_damaged_task_is_a_finding_not_an_error(tmp_path, damage):
    prepared = prepare(tmp_path, "blobs", 30)
    if damage == "an image":
        prepared.files()[0].unlink()
    elif damage == "a name":
        prepared.task_dir.rename(tmp_path / "two words")
    else:
        (prepared.task_dir / damage).write_bytes(b"\xff\x00 nonsense")
    (bad,) = [finding for finding in examine(tmp_path, tmp_path) if finding.what.startswith("task ")]
    assert not bad.ok
    assert not bad.fatal
    assert "\n" not in bad.found
    assert "prepare it again with --overwrite" in bad.advice


def test_missing_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    missing = by_name(examine(tmp_path, tmp_path))["vgg16 ImageNet"]
    assert not missing.ok
    assert "offline: put the file from https://" in missing.advice
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / missing.advice.partition("from ")[2].split()[0].rpartition("/")[2]).touch()
    assert by_name(examine(tmp_path, tmp_path))["vgg16 ImageNet"].ok


def test_torch_and_torchvision_that_do_not_fit_are_fatal(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # its import fails
    findings = examine(tmp_path, tmp_path)
    (bad,) = [finding for finding in findings if finding.fatal]
    assert "do not fit each other" in bad.found
    assert "pip install torch torchvision" in bad.advice
    monkeypatch.setattr(sys, "argv", ["pathsearch", "doctor", "--data-dir", str(tmp_path), "--runs-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "pip install torch torchvision" in capsys.readouterr().out


def test_a_missing_package_is_fatal(tmp_path, monkeypatch):
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", absent)
    assert {finding.what for finding in examine(tmp_path, tmp_path) if finding.fatal} == {"torch", "torchvision"}


def test_full_disk_gets_advice(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 2**29})())
    disk = by_name(examine(tmp_path, tmp_path))["free disk"]
    assert not disk.ok
    assert "0.5 GB a view" in disk.advice


def test_the_command_prints_findings_and_advice(tmp_path, monkeypatch, capsys):
    where = ["--data-dir", str(tmp_path / "data"), "--runs-dir", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["pathsearch", "doctor", *where])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "ok    python" in out
    assert "look  tasks" in out
    assert "→ pathsearch prepare" in out
    monkeypatch.setattr(sys, "argv", ["pathsearch", "doctor", *where, "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    found = json.loads(capsys.readouterr().out)
    assert found["tasks"]["ok"] is False
