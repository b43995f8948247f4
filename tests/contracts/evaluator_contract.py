"""What every way to train and score paths must do: call `check_evaluator` with one of yours and a small bench."""

from __future__ import annotations

import math
import multiprocessing
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.grid.grid import Grid, head_name
from pathsearch.grid.path import Path
from pathsearch.training.bench import Bench
from pathsearch.training.cost import Cost
from pathsearch.training.fitness import Evaluator

Way = Callable[[Bench, Grid], Evaluator]


def check_evaluator(way: Way, bench: Bench) -> None:
    """All promises, on a small bench; raises what the first broken one says."""
    for promise in PROMISES:
        promise(way, bench)


def drawn(bench: Bench, n: int = 5) -> list[Path]:
    """Different paths of the bench's grid, with recipes where the search has them."""
    space, rng = replace(bench.grid().space, recipes=bench.search.recipes), random.Random(3)
    found: dict[Path, None] = {}
    while len(found) < n:
        found[space.random_path(rng)] = None
    return list(found)


def made(way: Way, bench: Bench, *trained: int) -> Evaluator:
    """One that has trained the drawn paths in these generations."""
    evaluator = way(bench, bench.grid())
    for generation in trained:
        evaluator.train(drawn(bench), generation)
    return evaluator


def kept(evaluator: Evaluator) -> dict[str, Tensor]:
    """Its state, by way of bytes, as a checkpoint holds it."""
    state = {name: tensor.contiguous() for name, tensor in evaluator.state().items()}
    return load(save(state)) if state else {}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def scores_in_the_order_asked_whoever_is_asked_beside(way: Way, bench: Bench) -> None:
    """Alone, among others, turned round or twice: the same to rounding, for no pass may mix its paths up."""
    paths, evaluator = drawn(bench), made(way, bench, 1)
    together = evaluator.score(paths)
    assert len(set(together)) > 1, "paths differ, or nothing is shown here"
    for path, fitness in zip(paths, together, strict=True):
        (alone,) = made(way, bench, 1).score([path])
        assert alone == pytest.approx(fitness, rel=1e-4, abs=1e-5)
    asked = [*reversed(paths), paths[2], paths[2]]
    turned = made(way, bench, 1).score(asked)
    assert len(turned) == len(asked)
    assert turned[-1] == turned[-2] == turned[asked.index(paths[2])], "one path has one fitness"
    for fitness, other in zip(together, reversed(turned[: len(paths)]), strict=True):
        assert other == pytest.approx(fitness, rel=1e-4, abs=1e-5)
    assert evaluator.score([]) == []


def scores_within_bounds(way: Way, bench: Bench) -> None:
    for score, likelihood in made(way, bench, 1).score(drawn(bench)):
        assert 0 <= score <= 1
        assert math.isfinite(likelihood)


def tells_how_training_went(way: Way, bench: Bench) -> None:
    progress = way(bench, bench.grid()).train(drawn(bench), 1)
    assert math.isfinite(progress.loss)
    assert 0 <= progress.accuracy <= 1


def learns(way: Way, bench: Bench) -> None:
    """To answer its training images, by more steps better than by few; to others a small task may say little."""
    short = bench.on(bench.training, bench.training)
    long = short.searched_by(replace(bench.search, steps=10 * bench.search.steps))
    few, many = (made(way, one, 1).score(drawn(bench)) for one in (short, long))
    assert sum(one.log_likelihood for one in few) < sum(one.log_likelihood for one in many)


def scoring_trained_paths_changes_nothing(way: Way, bench: Bench) -> None:
    evaluator, paths = made(way, bench, 1), drawn(bench)
    state, cost = kept(evaluator), evaluator.cost
    first = evaluator.score(paths)
    assert same(kept(evaluator), state)
    assert evaluator.cost == cost, "scoring is no training"
    assert evaluator.score(paths) == first


def repeats_bit_for_bit_and_follows_the_seed(way: Way, bench: Bench) -> None:
    one, again, other = (made(way, of, -1, 1, 2) for of in (bench, bench, bench.at(bench.seed + 1)))
    paths = drawn(bench)
    assert one.score(paths) == again.score(paths)
    assert same(kept(one), kept(again))
    assert one.score(paths) != other.score(paths)


