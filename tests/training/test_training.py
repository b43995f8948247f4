"""The last training of a path, and the baselines that get the same."""

from __future__ import annotations

import copy
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from benches import bench, train_probe
from trained import PATH, SETTINGS, by_hand, equal, go

from pathsearch.grid.grid import PathNetwork
from pathsearch.grid.path import Path
from pathsearch.targets.classes import ClassTarget
from pathsearch.targets.target import NonFiniteFitness
from pathsearch.training import course as module
from pathsearch.training.baselines import train_path
from pathsearch.training.batches import said_to
from pathsearch.training.last_training import train


@pytest.fixture(scope="module")
def noise(make_splits):
    """Labels that the features do not tell: whatever is learned is learned by heart."""
    train_split, val = make_splits(n_train=64, n_val=60, n_classes=2, noise=3.0)
    flips = torch.from_numpy(np.random.default_rng(0).integers(0, 2, 64))
    return replace(train_split, truth=flips), val


# --- learning -----------------------------------------------------------------------------------------------


def test_a_path_learns_the_planted_task(make_grid, splits):
    trained = go(make_grid, splits, replace(SETTINGS, epochs=15, patience=15, learning_rate=5e-3))
    assert trained.score > 0.9
    assert trained.history[-1]["train_loss"] < trained.history[0]["train_loss"]
    assert [row["epoch"] for row in trained.history] == list(range(1, 16))


def test_the_probe_learns_what_is_linear_and_only_that(make_grid, make_splits):
    settings = replace(SETTINGS, epochs=20, patience=20, learning_rate=0.01)
    linear, xor = make_splits(), make_splits(n_classes=2, kind="xor", noise=0.5)
    probe = train_probe(bench(linear, last=settings))
    assert probe.score > 0.95
    blind = train_probe(bench(xor, last=settings))
    assert blind.score < 0.7  # chance is a half
    path = train_path(bench(xor, last=settings), make_grid(n_classes=2), Path.parse("1|1"))
    assert path.score > 0.95


def test_the_answers_are_those_of_the_returned_network(make_grid, splits):
    trained = go(make_grid, splits)
    target = ClassTarget("abc")
    said = said_to(target, trained.network, splits[1])
    assert torch.equal(trained.said["log_p"], said["log_p"])
    assert (trained.score, trained.log_likelihood) == target.fitness("accuracy", said, splits[1].truth)
    assert not trained.network.training


def test_rates_by_hand():
    truth, target = torch.tensor([0, 1, 1]), ClassTarget(["a", "b"])
    log_p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]).log()
    accuracy, likelihood = target.fitness("accuracy", {"log_p": log_p}, truth)
    assert accuracy == pytest.approx(1 / 3)  # of equals the first is taken
    assert likelihood == pytest.approx((math.log(0.9) + math.log(0.4) + math.log(0.5)) / 3)


def test_a_step_waits_for_no_number(make_grid, splits, monkeypatch):
    """Losses are summed where the network is, and read once an epoch, not twice a step."""
    reads = []
    original = torch.Tensor.item

    def spy(self: torch.Tensor) -> float:
        reads.append("reading")
        return original(self)

    monkeypatch.setattr(torch.Tensor, "item", spy)
    go(make_grid, splits, replace(SETTINGS, epochs=2, batch_size=10, patience=9))
    many = len(reads)
    reads.clear()
    go(make_grid, splits, replace(SETTINGS, epochs=2, batch_size=40, patience=9))
    assert abs(len(reads) - many) < 10, "36 steps more would be 72 reads more; temperatures are tried in halves"


# --- the best epoch -----------------------------------------------------------------------------------------


def test_early_stopping_goes_back_to_the_best_epoch(make_grid, noise):
    settings = replace(SETTINGS, epochs=40, patience=3, learning_rate=0.02, average=0.0, dropout=0.0)
    trained = go(make_grid, noise, settings, n_classes=2)
    losses = [row["val_loss_calibrated"] for row in trained.history]
    assert trained.best_epoch == 1 + losses.index(min(losses))
    assert len(trained.history) == trained.best_epoch + 3 < 40  # it stopped, after three epochs without a better one
    at_best = trained.history[trained.best_epoch - 1]
    assert trained.log_likelihood == -at_best["val_loss"]
    assert trained.score == at_best["val_accuracy"]
    assert torch.equal(said_to(ClassTarget("ab"), trained.network, noise[1])["log_p"], trained.said["log_p"])


def test_the_kept_weights_are_those_of_the_best_epoch(make_grid, noise, monkeypatch):
    """Told by copies taken at each epoch: the right one is kept, and it is not the last."""
    copies: list[PathNetwork] = []
    original = module.Course.epoch

    def watched(course: module.Course) -> module.Epoch:
        epoch = original(course)
        copies.append(copy.deepcopy(course.averaged[0]))
        return epoch

    monkeypatch.setattr(module.Course, "epoch", watched)
    trained = go(make_grid, noise, replace(SETTINGS, epochs=12, learning_rate=0.02), n_classes=2)
    assert 1 <= trained.best_epoch < len(copies)
    assert [equal(one, trained.network) for one in copies].index(True) == trained.best_epoch - 1
    assert not equal(copies[-1], trained.network)


