"""Test images that shared layers have learned from are counted and told, whatever task they were in."""

from __future__ import annotations

import functools
from dataclasses import replace

from small_world import CPU, TASKS, encoder, evolve, finished, prepare, runs_dir, scratch, settings, task

from pathsearch.encoders.features import Features, encode
from pathsearch.experts.model import Model
from pathsearch.experts.model_card import card
from pathsearch.experts.pictures import Preparation
from pathsearch.experts.run_report import report_of
from pathsearch.experts.seen import keep_seen, seen_before, seen_in_words
from pathsearch.reports.report_page import write_page
from pathsearch.run.runs import Run


@functools.cache
def again() -> Features:
    """The stripes once more, split by another seed."""
    return encode(prepare(scratch() / "again", "stripes", name="again", seed=1), encoder(), scratch() / "again")


def among() -> int:
    """Test images of the other split that the stripes' run has trained or chosen on, by their bytes."""
    files = task("stripes").files()
    seen = {files[row].read_bytes() for split in ("train", "val") for row in task("stripes").rows(split)}
    return sum(file.read_bytes() in seen for file in again().files("test"))


def test_images_in_training_of_one_and_test_of_another_are_counted():
    old = finished("stripes")
    n = among()
    assert 0 < n < len(again().files("test"))
    (row,) = seen_before(again(), [("stripes", old)])
    assert row == {"task": "stripes", "run": old.name, "test_images": len(again().files("test")), "n": n}
    assert "the numbers flatter" in seen_in_words({"seen_before": [row]})[0]
    assert seen_before(again(), []) == []


def test_few_images_are_few():
    few = again().limited(2, 0)
    assert len(few.files("train")) == 2 * len(TASKS["stripes"][0])
    assert set(few.files("train")) < set(again().files("train"))
    assert few.files("test") == again().files("test")


def test_a_run_of_an_earlier_version_has_seen_nobody_knows_what(tmp_path):
    (row,) = seen_before(again(), [("stripes", Run(tmp_path))])
    assert row["n"] is None
    assert "is not known" in seen_in_words({"seen_before": [row]})[0]
    keep_seen(again(), Run(tmp_path / "new"), [Run(tmp_path)])
    assert not Run(tmp_path / "new").seen_file.exists()


def test_layers_that_were_trained_on_have_seen_what_they_saw_before(tmp_path):
    keep_seen(again(), Run(tmp_path), [finished("blobs")])
    lines = set(Run(tmp_path).seen_file.read_text().split())
    assert lines > set(finished("blobs").seen_file.read_text().split())


def test_report_page_and_card_say_it():
    chosen = replace(settings("stripes", grown_from=finished("stripes").name), task="again")
    run, report = evolve(runs_dir() / "seeing", chosen, of=again().task)
    (row,) = report["seen_before"]
    assert row["n"] == among()
    run.verify()
    assert "  seen.sha256\n" in run.sums_file.read_text()
    (line,) = seen_in_words(report_of(run))
    assert line in write_page(run.folder, scratch() / "again").read_text()
    made = card(Model.of([run], CPU), [run], [again().task], Preparation((48,), grey=True), onnx=False)
    assert f"{row['n']} of {row['test_images']} test images are training or validation images" in made
    assert "seen_before" not in finished("stripes").report()
