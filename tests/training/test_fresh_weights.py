"""Fresh weights: every path from the same start, its score a function of the path alone."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
from benches import bench
from evaluators import PATHS, SETTINGS, equal, fresh, shared, snapshot

from pathsearch.grid.copies import Copies
from pathsearch.grid.path import Path
from pathsearch.targets.target import NonFiniteFitness
from pathsearch.training import fresh as module
from pathsearch.training.fresh import FreshWeights


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


def test_fresh_state_round_trip(make_grid, splits):
    evaluator, again = fresh(make_grid, splits), fresh(make_grid, splits)
    assert evaluator.state() == {}
    again.load_state({})
    assert again.known == {}
    evaluator.train(PATHS, 1)
    again.load_state(snapshot(evaluator.state()))
    assert again.known == evaluator.known
    assert list(again.known) == list(evaluator.known)


def test_fresh_trains_each_path_once(make_grid, splits, monkeypatch):
    evaluator = fresh(make_grid, splits)
    trained = []
    original = evaluator._evaluate
    monkeypatch.setattr(evaluator, "_evaluate", lambda paths: trained.extend(paths) or original(paths))
    evaluator.train([PATHS[0], PATHS[1], PATHS[0]], 1)
    evaluator.score([PATHS[1], PATHS[0]])
    evaluator.train([PATHS[1], PATHS[2]], 2)
    evaluator.score([PATHS[2], PATHS[3]])  # one that was never in a generation
    assert trained == PATHS


def test_fresh_scores_of_no_paths_are_none(make_grid, splits):
    assert fresh(make_grid, splits).score([]) == []


def test_fresh_is_a_function_of_the_path_alone(make_grid, splits):
    first, second = fresh(make_grid, splits), fresh(make_grid, splits)
    first.train(PATHS, 1)
    shuffled = random.Random(0).sample(PATHS, len(PATHS))
    for generation, path in enumerate(shuffled, 4):
        second.train([path], generation)
    for path in PATHS:
        for own, other in zip(first.known[path], second.known[path], strict=True):
            assert own == pytest.approx(other, rel=1e-4)
    assert fresh(make_grid, splits, seed=1).score(PATHS) != first.score(PATHS)


def test_fresh_leaves_the_grid_alone(make_grid, splits):
    evaluator = fresh(make_grid, splits)
    before = snapshot(evaluator.grid.state_dict())
    evaluator.train(PATHS, 1)
    assert equal(before, evaluator.grid.state_dict())


def test_fresh_has_no_warmup(make_grid, splits):
    evaluator = fresh(make_grid, splits)
    assert all(map(math.isnan, evaluator.train(PATHS, -1)))
    assert evaluator.known == {}


def test_fresh_progress_is_the_mean_over_paths(make_grid, splits):
    evaluator = fresh(make_grid, splits)
    both = evaluator.train(PATHS[:2], 1)
    single = [evaluator.known[path][1] for path in PATHS[:2]]
    assert both.loss == pytest.approx((single[0].loss + single[1].loss) / 2)
    assert both.accuracy == pytest.approx((single[0].accuracy + single[1].accuracy) / 2)


def test_fresh_one_path_is_shared_one_path(make_grid, splits):
    """Alone on the grid, a path has the same training either way, but for the order of the images."""
    settings = replace(SETTINGS, steps=1, dropout=0.0, batch_size=240)  # the whole split: no order
    way = shared(make_grid, splits, settings)
    way.train(PATHS[:1], 1)
    got = fresh(make_grid, splits, settings).score(PATHS[:1])[0]
    assert got == pytest.approx(way.score(PATHS[:1])[0], abs=1e-5)


def test_fresh_keeps_frozen_modules(make_grid, splits, monkeypatch):
    grid = make_grid()
    grid.freeze(Path.parse("0|1"))
    made = []
    monkeypatch.setattr(module, "Copies", lambda *arguments: made.append(Copies(*arguments)) or made[-1])
    FreshWeights(bench(splits, SETTINGS), grid).score([Path.parse("0+1|1")])
    first, second = made[0].layers[0]  # copies of modules 0 and 1
    fixed, free = grid.module(0, 0).parameters(), grid.module(0, 1).parameters()
    assert all(torch.equal(own[0], p) for own, p in zip(first.parameters(), fixed, strict=True))
    assert not any(torch.equal(own[0], p) for own, p in zip(second.parameters(), free, strict=True))


def test_fresh_nan_names_the_path(make_grid, splits):
    evaluator = fresh(make_grid, splits)
    with torch.no_grad():
        next(evaluator.grid.module(0, 3).parameters()).fill_(math.nan)
    with pytest.raises(NonFiniteFitness, match=r"path 0\+3\|1\+2: fitness became"):
        evaluator.train(PATHS, 1)
