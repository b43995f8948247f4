"""Evidence: what a finished run leaves in the repository, and what is refused, file and field named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_world import copied, finished, refused, scratch
from written_reports import comparison_report, config_of, ecg, joint_report, pneumonia, write_all, write_run

from data_prep.whole_files import write_json
from pathsearch.reports.evidence import read_evidence, read_one
from pathsearch.reports.evidence_copy import KEPT, add, place
from pathsearch.run.runs import read_json


def changed(values: dict[str, Any], dotted: str, value: Any = None, *, gone: bool = False) -> dict[str, Any]:
    """A deep copy with one field changed or gone."""
    copy = json.loads(json.dumps(values))
    *way, last = dotted.split(".")
    holder = copy
    for key in way:
        holder = holder[key]
    if gone:
        del holder[last]
    else:
        holder[last] = value
    return copy


# --- reading --------------------------------------------------------------------------------------------------------


def test_everything_finished_is_found_at_any_depth_and_the_rest_named(tmp_path):
    write_all(tmp_path)
    write_json(tmp_path / "later" / "ecg-random-s7" / "config.json", config_of(ecg(7)))
    found, unfinished = read_evidence(tmp_path)
    assert [one.name for one in found] == sorted(one.name for one in found)
    assert {one.kind for one in found} == {"run", "joint", "comparison"}
    assert len(found) == 9
    assert unfinished == ["later/ecg-random-s7"]


def test_a_folder_without_reports_says_what_to_do(tmp_path):
    with refused(r"no report.json below it; put finished runs there with `pathsearch results RUN"):
        read_evidence(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("test.accuracy", None, "field test.accuracy is missing"),
        ("encoder.weights", None, "field encoder.weights is missing"),
        ("parameters", None, "field parameters is missing"),
        ("test", 3, "field test.n is missing"),
        ("test.accuracy", "high", "field test.accuracy: expected a number or null, got 'high'"),
        ("seed", "0", "field seed: expected a whole number, got '0'"),
    ],
)
def test_a_report_without_a_field_is_named(tmp_path, field, value, match):
    write_run(tmp_path / "mine", ecg())
    write_json(tmp_path / "mine" / "report.json", changed(ecg(), field, value, gone=value is None))
    with refused(rf"mine/report.json: {match}"):
        read_evidence(tmp_path)


def test_a_run_that_asks_for_something_else_has_another_page(tmp_path):
    write_run(tmp_path / "runs" / "cells", {**ecg(), "target": "count", "test": {"n": 9, "count": {"n": 9}}})
    line = (
        "report.json: expected a run that asks for class, mask, .* one that asks for count; leave it out: its own page"
    )
    with refused(line):
        read_evidence(tmp_path / "runs")
    with refused(line):
        add(tmp_path / "runs" / "cells", tmp_path / "evidence", "cells")
    assert not (tmp_path / "evidence").exists()


@pytest.mark.parametrize(
    ("report", "field"),
    [
        (joint_report({"ecg": ecg()}, {"ecg": "a"}), "tasks.ecg.routed.unknown"),
        (joint_report({"ecg": ecg()}, {"ecg": "a"}), "overall.oracle_accuracy"),
        (comparison_report(), "methods.ladder.test.auc.mean"),
        (comparison_report(), "rank_fidelity.tau"),
    ],
)
def test_so_are_those_of_joint_evaluations_and_comparisons(tmp_path, report, field):
    write_json(tmp_path / "mine" / "report.json", changed(report, field, gone=True))
    write_json(tmp_path / "mine" / "config.json", config_of(ecg()))
    with refused(rf"mine/report.json: field {field} is missing"):
        read_evidence(tmp_path)


def test_a_report_of_no_known_kind_is_refused(tmp_path):
    write_json(tmp_path / "mine" / "report.json", {"weather": "fine", "kind": "diary"})
    with refused("mine/report.json: expected the report of a run, .* got fields kind, weather"):
        read_evidence(tmp_path)


def test_unknown_and_missing_settings_are_named(tmp_path):
    folder = write_run(tmp_path / "mine", ecg(), colour="blue")
    with refused("mine/config.json: unknown key 'colour' in RunSettings"):
        read_evidence(tmp_path)
    settings = config_of(ecg())
    write_json(folder / "config.json", changed(settings, "task", gone=True))
    with refused("mine/config.json: field task is missing"):
        read_evidence(tmp_path)
    write_json(folder / "config.json", changed(settings, "encoder.dial", 11))
    with refused("mine/config.json: unknown key 'dial' in EncoderSettings"):
        read_evidence(tmp_path)
    (folder / "config.json").unlink()
    with refused("mine/config.json: no such file"):
        read_evidence(tmp_path)


def test_settings_from_before_a_setting_was_there_get_its_default(tmp_path):
    folder = write_run(tmp_path / "mine", ecg())
    write_json(folder / "config.json", changed(config_of(ecg()), "encoder.precision", gone=True))
    assert read_evidence(tmp_path)[0][0].config["encoder"]["precision"] == "float32"


# --- copying --------------------------------------------------------------------------------------------------------


def test_a_copy_holds_reports_and_settings_only_and_nothing_of_the_machine(tmp_path):
    run = write_run(tmp_path / "runs" / "pneumonia-official-s0", pneumonia(note="made in /home/me/lab/room 2 on A/L/R"))
    for name in ("expert.safetensors", "pictures.json", "log.csv", "report.html"):
        (run / name).write_text("secret")
    folder = add(run, tmp_path / "evidence", "trunk/pneumonia-official-s0")
    assert sorted(file.name for file in folder.iterdir()) == sorted(KEPT)
    text = "".join(file.read_text() for file in folder.iterdir())
    for barred in ("/home", "secret", "patient-7", "mistakes", "of-this-machine"):
        assert barred not in text
    assert "sha256 0123456789ab" in text, "the digest stays"
    assert read_json(folder / "config.json")["encoder"]["weights"] == "trunk.safetensors"
    assert read_json(folder / "report.json")["note"] == "made in room 2 on A/L/R"
    assert read_json(folder / "report.json")["split_in_words"] == "official test split"
    assert read_json(folder / "report.json")["test"] == pneumonia()["test"], "numbers are as they were"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("/home/me/w.pth", "w.pth"),
        ("~/w.pth", "w.pth"),
        (r"C:\Users\me\my weights\w.pth", "w.pth"),
        ("/home/me/a folder/w.pth", "w.pth"),
        ("file /tmp/a/b.safetensors (sha256 1)", "file b.safetensors (sha256 1)"),
        ("'../up/w.pth' it was", "'w.pth' it was"),
        ("RGB / 255, split 60/20/20, A/L/R, see https://example.org/a/b", None),
        ("paths 0+1|2|3", None),
    ],
)
def test_folders_go_and_other_slashes_stay(tmp_path, said, kept):
    run = write_run(tmp_path / "run", ecg(said=[{"deep": said}]))
    report = read_json(add(run, tmp_path / "evidence", "run") / "report.json")
    assert report["said"] == [{"deep": said if kept is None else kept}]


def test_a_grid_is_named_by_its_run(tmp_path):
    run = write_run(tmp_path / "run", ecg(), grown_from="/home/me/runs/first-s0")
    assert read_json(add(run, tmp_path / "evidence", "run") / "config.json")["grown_from"] == "first-s0"


def test_how_a_task_was_prepared_is_kept_if_it_is_the_data_of_the_run(tmp_path):
    task = {"name": "ecg", "source": "records in /home/me/records", "options": {"image_size": 64, "context": "strip"}}
    task |= {"manifest_sha256": "a" * 64, "images_sha256": "b" * 64, "leakage": {"examples": ["patient-7.png"]}}
    run = write_run(tmp_path / "run", ecg(data=f"{'a' * 16}-{'b' * 16}"))
    assert not (add(run, tmp_path / "evidence", "gone", tmp_path / "data") / "task.json").exists()
    write_json(tmp_path / "data" / "ecg" / "task.json", task)
    kept = add(run, tmp_path / "evidence", "here", tmp_path / "data")
    assert read_json(kept / "task.json") == {k: task[k] for k in ("name", "options")} | {"source": "records in records"}
    assert read_one(kept, "here").prepared["options"]["context"] == "strip"
    write_json(tmp_path / "data" / "ecg" / "task.json", task | {"images_sha256": "c" * 64})
    assert not (add(run, tmp_path / "evidence", "other", tmp_path / "data") / "task.json").exists()


def test_a_comparison_keeps_less_of_each_network(tmp_path):
    write_json(tmp_path / "c" / "report.json", comparison_report())
    write_json(tmp_path / "c" / "config.json", {**config_of(ecg()), "seeds": 2})
    report = read_json(add(tmp_path / "c", tmp_path / "evidence", "c") / "report.json")
    one = report["methods"]["ladder"]["each"][0]
    assert "candidates" not in one
    assert list(one["validation"]) == ["n", "accuracy", "balanced_accuracy", "auc"]
    assert one["test"]["confusion"] == [[9, 1], [2, 8]]
    assert "ci95" not in one["test"]
    assert report["methods"]["ladder"]["test"] == comparison_report()["methods"]["ladder"]["test"]


def test_a_copy_is_refused_where_it_cannot_be_honest(tmp_path):
    run = write_run(tmp_path / "run", ecg())
    add(run, tmp_path / "evidence", "run")
    add(run, tmp_path / "evidence", "run")  # the same again is no harm
    other = write_run(tmp_path / "other", ecg(1))
    with refused("evidence .*run: is there already, with other settings; .* --into"):
        add(other, tmp_path / "evidence", "run")
    (other / "report.json").unlink()
    with refused("run .*other: not finished: it has no report.json yet"):
        add(other, tmp_path / "evidence", "other")
    with refused("not there"):
        add(tmp_path / "nowhere", tmp_path / "evidence", "other")
    write_json(other / "report.json", changed(ecg(1), "test.recall", gone=True))
    with refused("other/report.json: field test.recall is missing"):
        add(other, tmp_path / "evidence", "other")
    assert not (tmp_path / "evidence" / "other").exists()


def test_a_run_keeps_its_place_below_the_directory_of_runs(tmp_path):
    runs = tmp_path / "runs"
    write_run(runs / "trunk" / "a-s0", ecg())
    elsewhere = write_run(tmp_path / "b-s0", ecg())
    assert place("trunk/a-s0", runs) == (runs / "trunk" / "a-s0", "trunk/a-s0")
    assert place(str(runs / "trunk" / "a-s0"), runs)[1] == "trunk/a-s0"
    assert place(str(elsewhere), runs)[1] == "b-s0"
    assert place(str(elsewhere), runs, "more/of it")[1] == "more/of it/b-s0"
    with refused("run c-s0: not found in .*runs"):
        place("c-s0", runs)
    for out in ("../up", "/abs"):
        with refused(f"--into {out}: expected a folder below"):
            place("trunk/a-s0", runs, out)


def test_a_real_run_passes(tmp_path):
    run = copied(finished("stripes"), scratch() / "evidence-of")
    folder = add(run.folder, tmp_path, "stripes")
    (found,), unfinished = read_evidence(tmp_path)
    assert (found.kind, unfinished) == ("run", [])
    assert found.report["test"] == run.report()["test"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 40_000
    assert str(Path(scratch())) not in "".join(file.read_text() for file in folder.iterdir())
