"""The controls: each at the evolved path's budget, under its selection rule, with its freedom."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from benches import bench, train_probe
from comparisons import bench as world_bench
from comparisons import chosen, run
from page_checks import faults
from small_world import encoder

from pathsearch.cli.terminal import Terminal
from pathsearch.encoders.split import Split, Standardiser
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path as ModulePath
from pathsearch.grid.recipe import Recipe, followed
from pathsearch.measures.statistics import rank_agreement
from pathsearch.reports.figures import plot_comparison
from pathsearch.reports.report_page import write_page
from pathsearch.run.settings import GridSettings
from pathsearch.run.streams import derive
from pathsearch.search import choice, drawing, nearest, rivals
from pathsearch.search.arena import Budget, epoch, until_spent
from pathsearch.search.comparison import Comparison
from pathsearch.search.rivals import METHODS
from pathsearch.targets.classes import probabilities
from pathsearch.training.baselines import train_path
from pathsearch.training.bench import Bench

# --- the controls ---------------------------------------------------------------------------------------------------


def test_rungs_rise_in_size():
    grid = Grid((8, 2, 2), GridSettings(n_modules=6, width=8), seed=0)
    grid.add_head("t", "linear", (2,))
    several = grid.rungs(3)
    sizes = [grid.count_parameters(path, "t") for path in several]
    assert sizes == sorted(set(sizes))
    ranked = [sorted(row) for row in grid.module_parameters()]
    for path, place in ((several[0], 0), (several[-1], -1)):
        assert [grid.module_parameters()[n][layer[0]] for n, layer in enumerate(path.layers)] == [
            row[place] for row in ranked
        ]
    assert len(grid.rungs(99)) == 6, "no more rungs than modules"
    assert grid.rungs(0) == []
    assert all(len(layer) == 1 for path in several for layer in path.layers)


@pytest.mark.parametrize("method", ["evolved", "random_search", "pathnet"])
def test_pathnet_alone_starts_without_rungs(method, monkeypatch):
    first: list[list[str]] = []
    original = rivals.search

    def spy(evaluator: Any, *others: Any) -> Any:
        found = original(evaluator, *others)
        first.append([path for path in found.visited[:3] if path in rungs])
        return found

    monkeypatch.setattr(rivals, "search", spy)
    here = world_bench(chosen(rungs=3, epochs=1))
    rungs = [str(path) for path in here.grid().rungs(3)]
    rivals.enter(here, method)
    assert first == [rungs if method != "pathnet" else []]


@pytest.mark.parametrize("method", ["evolved", "random_search", "pathnet"])
def test_every_search_spreads_its_finalists_alike(method, monkeypatch):
    """Under `pareto` the controls' candidates span the sizes too, though they do not search by it."""
    asked: list[tuple[bool, str]] = []
    original = rivals.finalists

    def spy(here: Bench, *others: Any) -> Any:
        asked.append((here.search.pareto, here.search.preset))
        return original(here, *others)

    monkeypatch.setattr(rivals, "finalists", spy)
    rivals.enter(world_bench(chosen(pareto=True, epochs=1)), method)
    assert asked == [(True, {"random_search": "random", "pathnet": "pathnet"}.get(method, "generational"))]


def test_the_first_restart_is_the_seed_itself():
    found = rivals.enter(world_bench(), "full_grid", Budget(0, 1))
    assert len(found.facts["candidates"]) == 1, "one training at least"
    assert ModulePath.parse(found.facts["path"]) == Grid(encoder().feature_shape, chosen().grid, 0).space.full_path()


@pytest.mark.parametrize("method", METHODS)
def test_a_loaded_part_answers_validation_as_it_was_trained(compared, method):
    """Without a refit the fixed network is the one whose validation answers were kept."""
    of = chosen(refit=False)
    here = world_bench(of)
    entry = rivals.enter(here.at(1), method)
    found = rivals.answers(here.at(1), entry, here.validation)
    np.testing.assert_allclose(probabilities(found), probabilities(entry.said), atol=1e-6)


def line(values: list[float], labels: list[int], name: str = "train") -> Split:
    """Images whose one feature is a number."""
    maps = np.array(values, np.float16)[:, None, None, None]
    rows = (np.arange(len(values)),)
    return Split(name, torch.tensor(labels), (maps,), rows, Standardiser(torch.zeros(1, 1, 1), torch.ones(1, 1, 1)))


