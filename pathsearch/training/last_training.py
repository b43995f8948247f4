"""The last training of one path: alone, with early stopping, its weights averaged. Baselines get the same."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from pathsearch.encoders.features import Split
from pathsearch.grid.grid import PathNetwork, device_of, dropout_masks
from pathsearch.grid.modules import Shape
from pathsearch.run.settings import TrainingSettings
from pathsearch.run.streams import derive, torch_stream
from pathsearch.training.bench import Bench
from pathsearch.training.fitness import NonFiniteFitness, class_weights, log_probabilities, minibatches
from pathsearch.training.optimisers import RunningAverage, adamw

ROWS = 1024  # images whose scaled probabilities are held at once


@dataclass(frozen=True)
class Trained:
    """A trained network, how it got there, and what it said to the validation images before any refit."""

    network: PathNetwork
    history: list[dict[str, Any]]  # one row an epoch: losses in nats an image, accuracies in [0, 1]
    best_epoch: int
    log_p: Tensor  # (n_val, K) log-probabilities of the validation images
    accuracy: float  # on them
    log_likelihood: float  # on them, mean, nats an image


def train(bench: Bench, network: PathNetwork, shapes: list[Shape]) -> Trained:
    """Train a path's network and return it at its best calibrated validation likelihood.

    Args:
        bench: its validation images decide when to stop, by the calibrated likelihood: small validation sets saturate
            in accuracy, and the plain likelihood punishes a network that is right but sure long before it overfits.
            Its seed is that of data order and dropout. One view is drawn each time a training image comes up.
        network: trained in place; parameters that are fixed stay so.
        shapes: of the outputs of its layers, for the dropout masks; empty for a probe.

    Returns:
        The averaged weights of the best epoch. Scored and kept is the running average, not the last step.

    Raises:
        NonFiniteFitness: a loss or the likelihood became NaN or infinite.
    """
    history: list[dict[str, Any]] = []
    best: tuple[float, int, dict[str, Tensor], Tensor] | None = None
    settings, validation = bench.last, bench.validation
    for epoch in _epochs(bench, network, shapes, settings.epochs):
        # 1. score the averaged weights, keep the best
        log_p = log_probabilities(epoch.averaged, validation)
        calibrated = calibrated_likelihood(log_p, validation.labels)
        if not math.isfinite(calibrated):
            raise _diverged(epoch.number, "validation likelihood", calibrated, settings)
        if best is None or calibrated > best[0]:
            best = (calibrated, epoch.number, copy.deepcopy(epoch.averaged.state_dict()), log_p)
        history.append(
            {
                "epoch": epoch.number,
                "train_loss": epoch.loss,
                "train_accuracy": epoch.accuracy,
                "val_loss": -likelihood_of(log_p, validation),
                "val_loss_calibrated": -calibrated,
                "val_accuracy": accuracy_of(log_p, validation),
            }
        )
        # 2. stop when validation has not improved for a while
        if epoch.number - best[1] >= settings.patience:
            break
    assert best is not None
    _, best_epoch, weights, log_p = best
    network.load_state_dict(weights)
    network.eval()
    return Trained(
        network, history, best_epoch, log_p, accuracy_of(log_p, validation), likelihood_of(log_p, validation)
    )


def refit(bench: Bench, trained: Trained, fresh: PathNetwork, shapes: list[Shape]) -> Trained:
    """Train `fresh` on training and validation images together, as long as `trained` was best.

    Nothing is chosen here: path, number of epochs and threshold come from `trained`, whose validation figures
    are kept; the refitted network has no images left to be validated on.
    """
    both = bench.on(bench.training.joined(bench.validation), bench.validation).at(derive(bench.seed, "refit"))
    for epoch in _epochs(both, fresh, shapes, trained.best_epoch):
        last = epoch.averaged
    fresh.load_state_dict(last.state_dict())
    fresh.eval()
    return replace(trained, network=fresh)


class _Epoch(NamedTuple):
    number: int
    loss: float  # mean cross-entropy of the training batches, nats an image, with dropout
    accuracy: float  # of the same
    averaged: PathNetwork  # the network with the running average of its weights


def _epochs(bench: Bench, network: PathNetwork, shapes: list[Shape], n_epochs: int) -> Iterator[_Epoch]:
    """Train for up to `n_epochs`, at whose end the rate is zero, and yield after each."""
    data, settings = bench.training, bench.last
    # 1. optimiser over what may change, a rate that falls along a cosine, a running average of the weights
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimiser = adamw(trainable, settings.learning_rate, settings.weight_decay)
    steps = math.ceil(len(data) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_epochs * steps)
    average = RunningAverage(network, settings.average)
    weights = class_weights(data.labels, len(bench.classes), settings.balance_strength) if settings.balance else None
    device, masks_stream = device_of(network), torch_stream(bench.seed, "last masks")
    weights = weights if weights is None else weights.to(device)
    for number in range(1, n_epochs + 1):
        network.train()
        sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss and accuracy, read once: a step waits for none
        order = torch_stream(bench.seed, "last batches", number)
        for x, labels in minibatches(data, settings.batch_size, steps, order):
            # 2. one minibatch, one step
            x, labels = x.to(device), labels.to(device)
            masks = dropout_masks(shapes, len(x), settings.dropout, masks_stream)
            logits = network(x, masks and [mask.to(device) for mask in masks])
            loss = F.cross_entropy(logits, labels, weight=weights, label_smoothing=settings.label_smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            with torch.no_grad():
                right = (logits.argmax(-1) == labels).float().mean()
                sums += torch.stack([F.cross_entropy(logits, labels), right]).double()
        loss_sum, hits = sums.tolist()
        if not math.isfinite(loss_sum):
            raise _diverged(number, "training loss", loss_sum, settings)
        # 3. hand over
        yield _Epoch(number, loss_sum / steps, hits / steps, cast(PathNetwork, average.module))


def _diverged(epoch: int, what: str, value: float, settings: TrainingSettings) -> NonFiniteFitness:
    return NonFiniteFitness(
        f"epoch {epoch}: the {what} became {value}; "
        f"lower the rate with --set training.learning_rate={settings.learning_rate / 4}"
    )


def accuracy_of(log_p: Tensor, split: Split) -> float:
    """Share of a split's images whose most probable class is the right one."""
    return (log_p.argmax(1) == split.labels).double().mean().item()


