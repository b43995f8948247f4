"""Several targets of one prepared task: NAME:TARGET asks for another than it asks for by itself."""

from __future__ import annotations

import pytest
from dense_world import dense_data, train

from data_prep.errors import BadData
from data_prep.manifest import load_task
from data_prep.table_words import folder_of
from pathsearch.run.runs import Run


def test_a_task_is_asked_for_another_target_by_its_name():
    task = load_task(dense_data(), "discs:class")
    assert (task.name, task.folder, task.target, task.classes) == ("discs:class", "discs", "class", ("small", "large"))
    by_itself = load_task(dense_data(), "discs")
    assert load_task(dense_data(), "discs:mask").name == "discs"
    assert task.fingerprint == by_itself.fingerprint
    assert folder_of("discs") == "discs"


def test_a_target_without_truth_is_refused():
    with pytest.raises(BadData, match="task discs: expected truth for the target 'box'"):
        load_task(dense_data(), "discs:box")


def test_two_targets_of_one_task_share_a_grid_and_the_encoded_images(tmp_path):
    assert train(tmp_path).code == 0
    encoded = sorted((dense_data() / "features").iterdir())
    done = train(tmp_path, "--grid", "discs-random-s0", task="discs:class")
    assert done.code == 0, done
    assert sorted((dense_data() / "features").iterdir()) == encoded
    report = Run(tmp_path / "discs-class-random-s0").report()
    assert report["task"] == "discs:class"
    assert report["earlier_experts"][0]["logits_identical"]


def test_an_unknown_target_is_one_line(tmp_path):
    done = train(tmp_path, task="discs:colour")
    assert done.code == 2
    assert "target: expected one of box, class, mask, image; got 'colour'" in done.err
    assert "Traceback" not in done.err
