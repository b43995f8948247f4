"""Every way to train and score paths keeps the promises; ways that break one are seen."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from benches import bench
from torch import Tensor

from pathsearch.grid.branches import Branches, tie
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.run.settings import GridSettings, SearchSettings, TogetherSettings
from pathsearch.targets.target import Fitness
from pathsearch.training.bench import Bench
from pathsearch.training.branch_weights import TogetherEvaluator, evaluator_of_branches
from pathsearch.training.cost import Cost
from pathsearch.training.fitness import Progress, SharedWeights
from pathsearch.training.fresh import FreshWeights, evaluator
from pathsearch.training.sequential import SequentialWeights

from evaluator_contract import PROMISES, broken, check_evaluator, drawn  # isort: skip


def _branches(bench: Bench, grid: Grid) -> TogetherEvaluator:
    """Two tasks with the same images and layers, each with a head of its own."""
    other = replace(bench, settings=replace(bench.settings, task="other"))
    grids = [grid, other.grid()]
    tie(grids)
    return evaluator_of_branches([bench, other], Branches(grids, [bench.task, other.task]))


SHARED = SearchSettings(population=8, steps=4, warmup=2, batch_size=24)
FRESH = replace(SHARED, weights="fresh", warmup=0)
WAYS = {
    "shared": (SharedWeights, SHARED),
    "shared, averaged": (SharedWeights, replace(SHARED, average=0.9)),
    "shared, snapshots": (SharedWeights, replace(SHARED, snapshots=2)),
    "shared, auc": (SharedWeights, replace(SHARED, fitness="auc", balance=True)),
    "fresh": (FreshWeights, FRESH),
    "fresh, folds": (FreshWeights, replace(FRESH, folds=2)),
    "fresh, recipes": (FreshWeights, replace(FRESH, recipes=True)),
    "sequential": (SequentialWeights, SHARED),
    "asked for": (evaluator, SHARED),
    "two tasks": (_branches, SHARED),
    "two tasks, averaged": (_branches, replace(SHARED, average=0.9)),
    "two tasks, snapshots": (_branches, replace(SHARED, snapshots=2)),
    "two tasks, fresh": (_branches, FRESH),
}
TOGETHER = {
    "joint": TogetherSettings("joint"),
    "joint, learned": TogetherSettings("joint", loss_weights="learned"),
    "in turn": TogetherSettings("alternating", fitness="3:1"),
}


@pytest.fixture(scope="module")
def small(make_splits) -> Bench:
    """A planted task and a grid of two layers."""
    found = bench(make_splits(n_train=120, n_val=60), SHARED)
    grid = GridSettings(n_layers=2, n_modules=4, max_active=2, width=8)
    return replace(found, settings=replace(found.settings, grid=grid))


@pytest.mark.parametrize("name", WAYS)
def test_every_way_keeps_every_promise(small, name):
    way, search = WAYS[name]
    check_evaluator(way, small.searched_by(search))


@pytest.mark.parametrize("strategy", TOGETHER)
@pytest.mark.parametrize("search", [SHARED, FRESH], ids=["shared", "fresh"])
def test_every_strategy_keeps_every_promise(small, search, strategy):
    settings = replace(small.settings, together=TOGETHER[strategy])
    check_evaluator(_branches, replace(small, settings=settings).searched_by(search))


def test_the_settings_lead_to_their_way(small):
    found = [evaluator(small.searched_by(search), small.grid()) for search in (SHARED, FRESH)]
    assert [type(one) for one in found] == [SharedWeights, FreshWeights]


# --- promises that are broken are seen ------------------------------------------------------------------------------


class _Sorted(SharedWeights):
    """Answers in an order of its own."""

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        return sorted(super().score(paths))


class _Ranked(SharedWeights):
    """A score depends on who is asked beside."""

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        found = super().score(paths)
        best = max(found, default=Fitness(1, 0))
        return [Fitness(one.score / best.score, one.log_likelihood) for one in found]


class _Percent(SharedWeights):
    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        return [Fitness(100 * one.score, one.log_likelihood) for one in super().score(paths)]


class _Silent(SharedWeights):
    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        super().train(paths, generation)
        return Progress(float("nan"), float("nan"))


class _Backwards(SharedWeights):
    """Steps uphill."""

    def __init__(self, *given):
        super().__init__(*given)
        self.optimiser.param_groups[0]["maximize"] = True


class _Greedy(SharedWeights):
    """Trains while it scores."""

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        if paths:
            self.train(paths, 99)
        return super().score(paths)


class _Restless(SharedWeights):
    """Something of the process decides."""

    n = 0

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        _Restless.n += 1
        return super().train(paths, _Restless.n)


class _Deaf(SharedWeights):
    """Whatever the seed."""

    def __init__(self, bench, grid):
        super().__init__(bench.at(7), bench.at(7).grid())


class _Global(SharedWeights):
    """Draws from everybody's generators."""

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        random.random()
        return super().train(paths, generation)


