"""Training and scoring a generation on one grid: the steps, what may change, saving and going back."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from benches import bench
from evaluators import PATHS, SETTINGS, equal, fresh, shared, snapshot
from torch import Tensor

from pathsearch.grid.path import Path
from pathsearch.grid.population import plan
from pathsearch.run.streams import torch_stream
from pathsearch.targets.target import NonFiniteFitness
from pathsearch.training import batches as batching
from pathsearch.training import fitness as module
from pathsearch.training.batches import minibatches, said_to
from pathsearch.training.fitness import SharedWeights
from pathsearch.training.fresh import FreshWeights
from pathsearch.training.optimisers import RunningAverage


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


# --- shared weights -----------------------------------------------------------------------------------------


def test_score_is_that_of_the_single_network(make_grid, splits):
    evaluator = shared(make_grid, splits)
    evaluator.train(PATHS, 1)
    for path, got in zip(PATHS, evaluator.score(PATHS), strict=True):
        log_p = said_to(evaluator.bench.target, evaluator.grid.network(path, "planted"), splits[1])["log_p"]
        accuracy = (log_p.argmax(1) == splits[1].truth).double().mean().item()
        likelihood = -F.nll_loss(log_p, splits[1].truth).item()
        assert got == pytest.approx((accuracy, likelihood), abs=1e-5)


def test_scoring_changes_nothing_and_scores_copies_once(make_grid, splits, monkeypatch):
    evaluator = shared(make_grid, splits)
    before = snapshot(evaluator.state())
    asked = []
    original = evaluator._score
    monkeypatch.setattr(evaluator, "_score", lambda paths: asked.append(list(paths)) or original(paths))
    got = evaluator.score([PATHS[1], PATHS[0], PATHS[1]])
    assert asked == [[PATHS[1], PATHS[0]]]
    assert got[0] == got[2]
    assert equal(before, evaluator.state())


def test_paths_that_step_in_parts_learn_the_same(make_grid, splits, monkeypatch):
    whole, cut = shared(make_grid, splits), shared(make_grid, splits)
    told = whole.train([*PATHS, PATHS[0]], 1)
    monkeypatch.setattr(batching, "TRAINING_BYTES", 1)  # each path in a part of its own
    passes = []
    original = module.population.forward
    monkeypatch.setattr(module.population, "forward", lambda *more: passes.append(1) or original(*more))
    assert cut.train([*PATHS, PATHS[0]], 1) == pytest.approx(told)
    assert len(passes) == SETTINGS.steps * len(set(PATHS))
    for name, tensor in whole.grid.state_dict().items():
        torch.testing.assert_close(cut.grid.state_dict()[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert whole.cost == cut.cost


def test_training_learns_the_planted_task(make_grid, splits):
    evaluator = shared(make_grid, splits, replace(SETTINGS, steps=60))
    before = max(one.log_likelihood for one in evaluator.score(PATHS))
    progress = evaluator.train(PATHS, 1)
    after = evaluator.score(PATHS)
    assert min(one.log_likelihood for one in after) > before
    assert min(one.score for one in after) > 0.8  # chance is a third
    assert 0 < progress.loss < math.log(3)
    assert 0.5 < progress.accuracy <= 1


def test_one_step_by_hand(make_grid, splits):
    """The mean loss over paths and images, back through plain AdamW."""
    settings = replace(SETTINGS, steps=1, dropout=0.0, balance=False)
    evaluator, grid = shared(make_grid, splits, settings), make_grid()
    progress = evaluator.train(PATHS, 5)
    x, labels = next(minibatches(splits[0], 32, 1, torch_stream(0, "batches", 5)))
    optimiser = torch.optim.AdamW(grid.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    losses = []
    for path in PATHS:
        state = x
        for number, layer in enumerate(path.layers):
            total = sum(grid.module(number, index)(state) for index in layer)
            state = F.layer_norm(total, total.shape[1:])
        losses.append(F.cross_entropy(grid.heads["planted"](state), labels))
    loss = torch.stack(losses).mean()
    loss.backward()
    optimiser.step()
    assert progress.loss == pytest.approx(loss.item(), rel=1e-5)
    for (name, got), (_, expected) in zip(evaluator.grid.named_parameters(), grid.named_parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5, msg=name)


def test_a_generation_depends_on_its_number(make_grid, splits):
    """Otherwise every generation would see the same images in the same order."""
    runs = [shared(make_grid, splits) for _ in range(3)]
    for evaluator, generation in zip(runs, (1, 1, 2), strict=True):
        evaluator.train(PATHS, generation)
    first, again, other = (evaluator.state() for evaluator in runs)
    assert equal(first, again)
    assert not equal(first, other)


def test_warmup_has_its_own_number_of_steps(make_grid, splits, monkeypatch):
    asked = []
    original = module.minibatches
    monkeypatch.setattr(module, "minibatches", lambda *given: asked.append(given[2]) or original(*given))
    evaluator = shared(make_grid, splits)
    evaluator.train(PATHS, -1)
    evaluator.train(PATHS, 1)
    assert asked == [4, 6]


def test_only_modules_on_paths_and_the_own_head_change(make_grid, splits):
    evaluator = shared(make_grid, splits)
    evaluator.grid.add_head("other", "linear", (2,))
    before = snapshot(evaluator.grid.state_dict())
    evaluator = SharedWeights(bench(splits, SETTINGS), evaluator.grid)
    evaluator.train([Path.parse("0|1"), Path.parse("0+2|1")], 1)
    after = evaluator.grid.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    places = {name.rsplit(".", 1)[0].split(".body")[0].split(".readout")[0][:10] for name in changed}
    assert places == {"layers.0.0", "layers.0.2", "layers.1.1", "heads.of p"}


def test_frozen_modules_stay_bit_identical(make_grid, splits):
    grid = make_grid()
    grid.freeze(Path.parse("0+1|1"))
    before = snapshot(grid.state_dict())
    evaluator = SharedWeights(bench(splits, replace(SETTINGS, weight_decay=0.5)), grid)
    for generation in range(1, 4):
        evaluator.train(grid.space.all_paths()[:40], generation)
    after = grid.state_dict()
    fixed = ("layers.0.0.", "layers.0.1.", "layers.1.1.")
    for name in before:
        if name.startswith(fixed):
            assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["layers.0.2.body.0.weight"], after["layers.0.2.body.0.weight"])


def test_balance_weighs_the_classes(make_grid, make_splits):
    train, val = make_splits(n_train=120, n_val=30, n_classes=2)
    keep = torch.cat([torch.nonzero(train.truth == 0)[:, 0], torch.nonzero(train.truth == 1)[:6, 0]])
    uneven = replace(train, truth=train.truth[keep], rows=(train.rows[0][keep.numpy()],))

    def weight(**change: object) -> float:
        """Of the rare class over that of the other, told by the loss of one image each."""
        loss = shared(make_grid, (uneven, val), replace(SETTINGS, **change), n_classes=2).loss
        each = F.cross_entropy(logits[0], labels, reduction="none")
        mean = loss(logits, labels)[0]
        return ((each[0] - mean) / (mean - each[1])).item()

    logits, labels = torch.tensor([[[0.0, 1.0], [0.0, 3.0]]]), torch.tensor([0, 1])
    assert weight() == pytest.approx(10, rel=1e-4)
    assert weight(balance=False) == pytest.approx(1, rel=1e-4)
    assert weight(balance_strength=0.5) == pytest.approx(10**0.5, rel=1e-4)


@pytest.mark.parametrize("way", [SharedWeights, FreshWeights])
@pytest.mark.parametrize("measure", ["accuracy", "balanced_accuracy", "auc"])
def test_every_measure_scores_in_range(make_grid, splits, way, measure):
    evaluator = way(bench(splits, replace(SETTINGS, fitness=measure)), make_grid())
    assert all(0 <= one.score <= 1 and one.log_likelihood < 0 for one in evaluator.score(PATHS))


def test_nan_in_training_names_the_generation(make_grid, splits):
    evaluator = shared(make_grid, splits)
    with torch.no_grad():
        next(evaluator.grid.heads["planted"].parameters()).fill_(math.nan)
    with pytest.raises(
        NonFiniteFitness,
        match=r"generation 7: the training loss became nan; .* --set search.learning_rate=",
    ):
        evaluator.train(PATHS, 7)


@pytest.mark.parametrize("measure", ["accuracy", "balanced_accuracy", "auc"])
def test_nan_in_scoring_names_the_path(make_grid, splits, measure):
    evaluator = shared(make_grid, splits, replace(SETTINGS, fitness=measure))
    with torch.no_grad():
        next(evaluator.grid.module(1, 2).parameters()).fill_(math.nan)
    assert evaluator.score(PATHS[:2])
    with pytest.raises(NonFiniteFitness, match=r"path 0\+3\|1\+2: fitness became"):
        evaluator.score(PATHS)


# --- averaged weights ---------------------------------------------------------------------------------------


def test_the_average_is_scored_by_hand(make_grid, splits):
    """Two steps, the second of which keeps 2/11 of the first: a short average to begin with."""
    plain = replace(SETTINGS, steps=1)
    watched, averaged = shared(make_grid, splits, plain), shared(make_grid, splits, replace(plain, average=0.75))
    expected: dict[str, Tensor] = {}
    for generation, weight in ((1, 2 / 11), (2, 9 / 11)):
        for evaluator in (watched, averaged):
            evaluator.train(PATHS, generation)
        for name, tensor in watched.grid.state_dict().items():
            expected[name] = expected.get(name, torch.zeros_like(tensor)) + weight * tensor
    assert equal(watched.grid.state_dict(), averaged.grid.state_dict()), "training goes on from the last weights"
    watched.grid.load_state_dict(expected)
    for got, one in zip(averaged.score(PATHS), watched.score(PATHS), strict=True):
        assert got == pytest.approx(one, abs=1e-5)
    assert averaged.score(PATHS) != shared(make_grid, splits, plain).score(PATHS)


@pytest.mark.parametrize(("decay", "steps"), [(0.99, 60), (0.99, 2000), (0.5, 30), (0.0, 3)])
def test_a_RunningAverage_follows_short_trainings_and_smooths_long_ones(decay, steps):
    """Weights that grow by one a step: the average trails by the steps it spans, a tenth of all at first."""
    network = torch.nn.Linear(1, 1, bias=False)
    average, expected = RunningAverage(network, decay), math.nan
    for step in range(steps):
        with torch.no_grad():
            network.weight.fill_(float(step))
        average.update_parameters(network)
        kept = min(decay, (1 + step) / (10 + step)) if step else 0.0
        expected = step if step == 0 else kept * expected + (1 - kept) * step
    got = average.module.weight.item()
    assert got == pytest.approx(expected, rel=1e-4)
    behind = steps - 1 - got
    assert behind <= steps / 9, "a short training does not end near its start"
    assert behind == pytest.approx(decay / (1 - decay), abs=0.1) or steps < 10 / (1 - decay)


def test_an_average_goes_on_bit_for_bit(make_grid, splits):
    settings = replace(SETTINGS, average=0.9)
    straight, resumed = shared(make_grid, splits, settings), shared(make_grid, splits, settings)
    straight.train(PATHS[:2], 1)
    resumed.load_state(snapshot(straight.state()))
    assert resumed.score(PATHS) == straight.score(PATHS)
    for evaluator in (straight, resumed):
        evaluator.train(PATHS, 2)
    assert equal(straight.state(), resumed.state())
    assert resumed.score(PATHS) == straight.score(PATHS)


# --- saving and going back ----------------------------------------------------------------------------------


def test_shared_state_goes_on_bit_for_bit(make_grid, splits):
    straight, stopped = shared(make_grid, splits), shared(make_grid, splits)
    stopped.train(PATHS[:2], 1)
    saved = snapshot(stopped.state())
    resumed = shared(make_grid, splits)
    resumed.load_state(saved)
    assert equal(resumed.state(), saved)
    resumed.train(PATHS, 2)
    straight.train(PATHS[:2], 1)
    straight.train(PATHS, 2)
    assert equal(straight.state(), resumed.state())
    assert straight.score(PATHS) == resumed.score(PATHS)


def test_shared_state_can_be_gone_back_to_twice(make_grid, splits):
    """Going on must not write into the saved tensors, and later moments must not outlive the return."""
    evaluator = shared(make_grid, splits)
    evaluator.train(PATHS[:1], 1)
    saved = snapshot(evaluator.state())
    kept = snapshot(saved)
    ends = []
    for _ in range(2):
        evaluator.load_state(saved)
        assert equal(evaluator.state(), kept)
        evaluator.train(PATHS, 2)
        ends.append(snapshot(evaluator.state()))
        assert equal(saved, kept)
    assert equal(*ends)


def test_shared_state_holds_weights_and_moments(make_grid, splits):
    evaluator = shared(make_grid, splits)
    assert {name.split(".")[0] for name in evaluator.state()} == {"grid"}
    evaluator.train(PATHS[:1], 1)
    moments = {name.rpartition(":")[2] for name in evaluator.state() if name.startswith("optimiser.")}
    assert moments == {"step", "exp_avg", "exp_avg_sq"}


# --- both ways -------------------------------------------------------------------------------------------------


def test_evaluators_leave_the_global_generators_alone(make_grid, splits):
    before, torch_before = random.getstate(), torch.get_rng_state()
    for evaluator in (shared(make_grid, splits), fresh(make_grid, splits)):
        evaluator.train(PATHS, 1)
        evaluator.score(PATHS)
    assert random.getstate() == before
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_a_plan_is_made_once_a_generation(make_grid, splits, monkeypatch):
    planned = []
    monkeypatch.setattr(module.population, "plan", lambda paths, *of: planned.append(len(paths)) or plan(paths, *of))
    evaluator = shared(make_grid, splits)
    evaluator.train(PATHS, 1)
    evaluator.score(PATHS)
    assert planned == [4, 4]