def draws_from_its_own_streams(way: Way, bench: Bench) -> None:
    python, numbers = random.getstate(), torch.get_rng_state()
    made(way, bench, -1, 1).score(drawn(bench))
    assert random.getstate() == python
    assert torch.equal(torch.get_rng_state(), numbers)


def goes_on_from_its_state_bit_for_bit(way: Way, bench: Bench) -> None:
    straight, paths = made(way, bench, -1, 1), drawn(bench, 7)
    saved = kept(straight)
    resumed, untouched = made(way, bench, 5), {name: tensor.clone() for name, tensor in saved.items()}
    for _ in range(2):  # it may be gone back to again
        resumed.load_state(saved)
        assert same(kept(resumed), saved)
        resumed.train(paths, 2)
        assert same(saved, untouched), "a saved state is not written into"
    straight.train(paths, 2)
    assert same(kept(resumed), kept(straight))
    assert resumed.score(paths) == straight.score(paths)


def counts_what_training_costs(way: Way, bench: Bench) -> None:
    evaluator = way(bench, bench.grid())
    assert evaluator.cost == Cost()
    evaluator.train(drawn(bench), 1)
    one = evaluator.cost
    assert one.images > 0
    assert one.path_images >= one.images
    assert one.operations > one.path_images, "at least one operation for each image"
    evaluator.train(drawn(bench, 7), 2)
    assert evaluator.cost.path_images > one.path_images
    other = way(bench, bench.grid())
    other.load_state(kept(evaluator))
    assert other.cost == Cost(), "of its own trainings alone"


def leaves_fixed_modules_and_other_heads_as_they_are(way: Way, bench: Bench) -> None:
    grid = bench.grid()
    grid.add_head("another", "linear", (2,))
    fixed = drawn(bench)[0]
    grid.freeze(fixed)
    watched = [f"heads.{head_name('another')}."]
    watched += [f"layers.{n}.{i}." for n, layer in enumerate(fixed.layers) for i in layer]
    before = {name: tensor.clone() for name, tensor in grid.state_dict().items() if name.startswith(tuple(watched))}
    evaluator = way(bench, grid)
    for generation in (-1, 1, 2):
        evaluator.train(drawn(bench, 7), generation)
    evaluator.score(drawn(bench, 7))
    after = grid.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


def says_in_one_line_what_became_no_number(way: Way, bench: Bench) -> None:
    grid = bench.grid()
    path = next(one for one in drawn(bench) if list(grid.module(0, one.layers[0][0]).parameters()))
    with torch.no_grad():
        next(iter(grid.module(0, path.layers[0][0]).parameters())).fill_(math.nan)
    with pytest.raises(PathsearchError) as caught:
        way(bench, grid).score([path])
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value), "and of which path"


def leaves_no_process_and_no_thread(way: Way, bench: Bench) -> None:
    processes, threads = set(multiprocessing.active_children()), set(threading.enumerate())
    evaluator = made(way, bench, 1)
    evaluator.score(drawn(bench))
    del evaluator
    assert set(multiprocessing.active_children()) <= processes
    assert set(threading.enumerate()) <= threads


PROMISES: tuple[Callable[[Way, Bench], None], ...] = (
    scores_in_the_order_asked_whoever_is_asked_beside,
    scores_within_bounds,
    tells_how_training_went,
    learns,
    scoring_trained_paths_changes_nothing,
    repeats_bit_for_bit_and_follows_the_seed,
    draws_from_its_own_streams,
    goes_on_from_its_state_bit_for_bit,
    counts_what_training_costs,
    leaves_fixed_modules_and_other_heads_as_they_are,
    says_in_one_line_what_became_no_number,
    leaves_no_process_and_no_thread,
)


def broken(way: Way, bench: Bench) -> Iterator[str]:
    """The promises that a way breaks, by name."""
    for promise in PROMISES:
        try:
            promise(way, bench)
        except (Exception, pytest.fail.Exception):  # where `pytest.raises` saw nothing raised
            yield promise.__name__
