"""Paths with recipes in training: each as settings of the same values would train it, alone or beside others."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from benches import bench
from evaluators import PATHS, SETTINGS, fresh, snapshot
from page_checks import faults
from small_world import data_dir, encoder, evolve, log_rows, outcome, scratch, settings, task

from pathsearch.cli.terminal import Terminal
from pathsearch.encoders.features import encode
from pathsearch.experts.expert import Expert
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import CHOICES, Recipe, all_recipes, followed
from pathsearch.reports.report_page import write_page
from pathsearch.reports.results_page import escaped
from pathsearch.run.runs import Run
from pathsearch.run.settings import TrainingSettings
from pathsearch.training.baselines import random_paths, refit_path, train_path
from pathsearch.training.kept import Kept

RECIPES = [Recipe(8e-3, 30.0, 0.75), Recipe(5e-4, 0.1, 0.0), Recipe(4e-3, 3.0, 0.25)]
EVOLVING = replace(SETTINGS, weights="fresh", recipes=True)
LAST = TrainingSettings(epochs=3, batch_size=64, average=0.7)


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


def dressed(path: Path, recipe: Recipe) -> Path:
    return replace(path, recipe=recipe)


def test_settings_that_follow_a_recipe():
    own = RECIPES[0]
    for before in (SETTINGS, LAST):
        now = followed(before, own)
        assert (now.learning_rate, now.weight_decay, now.dropout) == (8e-3, 30.0, 0.75)
        assert replace(now, **{name: getattr(before, name) for name in CHOICES}) == before
        assert followed(before, None) is before


# --- the search's training ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_recipe_scores_as_settings_of_its_values(make_grid, splits, recipe):
    ours, plain = fresh(make_grid, splits, EVOLVING), fresh(make_grid, splits, followed(SETTINGS, recipe))
    assert ours.score([dressed(path, recipe) for path in PATHS]) == plain.score(PATHS)
    assert ours.score(PATHS) == fresh(make_grid, splits).score(PATHS), "without one, as the settings say"


def test_a_score_is_of_the_path_and_its_recipe_alone(make_grid, splits):
    paths = [dressed(path, recipe) for path, recipe in product(PATHS, RECIPES)]
    together, apart = fresh(make_grid, splits, EVOLVING), fresh(make_grid, splits, EVOLVING)
    together.train([*paths, *PATHS], 1)
    for path in [*paths, *PATHS]:
        for own, other in zip(together.known[path][0], apart.score([path])[0], strict=True):
            assert own == pytest.approx(other, rel=1e-4)
    assert len({together.known[path][0] for path in paths}) == len(paths), "recipes matter"


def test_paths_of_all_recipes_train_in_one_pass(make_grid, splits, monkeypatch):
    evaluator, passes = fresh(make_grid, splits, EVOLVING), []
    original = evaluator._evaluate
    monkeypatch.setattr(evaluator, "_evaluate", lambda paths: passes.append(paths) or original(paths))
    mixed = [dressed(path, recipe) for path, recipe in product(PATHS, RECIPES)]
    evaluator.train(mixed, 1)
    evaluator.train(mixed, 2)
    assert passes == [mixed]


def test_the_state_round_trips(make_grid, splits):
    evaluator, again = fresh(make_grid, splits, EVOLVING), fresh(make_grid, splits, EVOLVING)
    evaluator.train([dressed(PATHS[0], RECIPES[0]), PATHS[0], dressed(PATHS[0], RECIPES[1])], 1)
    again.load_state(snapshot(evaluator.state()))
    assert list(again.known.items()) == list(evaluator.known.items())


def test_no_recipe_diverges(make_grid, splits):
    """Not even those of the ends of the choices."""
    ends = [Recipe(*values) for values in product(*((choices[0], choices[-1]) for choices in CHOICES.values()))]
    assert set(ends) < set(all_recipes())
    settings = replace(EVOLVING, steps=60)
    found = fresh(make_grid, splits, settings).score([dressed(PATHS[2], recipe) for recipe in ends])
    assert all(math.isfinite(value) for fitness in found for value in fitness)


# --- the last training ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refit", [False, True])
def test_the_last_training_follows_the_recipe(make_grid, splits, refit):
    recipe, path, last = RECIPES[2], PATHS[1], replace(LAST, refit=refit)
    ours = train_path(bench(splits, last=last), make_grid(), dressed(path, recipe))
    plain = train_path(bench(splits, last=followed(last, recipe)), make_grid(), path)
    assert ours.history == plain.history
    assert torch.equal(ours.said["log_p"], plain.said["log_p"])
    assert same_weights(ours, plain)
    assert ours.history != train_path(bench(splits, last=last), make_grid(), path).history


def test_the_refit_follows_the_recipe(make_grid, splits):
    path = dressed(PATHS[1], RECIPES[2])
    before = train_path(bench(splits, last=replace(LAST, refit=False)), make_grid(), path)
    ours = refit_path(bench(splits, last=LAST), make_grid(), path, before)
    assert same_weights(ours, train_path(bench(splits, last=LAST), make_grid(), path))
    assert not same_weights(ours, refit_path(bench(splits, last=LAST), make_grid(), path.bare, before))


def same_weights(first: Any, second: Any) -> bool:
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_random_paths_with_recipes(make_grid):
    found = random_paths(make_grid(), 8, 0, recipes=True)
    assert all(path.recipe for path in found)
    assert found[0].bare == random_paths(make_grid(), 1, 0)[0]


# --- a whole run ----------------------------------------------------------------------------------------------------

CHOSEN = {"weights": "fresh", "recipes": True}


@pytest.fixture(scope="module")
def run() -> Run:
    return evolve(scratch() / "with-recipes" / "first", settings("blobs", **CHOSEN))[0]


def test_the_report_says_the_recipe(run):
    report = run.report()
    path = Path.parse(report["path"])
    assert path.recipe is not None
    assert report["recipe"] == path.recipe.as_dict()
    assert Expert.load(run.expert_file).facts.path == report["path"] == json.loads(run.path_file.read_text())["path"]
    rows = [row["path"] for row in [*report["finalists"], *report["baselines"]["random_path"]["each"]]]
    rows += [row["best_path"] for row in log_rows(run)]
    assert all(Path.parse(text).recipe is not None for text in rows)
    assert report["baselines"]["full_grid"]["path"] == "full grid"


def test_finalists_are_trained_by_their_recipes(run):
    chosen, found = run.settings(), encode(task("blobs"), encoder(), data_dir() / "features")
    grid = Grid(encoder().feature_shape, chosen.grid, chosen.seed)
    grid.add_head("blobs", "linear", (2,))
    for row in run.report()["finalists"]:
        path = Path.parse(row["path"])
        last = followed(chosen.training, path.recipe)
        trained = train_path(bench((found.train(), found.validation()), last=last, task="blobs"), grid, path.bare)
        assert trained.log_likelihood == row["validation_log_likelihood"]


def test_what_is_shown_names_the_recipe(run, capsys):
    text = write_page(run.folder).read_text()
    assert faults(text) == []
    assert f"Chosen: {run.report()['path']} (modules" in text
    assert "after @ its learning rate, weight decay and dropout" in text
    assert "full grid and linear probe were trained as the settings say" in text
    Terminal().run_table(run.report())
    assert capsys.readouterr().out
    assert escaped(run.report()["path"]).count("@") == 1


def test_a_run_that_was_stopped_goes_on_to_the_same_end(run, tmp_path, monkeypatch):
    original, saved = Kept.save_generation, []

    def stop_after_two(self: Kept, *arguments: Any) -> None:
        original(self, *arguments)
        saved.append(self)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Kept, "save_generation", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        evolve(tmp_path / "stopped", settings("blobs", **CHOSEN))
    again, _ = evolve(tmp_path / "stopped", settings("blobs", **CHOSEN), resume=True)
    assert outcome(again) == outcome(run)


def test_a_second_task_goes_on_its_grid(run):
    second, report = evolve(
        scratch() / "with-recipes" / "second", settings("stripes", grown_from="first", generations=1, random_paths=0)
    )
    assert report["earlier_experts"][0]["logits_identical"]
    assert "recipe" not in report
    assert set(json.loads(second.path_file.read_text())["paths"]) == {"blobs", "stripes"}
