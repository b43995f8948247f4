"""Snapshots: a score is the mean over the weights after the last generations."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest
from benches import bench
from evaluators import PATHS, SETTINGS, equal, shared, snapshot
from landscapes import assert_same_end, settings_of

from data_prep.errors import PathsearchError
from pathsearch.run.settings import SearchSettings
from pathsearch.search.search import Ground, SearchState, search
from pathsearch.training.fitness import SharedWeights

THREE = replace(SETTINGS, snapshots=3)


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


def by_hand(make_grid, splits, settings: SearchSettings, generations: int) -> list[list[tuple[float, ...]]]:
    """The scores after each of so many generations with one snapshot, that is with the weights of the moment."""
    plain, found = shared(make_grid, splits, replace(settings, snapshots=1)), []
    plain.train(PATHS, -1)
    for generation in range(1, generations + 1):
        plain.train(PATHS, generation)
        found.append(plain.score(PATHS))
    return found


def mean_of(each: list[list[tuple[float, ...]]]) -> list[tuple[float, float]]:
    return [tuple(map(fmean, zip(*several, strict=True))) for several in zip(*each, strict=True)]


@pytest.mark.parametrize("average", [0.0, 0.5])
@pytest.mark.parametrize("measure", ["accuracy", "auc"])
def test_a_score_is_the_mean_over_the_last_generations(make_grid, splits, average, measure):
    settings = replace(THREE, average=average, fitness=measure)
    each = by_hand(make_grid, splits, settings, 4)
    evaluator = shared(make_grid, splits, settings)
    evaluator.train(PATHS, -1)  # the warm-up is no generation
    for generation in range(1, 5):
        evaluator.train(PATHS, generation)
        assert evaluator.score(PATHS) == mean_of(each[:generation][-3:])
    assert evaluator.score(PATHS) != each[-1], "the generations differ, or this shows nothing"
    assert evaluator.score(PATHS) != mean_of(each), "the first has been forgotten"


def test_before_any_generation_the_present_weights_are_scored(make_grid, splits):
    evaluator, plain = shared(make_grid, splits, THREE), shared(make_grid, splits)
    for one in (evaluator, plain):
        one.train(PATHS, -1)
    assert evaluator.score(PATHS) == plain.score(PATHS)


def test_training_does_not_feel_the_snapshots(make_grid, splits):
    """Scoring with earlier weights leaves the trained ones, their moments and the kept ones as they are."""
    evaluator, plain = shared(make_grid, splits, THREE), shared(make_grid, splits)
    for generation in (1, 2, 3):
        for one in (evaluator, plain):
            one.train(PATHS, generation)
        before = snapshot(evaluator.state())
        evaluator.score(PATHS)
        assert equal(before, evaluator.state())
    trained = {name: t for name, t in evaluator.state().items() if not name.startswith("snapshot.")}
    assert equal(trained, plain.state())
    assert not any(name.startswith("snapshot.") for name in plain.state()), "one snapshot keeps nothing"


def test_going_back_restores_the_snapshots(make_grid, splits):
    """Also to fewer of them than there are now; going on writes into nothing that was saved."""
    straight, resumed = shared(make_grid, splits, THREE), shared(make_grid, splits, THREE)
    for generation in (1, 2):
        straight.train(PATHS, generation)
    saved = snapshot(straight.state())
    kept = snapshot(saved)
    for generation in (1, 2, 3, 4):
        resumed.train(PATHS[:2], generation)
    resumed.load_state(saved)
    assert equal(resumed.state(), kept)
    assert resumed.score(PATHS) == straight.score(PATHS)
    for one in (straight, resumed):
        one.train(PATHS, 3)
        one.train(PATHS, 4)
    assert equal(straight.state(), resumed.state())
    assert straight.score(PATHS) == resumed.score(PATHS)
    assert equal(saved, kept)


def run(make_grid, splits, saved=None, watch=None, forget: bool = False):
    """A search of five generations with three snapshots, or what is left of it."""
    settings = settings_of("generational", population=8, generations=5, warmup=3, snapshots=3)
    grid = make_grid()
    evaluator = SharedWeights(bench(splits, settings), grid)
    state = None
    if saved:
        state = SearchState(**saved[0])
        evaluator.load_state({k: v for k, v in saved[1].items() if not (forget and k.startswith("snapshot."))})

    def on_generation(state: SearchState) -> None:
        if watch is not None:
            watch.append(({**state.to_dict(), "log": list(state.log)}, snapshot(evaluator.state())))

    return search(evaluator, Ground(grid.space, lambda p: len(str(p))), settings, 0, state, on_generation), evaluator


def test_a_resumed_search_equals_one_never_stopped(make_splits, make_grid):
    splits, saved = make_splits(n_train=96, n_val=60), []
    straight = run(make_grid, splits, watch=saved)
    for kept in saved:
        assert_same_end(run(make_grid, splits, saved=kept), straight)
    with pytest.raises(AssertionError):
        assert_same_end(run(make_grid, splits, saved=saved[2], forget=True), straight)


def test_fresh_weights_have_no_snapshots():
    with pytest.raises(PathsearchError, match=r"^snapshots: expected 1 with weights=fresh, .*got 2; give weights=sha"):
        SearchSettings(weights="fresh", snapshots=2)
