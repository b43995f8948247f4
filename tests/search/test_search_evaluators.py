"""The search with its real evaluators: same seed same log, and going on after a stop."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from benches import bench
from landscapes import WAYS, assert_same_end, every_way, settings_of, without_times

from pathsearch.grid.path import Path
from pathsearch.search.search import Ground, SearchState, search
from pathsearch.training.fitness import SharedWeights
from pathsearch.training.fresh import FreshWeights


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits(n_train=96, n_val=60)


CASES = [("shared", way) for way in WAYS] + [("fresh", "generational"), ("fresh", "pareto")]
EVALUATORS = {"shared": SharedWeights, "fresh": FreshWeights}


def run_real(make_grid, splits, weights: str, way: str, seed: int = 0, saved: Any = None, watch: Any = None) -> Any:
    """One search of four generations, or what is left of it; returns its state and its evaluator."""
    settings = settings_of(way, population=8, generations=4, warmup=3, weights=weights)
    grid = make_grid(seed=seed)
    evaluator = EVALUATORS[weights](bench(splits, settings, seed=seed), grid)
    state = None
    if saved:
        state = SearchState(**json.loads(saved[0]))
        evaluator.load_state(saved[1])

    def size(path: Path) -> int:
        return grid.count_parameters(path, "planted")

    def on_generation(state: SearchState) -> None:
        if watch is not None:
            watch.append((json.dumps(state.to_dict()), {k: v.clone() for k, v in evaluator.state().items()}))

    return search(evaluator, Ground(grid.space, size), settings, seed, state, on_generation), evaluator


@pytest.mark.parametrize(("weights", "way"), CASES)
def test_same_seed_same_log_and_weights(make_grid, splits, weights, way):
    first, again = (run_real(make_grid, splits, weights, way) for _ in range(2))
    assert_same_end(first, again)
    other = run_real(make_grid, splits, weights, way, seed=1)
    assert without_times(first[0])["log"] != without_times(other[0])["log"]


@pytest.mark.parametrize(("weights", "way"), CASES)
def test_resumed_from_any_generation_equals_never_stopped(make_grid, splits, weights, way):
    saved: list[Any] = []
    straight = run_real(make_grid, splits, weights, way, watch=saved)
    assert len(saved) == 4
    for kept in saved:
        assert_same_end(run_real(make_grid, splits, weights, way, saved=kept), straight)


def test_the_comparison_rejects_a_single_changed_bit(make_grid, splits):
    first, other = (run_real(make_grid, splits, "shared", "generational") for _ in range(2))
    with torch.no_grad():
        weight = next(other[1].grid.parameters())
        weight.view(torch.int32).view(-1)[0] ^= 1
    with pytest.raises(AssertionError):
        assert_same_end(first, other)


def test_a_resume_that_forgets_the_optimiser_is_noticed(make_grid, splits):
    """So the test of resuming can fail: without the moments the weights take another course."""
    saved: list[Any] = []
    straight = run_real(make_grid, splits, "shared", "generational", watch=saved)
    state, tensors = saved[1]
    weights_only = {name: tensor for name, tensor in tensors.items() if name.startswith("grid.")}
    with pytest.raises(AssertionError):
        assert_same_end(run_real(make_grid, splits, "shared", "generational", saved=(state, weights_only)), straight)


def test_fresh_trains_as_many_times_as_there_are_paths(make_grid, splits, monkeypatch):
    trained: list[Path] = []
    original = FreshWeights._evaluate
    monkeypatch.setattr(FreshWeights, "_evaluate", lambda self, new: trained.extend(new) or original(self, new))
    state, _ = run_real(make_grid, splits, "fresh", "generational")
    assert list(map(str, trained)) == state.visited


@every_way
def test_shared_search_learns(make_grid, splits, way):
    state, _ = run_real(make_grid, splits, "shared", way)
    assert state.log[-1]["train_loss"] < state.log[0]["train_loss"]
    assert state.log[-1]["mean"] > 0.5  # chance is a third
