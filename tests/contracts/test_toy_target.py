"""A toy target of one file is known by its name, searched for, trained and reported like classes."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from command_world import pathsearch
from page_checks import faults
from PIL import Image
from small_world import evolve, options, refused, scratch, settings

from data_prep.manifest import Task, save_task
from pathsearch.experts.expert import Expert
from pathsearch.grid import plugins
from pathsearch.grid.plugins import load_plugins
from pathsearch.targets import ClassTarget, Target, make_target
from pathsearch.targets.target import TARGETS, register, target_of

from target_contract import B, check_target  # isort: skip

COUNT = Path(__file__).with_name("count.py")


@pytest.fixture
def count(monkeypatch) -> Target:
    """The toy, known for one test."""
    monkeypatch.setitem(TARGETS, "count", None)  # is taken out again afterwards
    del TARGETS["count"]
    for name in ("_loaded", "_named", "_origins"):
        monkeypatch.setattr(plugins, name, dict(getattr(plugins, name)))
    load_plugins([COUNT])
    return make_target("count", list("01234"))


def test_the_toy_keeps_every_promise(count):
    check_target(count, (torch.arange(B) % 5).float())


def test_a_target_is_known_by_its_name(count):
    assert type(count).kind == "count"
    assert count.measure("accuracy") == "closeness", "who asks for no measure gets the first"
    with refused("^fitness: expected one of closeness; got 'auc'$"):
        count.measure("auc")
    with refused("^target: expected one of box, class, mask, image, count; got 'cuont'; did you mean 'count'\\?$"):
        make_target("cuont")
    with pytest.raises(ValueError, match="registered twice"):
        register("class")(ClassTarget)
    circles = type("Circles", (ClassTarget,), {"shows": "circles"})
    with pytest.raises(ValueError, match="expected shows to be one of outlines, boxes, pictures, got 'circles'"):
        register("circles")(circles)
    with refused("^threshold balanced: expected a task of two classes, got count; use argmax$"):
        count.check_rule("balanced")
    with refused("^target count: expected neither balance nor label_smoothing"):
        count.loss(torch.zeros(2), 1.0)


@functools.cache
def blobs() -> Task:
    """Images of 0 to 4 bright blobs in noise."""
    folder, rng, rows = scratch() / "counted" / "counted", np.random.default_rng(0), []
    (folder / "images").mkdir(parents=True)
    y, x = np.mgrid[:48, :48]
    for number in range(200):
        image = rng.normal(20, 6, (48, 48))
        for _ in range(number % 5):
            at_y, at_x = rng.integers(6, 42, 2)
            image = np.maximum(image, 220 * np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / 12))
        file = f"images/{number}.png"
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / file)
        rows.append((file, str(number % 5), ("train", "train", "train", "val", "test")[number // 5 % 5], ""))
    return save_task(
        folder,
        name="counted",
        classes=list("01234"),
        table=pd.DataFrame(rows, columns=["file", "label", "split", "group"]),
        split={"name": "official", "words": "every fifth image tests"},
        source="drawn",
        licence="none",
        options={"image_size": 48},
        notes=[],
        target="count",
    )


@pytest.mark.parametrize("weights", ["shared", "fresh"])
def test_the_toy_evolves(count, tmp_path, weights):
    assert type(target_of(blobs())) is type(count)
    chosen = settings("blobs", weights=weights, epochs=8, patience=8)
    chosen = chosen.__class__.from_dict({**chosen.to_dict(), "task": "counted", "split": "official"})
    run, report = evolve(tmp_path / "run", chosen, of=blobs())
    assert report["measure"] == "closeness"
    rows = [report, *(report["baselines"][name] for name in ("linear_probe", "full_grid"))]
    for row in rows:
        for split in ("validation", "test"):
            found = row[split]["count"]
            assert found["n"] == row[split]["n"] == 40
            low, high = found["ci95"]["closeness"]
            assert 0 < low <= found["closeness"] <= high < 1
    for name in report["baselines"]:
        for tested in report["paired"][name].get("each", [report["paired"][name]]):
            assert tested["measure"] == "closeness"
            assert 0 < tested["p"] <= 1
    assert "mcnemar" not in report
    log = run.log_file.read_text().splitlines()
    assert len(log) == 4
    # the mean of all images, which needs none, is 1.2 off: a path that has learned something is nearer
    middle = float(np.mean([1 / (1 + abs(k - 2)) for k in range(5)]))
    assert report["validation"]["count"]["closeness"] > middle - 0.05
    expert = Expert.load(run.expert_file)
    assert expert.facts.target == "count"
    assert expert.facts.plugins[0].startswith("count.py=")
    assert json.loads(json.dumps(report["finalists"]))
    assert math.isfinite(report["finalists"][0]["score"])


def test_an_expert_of_a_target_that_is_not_loaded_is_refused(count, tmp_path, monkeypatch):
    chosen = settings("blobs", epochs=1, generations=1)
    chosen = chosen.__class__.from_dict({**chosen.to_dict(), "task": "counted", "split": "official"})
    run, _ = evolve(tmp_path / "run", chosen, of=blobs())
    monkeypatch.setattr(plugins, "_loaded", {})
    with refused("expected the plug-in count.py"):
        Expert.load(run.expert_file)


def test_the_command_line_takes_it_to_a_page(tmp_path):
    """In a process of its own, where nothing has loaded the plug-in before."""
    task, runs = blobs(), tmp_path / "runs"
    where = ["--data-dir", task.task_dir.parent, "--runs-dir", runs, "--plugin", COUNT]
    small = [*options(settings("blobs", epochs=2))[2:], "--task", "counted"]
    found = pathsearch("evolve", *small, *where)
    assert found.code == 0, found.err
    assert "test closeness" in found.out
    assert "On test, " in found.out
    (run,) = (folder for folder in runs.iterdir() if folder.is_dir())
    assert faults((run / "report.html").read_text()) == []
    assert not (run / "confusion_test.png").exists()
    refusal = pathsearch("bundle", run.name, "--out", tmp_path / "m", *where)
    assert refusal.code == 2
    assert "expected a target that says how outputs become answers, got count, which has no method" in refusal.err
    joint = pathsearch("joint-eval", *where)
    assert joint.code == 0, joint.err
    assert "counted: closeness" in joint.out
    (page,) = runs.glob("joint-*/report.html")
    assert faults(page.read_text()) == []
    refusal = pathsearch("compare", "--task", "counted", *where)
    assert "compare: expected a task of classes, got 'counted', which asks for count" in refusal.err
    unknown = ["prepare", "npz", "--source", "x.npz", "--target", "cuont", "--plugin", COUNT]
    refusal = pathsearch(*unknown, "--data-dir", tmp_path)
    assert "error: --target: expected one of class, mask, box, image, count; got 'cuont'" in refusal.err
    refusal = pathsearch("evolve", *small, *where[:-4], "--runs-dir", tmp_path / "others")
    assert (
        "target: expected one of box, class, mask, image; got 'count'; one of your own needs --plugin FILE"
        in refusal.err
    )
