"""The last training of one path: alone, with early stopping, its weights averaged. Baselines get the same."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from pathsearch.grid.grid import PathNetwork, device_of, dropout_masks
from pathsearch.grid.modules import Shape
from pathsearch.run.settings import TrainingSettings
from pathsearch.run.streams import derive, torch_stream
from pathsearch.targets.target import Fitness, NonFiniteFitness, Said
from pathsearch.training.bench import Bench
from pathsearch.training.fitness import minibatches, said_to
from pathsearch.training.optimisers import Rates, RunningAverage, optimiser_of


@dataclass(frozen=True)
class Trained:
    """A trained network, how it got there, and what it said to the validation images before any refit."""

    network: PathNetwork
    history: list[dict[str, Any]]  # one row an epoch: losses in nats an image, accuracies in [0, 1]
    best_epoch: int
    said: Said  # to the validation images
    accuracy: float  # of that, by the first measure of the target
    log_likelihood: float  # of that, mean, nats an image


def train(bench: Bench, network: PathNetwork, shapes: list[Shape]) -> Trained:
    """Train a path's network and return it at its best on validation.

    Args:
        bench: its validation images decide when to stop, by what its target stops by. Its seed is that of data order
            and dropout. One view is drawn each time a training image comes up.
        network: trained in place; parameters that are fixed stay so.
        shapes: of the outputs of its layers, for the dropout masks; empty for a probe.

    Returns:
        The averaged weights of the best epoch. Scored and kept is the running average, not the last step.

    Raises:
        NonFiniteFitness: a loss or the likelihood became NaN or infinite.
    """
    history: list[dict[str, Any]] = []
    best: tuple[float, int, dict[str, Tensor], Said, Fitness] | None = None
    settings, validation, target = bench.last, bench.validation, bench.target
    heard: list[float] = []
    for epoch in _epochs(bench, network, shapes, settings.epochs, heard):
        # 1. score the averaged weights, keep the best
        said = said_to(target, epoch.averaged, validation)
        stopping = target.stopping(said, validation.truth)
        if not math.isfinite(stopping):
            raise _diverged(epoch.number, "validation likelihood", stopping, settings)
        heard.append(stopping)
        fitness = target.fitness(target.measures[0], said, validation.truth)
        if best is None or stopping > best[0]:
            best = (stopping, epoch.number, copy.deepcopy(epoch.averaged.state_dict()), said, fitness)
        history.append(
            {
                "epoch": epoch.number,
                "learning_rate": epoch.rate,
                "train_loss": epoch.loss,
                "train_accuracy": epoch.accuracy,
                "val_loss": -fitness.log_likelihood,
                "val_loss_calibrated": -stopping,
                "val_accuracy": fitness.score,
            }
        )
        # 2. stop when validation has not improved for a while
        if epoch.number - best[1] >= settings.patience:
            break
    assert best is not None
    _, best_epoch, weights, said, (accuracy, log_likelihood) = best
    network.load_state_dict(weights)
    network.eval()
    return Trained(network, history, best_epoch, said, accuracy, log_likelihood)


def refit(bench: Bench, trained: Trained, fresh: PathNetwork, shapes: list[Shape]) -> Trained:
    """Train `fresh` on training and validation images together, as long as `trained` was best.

    Nothing is chosen here: path, number of epochs and threshold come from `trained`, whose validation figures
    are kept; the refitted network has no images left to be validated on.
    """
    both = bench.on(bench.training.joined(bench.validation), bench.validation).at(derive(bench.seed, "refit"))
    rates = [row["learning_rate"] for row in trained.history]
    for epoch in _epochs(both, fresh, shapes, trained.best_epoch, (), rates):
        last = epoch.averaged
    fresh.load_state_dict(last.state_dict())
    fresh.eval()
    return replace(trained, network=fresh)


class _Epoch(NamedTuple):
    number: int
    rate: float  # at its start
    loss: float  # plain, mean over the training batches, with dropout
    accuracy: float  # mean quality of the answers, of the same
    averaged: PathNetwork  # the network with the running average of its weights


def _epochs(
    bench: Bench,
    network: PathNetwork,
    shapes: list[Shape],
    n_epochs: int,
    heard: Sequence[float],
    again: Sequence[float] = (),
) -> Iterator[_Epoch]:
    """Train for up to `n_epochs` and yield after each.

    `heard` grows by what validation said to an epoch before the next is asked for; `again` are the rates of a training
    that this one repeats without.
    """
    data, settings = bench.training, bench.last
    # 1. optimiser over what may change, its rates, a running average of the weights
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimiser = optimiser_of(settings, trainable)
    steps = math.ceil(len(data) / settings.batch_size)
    rates = Rates(optimiser, settings, n_epochs * steps, again)
    average = RunningAverage(network, settings.average)
    target, balance = bench.target, settings.balance_strength if settings.balance else None
    loss_of = target.loss(data.truth, balance, settings.label_smoothing)
    device, masks_stream = device_of(network), torch_stream(bench.seed, "last masks")
    for number in range(1, n_epochs + 1):
        network.train()
        rate = rates.now
        sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss and accuracy, read once: a step waits for none
        order = torch_stream(bench.seed, "last batches", number)
        for x, truth in minibatches(data, settings.batch_size, steps, order):
            # 2. one minibatch, one step
            x, truth = x.to(device), truth.to(device)
            masks = dropout_masks(shapes, len(x), settings.dropout, masks_stream)
            outputs = network(x, masks and [mask.to(device) for mask in masks])[None]  # of one path
            loss = loss_of(outputs, truth)[0]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            rates.step()
            average.update_parameters(network)
            with torch.no_grad():
                each = (target.each_loss(outputs, truth), target.each_quality(outputs, truth))
                sums += torch.stack([target.of_known(one, truth).mean() for one in each]).double()
        loss_sum, hits = sums.tolist()
        if not math.isfinite(loss_sum):
            raise _diverged(number, "training loss", loss_sum, settings)
        # 3. hand over
        yield _Epoch(number, rate, loss_sum / steps, hits / steps, cast(PathNetwork, average.module))
        rates.epoch(heard[-1] if heard else None)


def _diverged(epoch: int, what: str, value: float, settings: TrainingSettings) -> NonFiniteFitness:
    return NonFiniteFitness(
        f"epoch {epoch}: the {what} became {value}; "
        f"lower the rate with --set training.learning_rate={settings.learning_rate / 4}"
    )