def test_neighbours_by_hand():
    known = line([0, 1, 2, 10, 11, 12], [0, 0, 0, 1, 1, 1])
    asked = line([1, 6.4, 11], [0, 1, 1], "val")
    whole = bench((known, asked))
    alone = whole.without_refit()
    # k = 1: one vote and one image more of each class: (1 + 1) / 3 against 1 / 3
    expected = [[2 / 3, 1 / 3], [1 / 3, 2 / 3], [1 / 3, 2 / 3]]
    np.testing.assert_allclose(probabilities(nearest.answers(alone, asked, 1)), expected)
    # k = 5: of the five nearest to 6.4 (2, 10, 1, 11, 12) three are of class 1: (2 + 1) / 7, (3 + 1) / 7
    np.testing.assert_allclose(probabilities(nearest.answers(alone, asked, 5))[1], [3 / 7, 4 / 7])
    facts, said = nearest.choose(whole)
    assert facts["k"] == 5, "1, 3 and 5 are all right: the most neighbours"
    assert facts["parameters"] == 9, "with validation images, one number each"
    assert probabilities(said).shape == (3, 2)
    assert probabilities(nearest.answers(whole, line([], []), 3)).shape == (0, 2), "a task may have no test images"


def test_rank_agreement_by_hand():
    # 1 < 2 < 3 < 4 against 1, 3, 2, 4: five pairs of six agree, one does not: (5 - 1) / 6
    found = rank_agreement([(0.1, 0), (0.2, 0), (0.3, 0), (0.4, 0)], [0.1, 0.3, 0.2, 0.4])
    assert found["tau"] == pytest.approx(4 / 6)
    assert rank_agreement([(0.1, -2), (0.1, -1)], [0.1, 0.2])["tau"] == pytest.approx(1), "likelihood breaks ties"
    assert rank_agreement([(0.1, -2), (0.2, -1)], [0.1, 0.1])["tau"] is None


def test_a_search_that_knows_every_path_stops():
    """Under fresh weights a small grid leaves a control nothing to spend its budget on."""
    of = chosen(weights="fresh", warmup=0, n_layers=1, n_modules=3, max_active=1, epochs=1, steps=1)
    entry = rivals.enter(world_bench(of), "random_search", Budget(10**9, 1))
    assert entry.facts["stopped"] == "knows every path"
    assert entry.facts["path_images"]["search"] == 3 * 32


def test_a_control_searches_until_its_budget_is_spent():
    here = world_bench(chosen(epochs=1))
    for spent, generations in ((1, 1), (4 * 32 * 8, 1), (4 * 32 * 8 * 2 + 1, 3)):  # a warm-up costs a generation
        entry = rivals.enter(here, "pathnet", Budget(spent, 1))
        assert entry.facts["evaluations"] == 8 * generations, spent
        assert entry.facts["path_images"]["search"] == 4 * 32 * 8 * generations


def test_a_control_trains_its_finalists_again_until_its_budget_is_spent():
    here = world_bench(chosen(epochs=1))
    entry = rivals.enter(here, "pathnet", Budget(1, 50 * epoch(here)))
    rows, spent = entry.facts["candidates"], entry.facts["path_images"]
    assert spent["search"] + spent["candidates"] >= 1 + 50 * epoch(here)
    assert len({(row["path"], row["weights_seed"]) for row in rows}) == len(rows) > len({row["path"] for row in rows})


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("method", ["ladder", "linear_probe"])
def test_beaten_networks_are_let_go_and_come_again_if_they_are_chosen(monkeypatch, method, refit):
    """Of many candidates only the front stays in memory; the choice, by another measure, may fall on another."""
    here = world_bench(chosen(epochs=2, refit=refit))
    budget = Budget(0, 6 * 2 * epoch(here))
    _, found = until_spent(here, budget.total, drawing.trainings(here, drawing.restarted(here.grid().rungs(4) * 2, 0)))
    beaten = [i for i, one in enumerate(found) if one.weights is None]
    assert beaten
    assert len(beaten) < len(found)
    at = beaten[0] if method == "ladder" else 1
    monkeypatch.setattr(choice, "choose_smallest", lambda *_: at)
    entry = rivals.enter(here, method, budget)
    assert entry.facts["chosen"] == at
    said = rivals.answers(here, entry, here.validation)
    same = np.allclose(probabilities(said), probabilities(entry.said), atol=1e-6)
    assert same or refit, "without a refit the fixed network is the one that was chosen"


