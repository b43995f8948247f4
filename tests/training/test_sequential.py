"""Sequential PathNet: one path after another, each with minibatches and steps of its own."""

from __future__ import annotations

import pytest
import torch
from benches import bench
from torch import Tensor

from pathsearch.grid.path import Path
from pathsearch.run.settings import SearchSettings
from pathsearch.training.fitness import SharedWeights
from pathsearch.training.sequential import SequentialWeights

SETTINGS = SearchSettings(steps=3, warmup=2, batch_size=8)
FIRST, SECOND = Path.parse("0|1"), Path.parse("0+3|1")


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


def trained(way, make_grid, splits, *calls: tuple[list[Path], int]) -> dict[str, Tensor]:
    evaluator = way(bench(splits, SETTINGS), make_grid())
    for paths, generation in calls:
        evaluator.train(paths, generation)
    return evaluator.grid.state_dict()


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_generation_is_each_path_in_its_turn(make_grid, splits):
    both = trained(SequentialWeights, make_grid, splits, ([FIRST, SECOND], 5))
    in_turn = trained(SharedWeights, make_grid, splits, ([FIRST], 10), ([SECOND], 11))  # 5 * 2 + 0, + 1
    assert equal(both, in_turn)
    assert not equal(both, trained(SharedWeights, make_grid, splits, ([FIRST, SECOND], 5))), "one pass is another way"


def test_the_order_of_the_paths_matters(make_grid, splits):
    """What the one pass does not have: a step for one path undoes another's."""
    one = trained(SequentialWeights, make_grid, splits, ([FIRST, SECOND], 1))
    assert not equal(one, trained(SequentialWeights, make_grid, splits, ([SECOND, FIRST], 1)))


def test_the_warm_up_has_its_own_steps_and_progress_is_the_mean(make_grid, splits, monkeypatch):
    asked = []
    real = SharedWeights.train

    def note(self, paths, generation):
        asked.append((paths, generation))
        return real(self, paths, generation)

    monkeypatch.setattr(SharedWeights, "train", note)
    evaluator = SequentialWeights(bench(splits, SETTINGS), make_grid())
    evaluator.train([FIRST, SECOND], -1)
    assert [paths for paths, _ in asked] == [[FIRST], [SECOND]]
    assert all(generation < 0 for _, generation in asked)
    assert len({generation for _, generation in asked}) == 2, "minibatches of their own"
    asked.clear()
    progress = evaluator.train([FIRST, SECOND], 0)
    assert [generation for _, generation in asked] == [0, 1]
    assert 0 <= progress.accuracy <= 1
    assert progress.loss > 0
