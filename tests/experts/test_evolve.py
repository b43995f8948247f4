"""A whole run: its report keeps the contract, and the test images are read once, at the very end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from benches import bench
from small_world import (
    data_dir,
    encoder,
    evolve,
    finished,
    generation_of,
    log_rows,
    outcome,
    prepare,
    refused,
    settings,
    task,
)

from data_prep.manifest import Task, save_task
from pathsearch.encoders.features import Features, encode
from pathsearch.encoders.split import Split
from pathsearch.experts.expert import Expert
from pathsearch.experts.router import Territory
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path as ModulePath
from pathsearch.measures.metrics import wilson
from pathsearch.run.runs import Run
from pathsearch.training.baselines import train_path

RATES = {"accuracy", "balanced_accuracy", "recall", "auc"}
RANDOM_SPLIT = {"name": "random", "words": "random split of images", "groups_apart": False}


@pytest.fixture(params=["stripes", "blobs"])
def run(request) -> Run:
    return finished(request.param)


# --- the contract ---------------------------------------------------------------------------------------------------


def test_report_has_the_promised_fields(run):
    report = run.report()
    assert {"task", "split", "encoder", "path", "validation", "test", "baselines", "parameters", "seconds"} <= set(
        report
    )
    assert report["task"] == run.name
    assert report["split"] == "random"
    assert "random" in report["split_in_words"]
    assert report["encoder"]["name"] == "squeezenet1_1"
    assert report["encoder"]["weights"] == "random (He, seed 0)"
    for part in ("validation", "test"):
        rates = report[part]
        assert rates["n"] == len(task(run.name).rows("val" if part == "validation" else "test")) == 24
        assert set(rates["ci95"]) >= RATES
        for name in RATES:
            low, high = rates["ci95"][name]
            assert 0 <= low <= rates[name] <= high <= 1
        counts = np.array(rates["confusion"])
        assert counts.sum() == rates["n"]
        assert np.trace(counts) / rates["n"] == pytest.approx(rates["accuracy"])
        assert rates["ci95"]["accuracy"] == pytest.approx(wilson(int(np.trace(counts)), rates["n"]))
        assert rates["recall"] == pytest.approx(np.mean(np.diag(counts) / counts.sum(1)))
    assert set(report["baselines"]) == {"linear_probe", "random_path", "full_grid"}
    for baseline in report["baselines"].values():
        assert baseline["test"]["n"] == 24
        assert 0 <= baseline["test"]["accuracy"] <= 1
        assert baseline["parameters"] > 0
    assert len(report["baselines"]["random_path"]["each"]) == 2
    assert report["seconds"]["total"] == pytest.approx(
        sum(v for k, v in report["seconds"].items() if k not in ("total", "search_generations"))
    )


def test_a_search_may_start_with_a_ladder(tmp_path):
    chosen = settings("blobs", generations=1, rungs=3)
    run, _ = evolve(tmp_path / "r", chosen)
    visited = generation_of(run)["visited"]
    rungs = Grid(encoder().feature_shape, chosen.grid, chosen.seed).rungs(3)
    assert visited[:3] == [str(path) for path in rungs]


def test_a_run_holds_the_promised_files(run):
    there = {file.name for file in run.folder.rglob("*") if file.is_file()}
    promised = {"config.json", "env.json", "log.csv", "training.csv", "path.json", "expert.safetensors", "report.json"}
    assert promised | {"router.safetensors", "generation.safetensors"} <= there
    assert len(log_rows(run)) == 3
    Territory.load(run.router_file)
    path = json.loads(run.path_file.read_text())
    expert = Expert.load(run.expert_file)
    assert path["path"] == run.report()["path"] == expert.facts.path
    assert path["parameters"] == expert.n_parameters() == run.report()["parameters"]["expert"]
    on_path = sum(path["module_parameters"][n][i] for n, layer in enumerate(path["layers"]) for i in layer)
    assert 0 < expert.n_parameters() - on_path < 100, "the rest is the head"


def test_the_chosen_finalist_is_the_smallest_good_one(run):
    rows = run.report()["finalists"]
    chosen = next(row for row in rows if row["chosen"])
    assert sum(row["chosen"] for row in rows) == 1
    assert chosen["path"] == run.report()["path"]
    assert chosen["validation_accuracy"] == pytest.approx(run.report()["validation"]["accuracy"])
    assert min(row["below_best"] for row in rows) == 0
    assert all(row["standard_error"] > 0 and row["below_best_error"] > 0 for row in rows)
    good = [row for row in rows if row["below_best"] <= row["below_best_error"]]
    assert chosen["parameters"] == min(row["parameters"] for row in good)


def test_finalists_are_trained_alone_from_the_initial_weights(run):
    chosen, prepared = run.settings(), task(run.name)
    found = encode(prepared, encoder(), data_dir() / "features")
    grid = Grid(encoder().feature_shape, chosen.grid, chosen.seed)
    grid.add_head(prepared.name, "linear", (len(prepared.classes),))
    for row in run.report()["finalists"]:
        trained = train_path(
            bench((found.train(), found.validation()), last=chosen.training, task=prepared.name),
            grid,
            ModulePath.parse(row["path"]),
        )
        assert trained.log_likelihood == row["validation_log_likelihood"]
        assert trained.best_epoch == row["epochs"]


def test_training_curve_is_that_of_the_expert(run):
    rows = pd.read_csv(run.training_file)
    chosen = next(row for row in run.report()["finalists"] if row["chosen"])
    at_best = rows[rows["epoch"] == chosen["epochs"]].iloc[0]
    assert at_best["val_accuracy"] == pytest.approx(chosen["validation_accuracy"])


def test_every_way_to_search_ends_in_a_report(tmp_path):
    ways = {
        "fresh": {"weights": "fresh"},
        "pathnet": {"preset": "pathnet", "warmup": 0},
        "pareto": {"pareto": True},
        "auc": {"fitness": "auc", "threshold": "sensitivity:0.9"},
        "views": {"views": 2, "refit": False, "random_paths": 0, "modules": "paper"},
    }
    for name, options in ways.items():
        run, report = evolve(tmp_path / name, settings("blobs", generations=2, population=4, **options))
        assert run.report() == json.loads(json.dumps(report)), name
        assert report["verdict"]
        assert (report["threshold"]["value"] is not None) == (name == "auc")
    assert Run(tmp_path / "views").report()["baselines"]["random_path"]["test"]["n"] == 0
    assert "flip" in Run(tmp_path / "views").report()["views"]


def test_task_names_may_be_anything_a_folder_may(tmp_path):
    for name in ("train", "v1.2"):
        prepared = prepare(tmp_path / "data", "blobs", 30, name=name)
        run, report = evolve(tmp_path / name, settings("blobs", task=name, generations=1), of=prepared)
        assert report["task"] == Expert.load(run.expert_file).facts.task == name


def test_the_threshold_rule_is_refused_for_three_classes(tmp_path):
    with refused("threshold balanced: expected two classes, got 3; use argmax"):
        evolve(tmp_path / "r", settings("stripes", generations=1, threshold="balanced"))


# --- determinism ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["shared", "fresh"])
def test_the_same_seed_gives_the_same_run(tmp_path, weights):
    first = finished("blobs") if weights == "shared" else evolve(tmp_path / "1", settings("blobs", weights=weights))[0]
    again, _ = evolve(tmp_path / "2", settings("blobs", weights=weights))
    assert outcome(first) == outcome(again)


def test_another_seed_gives_another_run(tmp_path):
    other, _ = evolve(tmp_path / "other", settings("blobs", seed=1))
    assert log_rows(other) != log_rows(finished("blobs"))


# --- the test split is sealed ---------------------------------------------------------------------------------------


def calls_of_test(monkeypatch, run_dir: Path) -> list[bool]:
    """For every time that test features are asked for: whether the expert's file was there by then."""
    seen: list[bool] = []
    original: Callable[[Features], Split] = Features.test

    def spy(self: Features) -> Split:
        seen.append((run_dir / "expert.safetensors").is_file())
        return original(self)

    monkeypatch.setattr(Features, "test", spy)
    return seen