class _Forgetful(SharedWeights):
    """Without the optimiser's moments."""

    def state(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in super().state().items() if not name.startswith("optimiser.")}


class _Writing(SharedWeights):
    """Goes on in the saved tensors."""

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        super().load_state(tensors)
        for name, parameter in self.grid.named_parameters():
            parameter.data = tensors[f"grid.{name}"]


class _Free(SharedWeights):
    """Costs nothing, it says."""

    @property
    def cost(self) -> Cost:
        return Cost()


class _Careless(SharedWeights):
    """Trains what others have fixed."""

    def __init__(self, bench, grid):
        grid.requires_grad_(True)
        super().__init__(bench, grid)


class _Mild(SharedWeights):
    """Takes what is no number for the worst."""

    def _score(self, paths: list[Path]) -> list[Fitness]:
        try:
            return super()._score(paths)
        except ValueError:
            return [Fitness(0.0, -9.0)] * len(paths)


class _Busy(SharedWeights):
    """Leaves a thread behind."""

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        threading.Thread(target=LEFT.wait, daemon=True).start()
        return super().train(paths, generation)


LEFT = threading.Event()


@pytest.fixture(autouse=True)
def _end_what_was_left():
    LEFT.clear()
    yield
    LEFT.set()


FAULTS = [
    (_Sorted, "scores_in_the_order_asked_whoever_is_asked_beside"),
    (_Ranked, "scores_in_the_order_asked_whoever_is_asked_beside"),
    (_Percent, "scores_within_bounds"),
    (_Silent, "tells_how_training_went"),
    (_Backwards, "learns"),
    (_Greedy, "scoring_trained_paths_changes_nothing"),
    (_Restless, "repeats_bit_for_bit_and_follows_the_seed"),
    (_Deaf, "repeats_bit_for_bit_and_follows_the_seed"),
    (_Global, "draws_from_its_own_streams"),
    (_Forgetful, "goes_on_from_its_state_bit_for_bit"),
    (_Writing, "goes_on_from_its_state_bit_for_bit"),
    (_Free, "counts_what_training_costs"),
    (_Careless, "leaves_fixed_modules_and_other_heads_as_they_are"),
    (_Mild, "says_in_one_line_what_became_no_number"),
    (_Busy, "leaves_no_process_and_no_thread"),
]


@pytest.mark.parametrize(("way", "promise"), FAULTS)
def test_a_broken_promise_is_seen(small, way, promise):
    assert promise in list(broken(way, small))


def test_every_promise_can_be_broken():
    assert {promise for _, promise in FAULTS} == {promise.__name__ for promise in PROMISES}


def test_paths_that_are_tried_differ_and_are_always_the_same(small):
    assert len(set(drawn(small))) == 5
    assert drawn(small, 7)[:5] == drawn(small)
    assert all(path.recipe for path in drawn(small.searched_by(replace(FRESH, recipes=True))))
