"""Grids that are no chains learn as chains do: together, each afresh, and alone, and their experts come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benches import bench
from blueprints import STAGES, U, paths_of

from pathsearch.encoders.split import Split, Standardiser
from pathsearch.experts.expert import Expert, ExpertFacts
from pathsearch.experts.heritage import settle
from pathsearch.grid import population
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.run.settings import GridSettings, SearchSettings, TrainingSettings
from pathsearch.training.baselines import train_path
from pathsearch.training.batches import scoring_batch
from pathsearch.training.bench import Bench
from pathsearch.training.cost import training_work
from pathsearch.training.fitness import SharedWeights
from pathsearch.training.fresh import FreshWeights

CLASSES = ["a", "b"]


@pytest.fixture(scope="module")
def planted() -> Bench:
    """The classes differ in their mean on the fine stage."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    fine, coarse = rng.normal(size=(120, 3, 8, 8)), rng.normal(size=(120, 5, 4, 4))
    fine[labels == 1] += 2.0
    rows = np.concatenate([fine.reshape(120, -1), coarse.reshape(120, -1)], 1).astype(np.float16)
    standardise = Standardiser.fit(rows, np.arange(80))
    splits = [
        Split(name, torch.from_numpy(labels[part]), (rows,), (part,), standardise)
        for name, part in (("train", np.arange(80)), ("val", np.arange(80, 120)))
    ]
    search = SearchSettings(steps=15, batch_size=32, weights="fresh", learning_rate=3e-3)
    return bench(splits, search, TrainingSettings(epochs=8, batch_size=16, weight_decay=0.1))


@pytest.fixture
def grid(planted) -> Grid:
    made = Grid(U, GridSettings(max_active=2), 0)
    made.add_head("planted", *planted.target.head(made.head_shape))
    return made


@pytest.mark.parametrize("kind", [SharedWeights, FreshWeights])
def test_a_population_learns_on_a_u(planted, grid, kind):
    paths = paths_of(grid, 6)
    evaluator = kind(planted, grid)
    first = evaluator.train(paths, 0)
    for generation in range(1, 4):
        last = evaluator.train(paths, generation)
    scores = [fitness.score for fitness in evaluator.score(paths)]
    assert min(scores) > 0.8
    assert evaluator.cost.operations > 0
    if kind is SharedWeights:
        assert last.loss < first.loss
        assert scoring_batch(grid, population.plan(paths, U)) >= 16


def test_a_path_of_a_u_alone_and_its_expert(planted, grid, tmp_path):
    path = Path.parse("0+1|1|0+2|2|0+1|0+1")
    trained = train_path(planted, grid, path)
    assert trained.score > 0.9
    facts = ExpertFacts(
        task="planted",
        classes=CLASSES,
        path=str(path),
        specifications=U.along(path).specifications,
        shapes=[list(shape) for shape in grid.shapes],
        encoder={"name": "vgg16", "image_size": 64},
        threshold=None,
        split="random",
        seed=0,
        wiring=grid.blueprint.wiring,
    )
    grid.adopt(trained.network, path, "planted")
    expert = Expert(facts, trained.network, planted.training.standardise)
    expert.save(tmp_path / "u.safetensors")
    again = Expert.load(tmp_path / "u.safetensors")
    rows = planted.validation.raw(torch.arange(40))
    assert torch.equal(again.outputs(rows), expert.outputs(rows))
    assert again.network.network.blueprint == U.along(path)
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "u.safetensors").read_bytes()
    with torch.inference_mode():
        on_grid = grid.network(path, "planted").eval()(again.standardise(rows))
    assert torch.equal(on_grid, again.outputs(rows))
    # another task may start on its grid
    new = Grid(U, GridSettings(max_active=2), 7)
    settle(new, [again])
    assert torch.equal(new.network(path, "planted").eval()(again.standardise(rows)), again.outputs(rows))


def test_the_work_of_a_u_is_known(grid):
    assert training_work(grid, "planted", 2) > training_work(grid, "planted", 1) > 0
    assert grid.shapes[0] == (sum(int(np.prod(shape)) for shape in STAGES.values()),)