def test_test_images_are_asked_for_once_and_after_the_expert_is_fixed(tmp_path, monkeypatch):
    seen = calls_of_test(monkeypatch, tmp_path / "r")
    run, _ = evolve(tmp_path / "r", settings("blobs", generations=1))
    assert seen == [True]
    run.expert_file.unlink()
    encode(task("blobs"), encoder(), data_dir() / "features").test()
    assert seen == [True, False], "the spy would see an early look"


def with_test_labels(original: Task, folder: Path, order: np.ndarray) -> Task:
    """A copy of a task whose test images swap labels by `order`, registered anew."""
    table = original.table.copy()
    rows = original.rows("test")
    table.loc[rows, "label"] = table["label"].to_numpy()[rows][order]
    for file in table["file"]:
        (folder / original.name / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / original.name / file).write_bytes((original.task_dir / file).read_bytes())
    kept = {key: original.info[key] for key in ("source", "licence", "options", "notes")}
    return save_task(
        folder / original.name, name=original.name, classes=original.classes, table=table, split=RANDOM_SPLIT, **kept
    )


@pytest.mark.parametrize("weights", ["shared", "fresh"])
def test_test_labels_cannot_be_reached_from_the_search(tmp_path, weights):
    original = task("blobs")
    order = np.roll(np.arange(24), 5)
    runs = []
    for name, places in (("true", np.arange(24)), ("permuted", order)):
        prepared = with_test_labels(original, tmp_path / name, places)
        chosen = settings("blobs", weights=weights, threshold="balanced")
        runs.append(evolve(tmp_path / "runs" / name, chosen, of=prepared)[0])
    true, permuted = map(outcome, runs)
    for part in ("log", "expert", "router", "training", "path"):
        assert true[part] == permuted[part], part
    assert true["report"]["validation"] == permuted["report"]["validation"]
    assert true["report"]["test"] != permuted["report"]["test"], "the permutation did reach the test"


# --- the verdict ----------------------------------------------------------------------------------------------------


def test_every_baseline_has_its_sentence(run):
    report = run.report()
    assert report["measure"] == "accuracy"
    assert report["intervals"]["groups"] is None
    for name in ("linear_probe", "full_grid"):
        row, other = report["paired"][name], report["mcnemar"][name]
        assert (row["p"], row["difference"]) == (other["p"], pytest.approx((other["b"] - other["c"]) / other["n"]))
    assert len(report["paired"]["random_path"]["each"]) == 2
    said = " ".join(report["verdict"])
    for words in ("the linear probe", "random paths", "the full grid"):
        assert words in said
    assert len(report["verdict"]) == 3


def test_a_mean_of_random_paths_is_their_mean(run):
    row = run.report()["baselines"]["random_path"]
    each = [one["test"]["accuracy"] for one in row["each"]]
    assert row["test"]["accuracy"] == pytest.approx(np.mean(each))
    assert row["test"]["accuracy_sd"] == pytest.approx(np.std(each, ddof=1))


def test_no_global_generator_is_read(tmp_path):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    evolve(tmp_path / "r", settings("blobs", generations=1))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