def test_a_path_that_comes_again_starts_from_other_weights():
    one, two = ModulePath.parse("0"), ModulePath.parse("1")
    found = [candidate.seed for candidate in drawing.restarted([one, two, one, one], 5)]
    assert found == [5, 5, derive(5, "restart", 1), derive(5, "restart", 2)]


def test_the_evolved_path_is_not_bound_by_a_budget():
    here = world_bench(chosen(epochs=1))
    bound, free = (rivals.enter(here, "evolved", budget).facts["path_images"] for budget in (Budget(1, 1), None))
    assert bound == free


# --- recipes --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_recipes(tmp_path_factory) -> tuple[Comparison, dict[str, Any]]:
    return run(tmp_path_factory.mktemp("recipes"), chosen(weights="fresh", recipes=True, steps=1, epochs=2), seeds=1)


def test_every_method_that_can_has_recipes(with_recipes):
    rows = {method: row["each"][0] for method, row in with_recipes[1]["methods"].items()}
    for method in ("evolved", "random_search", "random_paths"):
        paths = [ModulePath.parse(one["path"]) for one in rows[method]["candidates"]]
        assert all(path.recipe is not None for path in paths), method
        assert rows[method]["path"] == str(paths[rows[method]["chosen"]])
    for method in ("pathnet", "ladder"):
        assert all(ModulePath.parse(one["path"]).recipe is None for one in rows[method]["candidates"]), method
    for method in ("full_grid", "linear_probe"):
        recipes = [one.get("recipe") for one in rows[method]["candidates"]]
        assert recipes[0] is None, "the first training is the settings' own"
        assert all(Recipe.parse(text).check() for text in recipes[1:])
        assert len(set(recipes)) > 2
    several = [[one.get("recipe") for one in rows[name]["candidates"]] for name in ("full_grid", "linear_probe")]
    assert all(a == b for a, b in zip(*several, strict=False)), "both draw alike"
    full = ModulePath.parse(rows["full_grid"]["path"])
    said = rows["full_grid"]["candidates"][rows["full_grid"]["chosen"]].get("recipe")
    assert (said and Recipe.parse(said)) == full.recipe
    assert "evolve with the path" in with_recipes[1]["budget"]["in_words"]


@pytest.mark.parametrize("method", ["full_grid", "linear_probe"])
def test_restarts_follow_their_recipes(method, monkeypatch):
    """The second training, were it chosen, is what settings of its recipe's values give, before and after the refit."""
    monkeypatch.setattr(choice, "choose_smallest", lambda *_: 1)
    of = chosen(weights="fresh", recipes=True, steps=1, epochs=2)
    here = world_bench(of)
    entry = rivals.enter(here, method, Budget(0, 3 * 2 * epoch(here)))
    assert entry.facts["chosen"] == 1
    seed, recipe = derive(0, "restart", 1), Recipe.parse(entry.facts["candidates"][1]["recipe"])
    last = followed(of.training, recipe)
    grid, both = here.at(seed).grid(), (here.training, here.validation)
    if method == "full_grid":
        alone = train_path(bench(both, last=last, seed=seed, task="blobs"), grid, grid.space.full_path())
    else:
        alone = train_probe(bench(both, last=last, seed=seed))
    assert torch.equal(alone.said["log_p"], entry.said["log_p"])
    weights = alone.network.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in entry.weights.items())


def test_without_recipes_nobody_has_one(compared):
    assert "recipe" not in json.dumps(compared[1]["methods"])
    assert "evolve with the path" not in compared[1]["budget"]["in_words"]


def test_the_page_of_recipes_is_written(with_recipes):
    folder = with_recipes[0].folder
    plot_comparison(folder)
    assert faults(write_page(folder).read_text()) == []
    Terminal().comparison_table(with_recipes[1])