def test_patience_as_long_as_the_training_never_stops_it(make_grid, noise):
    settings = replace(SETTINGS, epochs=8, patience=8, learning_rate=0.02)
    assert len(go(make_grid, noise, settings, n_classes=2).history) == 8


# --- each step, by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("balance", "strength"), [(True, 1.0), (True, 0.5), (False, 1.0)])
def test_the_training_written_out(make_grid, splits, balance, strength):
    settings = replace(SETTINGS, epochs=2, label_smoothing=0.1, balance=balance, balance_strength=strength)
    few = torch.nonzero((splits[0].truth == 0) | (torch.arange(240) % 4 == 0))[:, 0]  # of the other classes
    uneven = replace(splits[0], truth=splits[0].truth[few], rows=(splits[0].rows[0][few.numpy()],))
    grid = make_grid()
    expected = by_hand(grid.network(PATH, "planted"), grid.shapes[1:], uneven, settings, 2, 7)
    trained = go(make_grid, (uneven, splits[1]), settings, seed=7)
    assert trained.best_epoch == 2
    for name, got in trained.network.state_dict().items():
        torch.testing.assert_close(got, expected[name], rtol=1e-3, atol=1e-5, msg=name)


def test_same_seed_same_weights_bit_for_bit(make_grid, splits):
    torch.manual_seed(1)
    first = go(make_grid, splits)
    torch.manual_seed(2)
    again, other = go(make_grid, splits), go(make_grid, splits, seed=1)
    assert equal(first.network, again.network)
    assert first.history == again.history
    assert not equal(first.network, other.network)


def test_training_leaves_the_global_generators_alone(make_grid, splits):
    before, torch_before = random.getstate(), torch.get_rng_state()
    train_path(bench(splits, last=replace(SETTINGS, refit=True, epochs=2)), make_grid(), PATH)
    train_probe(bench(splits, last=replace(SETTINGS, epochs=2)))
    assert random.getstate() == before
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_every_image_comes_up_once_an_epoch(make_grid, splits, monkeypatch):
    asked: list[tuple[int, int, int]] = []
    original = module.shared_minibatches

    def watched(splits: Any, size: int, steps: int, generator: torch.Generator) -> Any:
        asked.append((len(splits[0]), size, steps))
        return original(splits, size, steps, generator)

    monkeypatch.setattr(module, "shared_minibatches", watched)
    go(make_grid, splits, replace(SETTINGS, epochs=3, batch_size=100))
    assert asked == [(240, 100, 3)] * 3  # 240 images in batches of 100


# --- frozen stays frozen ------------------------------------------------------------------------------------


def test_frozen_modules_stay_bit_identical(make_grid, splits):
    grid = make_grid()
    grid.freeze(Path.parse("0|1"))
    start = grid.network(PATH, "planted")
    settings = replace(SETTINGS, refit=True, weight_decay=0.5)
    trained = train_path(bench(splits, last=settings), grid, PATH)
    assert equal(trained.network.modules_of(0)[0], start.modules_of(0)[0])
    assert equal(trained.network.modules_of(1)[0], start.modules_of(1)[0])
    assert not equal(trained.network.modules_of(0)[1], start.modules_of(0)[1])
    assert not equal(trained.network.head, start.head)


def test_training_a_path_leaves_its_grid_alone(make_grid, splits):
    grid = make_grid()
    before = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    train_path(bench(splits, last=replace(SETTINGS, refit=True, epochs=2)), grid, PATH)
    assert all(torch.equal(before[name], tensor) for name, tensor in grid.state_dict().items())


# --- refusing what is not finite ----------------------------------------------------------------------------


def test_nan_loss_names_the_epoch_and_the_way_out(make_grid, splits):
    network = make_grid().network(PATH, "planted")
    with torch.no_grad():
        next(network.head.parameters()).fill_(math.nan)
    message = r"epoch 1: the training loss became nan; lower the rate with --set training\.learning_rate=0\.0005"
    with pytest.raises(NonFiniteFitness, match=message):
        train(bench(splits, last=SETTINGS), network, make_grid().shapes[1:])


def test_a_last_step_into_nothing_is_noticed(make_grid, splits):
    """The only loss of the only epoch is finite; the weights after it are not good for anything."""
    settings = replace(SETTINGS, epochs=1, batch_size=240, learning_rate=1e30)
    with pytest.raises(NonFiniteFitness, match="epoch 1: the validation loss became nan"):
        go(make_grid, splits, settings)
