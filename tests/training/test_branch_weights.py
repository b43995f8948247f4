"""Paths of several tasks trained and scored together, beside what they must be: one task's way, and sums by hand."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from benches import bench
from evaluators import equal, snapshot

from pathsearch.grid.branches import Branches, tie
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import Recipe
from pathsearch.run.settings import SearchSettings
from pathsearch.run.together_settings import TogetherSettings
from pathsearch.targets.target import Fitness
from pathsearch.training.branch_weights import FreshBranches, SharedBranches, combined
from pathsearch.training.fitness import SharedWeights
from pathsearch.training.fresh import FreshWeights

SEARCH = SearchSettings(population=4, steps=5, warmup=2, batch_size=16)


def several(splits, n, search=SEARCH, **together):
    """Benches of n tasks on the same images, and their tied grids."""
    first = bench(splits, search)
    settings = replace(first.settings, together=TogetherSettings(**together))
    names = [first.task, *(f"other{number}" for number in range(1, n))]
    benches = [replace(first, settings=replace(settings, task=name)) for name in names]
    grids = [one.grid() for one in benches]
    tie(grids)
    return benches, Branches(grids, names)


def paths_on(branches: Branches) -> list[Path]:
    rng = random.Random(5)
    return [branches.space.random_path(rng) for _ in range(4)]


@pytest.mark.parametrize("search", [SEARCH, replace(SEARCH, average=0.8), replace(SEARCH, snapshots=2)])
@pytest.mark.parametrize("strategy", ["joint", "alternating"])
def test_of_one_task_it_is_pathnets_way_to_the_bit(splits, search, strategy):
    benches, branches = several(splits, 1, search, strategy=strategy)
    own, other = SharedBranches(benches, branches), SharedWeights(benches[0], benches[0].grid())
    paths = paths_on(branches)
    for generation in (-1, 1, 2):
        assert own.train(paths, generation) == other.train(paths, generation)
    assert own.score(paths) == other.score(paths)
    assert own.cost == other.cost
    assert equal(own.learners[0].grid.state_dict(), other.grid.state_dict())


def test_of_one_task_fresh_weights_are_those_of_copies(splits):
    search = replace(SEARCH, weights="fresh", warmup=0)
    benches, branches = several(splits, 1, search, strategy="joint")
    own, other = FreshBranches(benches, branches), FreshWeights(benches[0], benches[0].grid())
    paths = paths_on(branches)
    own.train(paths, 1)
    other.train(paths, 1)
    for one, two in zip(own.score(paths), other.score(paths), strict=True):
        assert one == pytest.approx(two, abs=1e-5)
    assert own.cost.path_images == other.cost.path_images
    assert own.cost.operations == other.cost.operations


def test_a_joint_step_adds_the_weighed_gradients_of_all(splits):
    search = replace(SEARCH, steps=1, dropout=0.0)
    benches, branches = several(splits, 2, search, strategy="joint", loss_weights="1:0.25")
    evaluator, paths = SharedBranches(benches, branches), paths_on(branches)
    gradients = []
    for weight in (1.0, 0.25):
        number = len(gradients)
        one = evaluator.learners[number]
        one.grid.zero_grad()
        x, truth = next(one.minibatches(1, 1))
        one.learn(one.passes(paths), x, truth, torch.Generator().manual_seed(0), lambda loss, w=weight: w * loss)
        gradients.append({name: p.grad.clone() for name, p in one.grid.layers.named_parameters() if p.grad is not None})
    found = {}

    def stop() -> None:
        found.update({n: p.grad.clone() for n, p in branches.grids[0].layers.named_parameters() if p.grad is not None})

    evaluator.optimiser.step = stop
    evaluator.train(paths, 1)
    assert found.keys() == gradients[0].keys()
    for name, both in found.items():
        assert torch.allclose(both, gradients[0][name] + gradients[1][name], atol=1e-6)


@pytest.mark.parametrize(("turns", "counts"), [("size", [5, 5]), ("4:1", [8, 2])])
def test_turns_share_out_as_many_minibatches_as_joint_steps_take(splits, turns, counts):
    benches, branches = several(splits, 2, strategy="alternating", turns=turns)
    evaluator = SharedBranches(benches, branches)
    evaluator.train(paths_on(branches), 1)
    assert [one.cost.images for one in evaluator.learners] == [16 * n for n in counts]
    joint = SharedBranches(*several(splits, 2, strategy="joint"))
    joint.train(paths_on(branches), 1)
    assert joint.cost.images == evaluator.cost.images


def test_a_recipe_says_who_has_turns_and_what_losses_count(splits):
    search = replace(SEARCH, weights="fresh", warmup=0, recipes=True)
    benches, branches = several(splits, 2, search, strategy="joint")
    bare = paths_on(branches)[0]
    recipes = [
        Recipe(2e-3, 0.1, 0.0, *genes) for genes in (("joint", (1.0,)), ("joint", (10.0,)), ("alternating", (1.0,)))
    ]
    evaluator = FreshBranches(benches, branches)
    evaluator.train([replace(bare, recipe=recipe) for recipe in recipes], 1)
    first, heavier, turned = evaluator.known.values()
    assert heavier.progress[0].loss > first.progress[0].loss
    assert turned.progress != first.progress
    plain = FreshBranches(*several(splits, 2, replace(search, recipes=False), strategy="joint", loss_weights="1:10"))
    plain.settings = replace(plain.settings, learning_rate=2e-3, weight_decay=0.1, dropout=0.0)
    plain.train([bare], 1)
    assert plain.known[bare] == heavier, "by its recipe as by settings that say the same"


def test_fresh_state_round_trip(splits):
    search = replace(SEARCH, weights="fresh", warmup=0)
    evaluator, again = (FreshBranches(*several(splits, 2, search, strategy="joint")) for _ in range(2))
    assert evaluator.state() == {}
    evaluator.train(paths_on(evaluator.branches), 1)
    again.load_state(snapshot(evaluator.state()))
    assert again.known == evaluator.known


def test_measures_are_averaged_weighed_or_ranked():
    each = [
        [Fitness(0.9, -1.0), Fitness(0.8, -2.0), Fitness(0.7, -3.0)],
        [Fitness(0.1, -1.0), Fitness(0.5, -4.0), Fitness(0.1, -1.0)],
    ]
    mean = combined(TogetherSettings("joint"), each)
    assert [one.score for one in mean] == pytest.approx([0.5, 0.65, 0.4])
    assert [one.log_likelihood for one in mean] == pytest.approx([-1, -3, -2])
    weighed = combined(TogetherSettings("joint", fitness="3:1"), each)
    assert weighed[0] == pytest.approx((0.7, -1.0))
    ranked = combined(TogetherSettings("joint", fitness="rank"), each)
    assert [one.score for one in ranked] == pytest.approx([(1 + 0.25) / 2, (0.5 + 1) / 2, (0 + 0.25) / 2])
    assert combined(TogetherSettings("joint", fitness="rank"), [[Fitness(0.9, 0.0)]])[0].score == 0


def test_ranks_take_no_notice_of_a_measures_scale():
    each = [[Fitness(s, -s) for s in (0.2, 0.6, 0.4)], [Fitness(s, -s) for s in (0.5, 0.1, 0.3)]]
    squeezed = [each[0], [Fitness(0.9 + one.score / 100, one.log_likelihood) for one in each[1]]]
    rank = TogetherSettings("joint", fitness="rank")
    assert [one.score for one in combined(rank, each)] == [one.score for one in combined(rank, squeezed)]