def likelihood_of(log_p: Tensor, split: Split) -> float:
    """Mean log-probability of a split's true classes, nats an image."""
    return log_p.gather(1, split.labels[:, None]).mean().item()


def calibrated_likelihood(log_p: Tensor, labels: Tensor) -> float:
    """Mean log-probability of the true classes at the best temperature, nats an image.

    Args:
        log_p: (n, K) log-probabilities.
        labels: (n,) true classes.

    Source: temperature scaling of Guo et al. 2017; 41 temperatures from 0.1 to 10 stand for the optimum.
    """
    sharpness = torch.logspace(-1, 1, 41, dtype=torch.float64).tolist()

    @functools.cache
    def likelihood(at: int) -> float:
        return _scaled_likelihood(log_p, labels, sharpness[at])

    # in 1/T the likelihood is concave, so that its differences along the grid change sign once: halve to that place
    low, high = 0, len(sharpness) - 1
    while low < high:
        middle = (low + high) // 2
        if likelihood(middle) < likelihood(middle + 1):
            low = middle + 1
        else:
            high = middle
    return likelihood(low)


def _scaled_likelihood(log_p: Tensor, labels: Tensor, sharpness: float) -> float:
    """Mean log-probability of the true classes with logits times `sharpness`, some rows at a time."""
    total = torch.zeros((), dtype=torch.float64)
    for rows, own in zip(log_p.split(ROWS), labels.split(ROWS), strict=True):
        scaled = sharpness * rows.double()
        total += (scaled.gather(1, own[:, None])[:, 0] - scaled.logsumexp(1)).sum()
    return total.item() / len(labels)
