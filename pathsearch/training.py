"""The last training of one path: alone, with early stopping, its weights averaged. Baselines get the same."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pathsearch.config import TrainingSettings
from pathsearch.features import Split
from pathsearch.fitness import (
    NonFiniteFitness,
    class_weights,
    device_of,
    log_probabilities,
    minibatches,
)
from pathsearch.grid import PathNetwork, dropout_masks
from pathsearch.modules import Shape
from pathsearch.streams import torch_stream


@dataclass(frozen=True)
class Trained:
    """A trained network with the weights of its best epoch, and how it got there."""

    network: PathNetwork
    history: list[dict[str, Any]]  # one row an epoch: losses in nats an image, accuracies in [0, 1]
    log_p: Tensor  # (n_val, K) log-probabilities of the validation images
    accuracy: float  # on them
    log_likelihood: float  # on them, mean, nats an image


def train(
    network: PathNetwork,
    shapes: list[Shape],
    training: Split,
    validation: Split,
    settings: TrainingSettings,
    seed: int,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> Trained:
    """Train a path's network and return it at its best validation likelihood.

    Args:
        network: trained in place; parameters that are fixed stay so.
        shapes: of the outputs of its layers, for the dropout masks; empty for a probe.
        training: with all its views; one of them is drawn each time an image comes up.
        validation: decides when to stop, by the likelihood: small validation sets saturate in accuracy.
        settings: epochs, rates, regularisation.
        seed: of data order and dropout.
        on_epoch: called with the number of epochs done.

    Returns:
        The averaged weights of the best epoch. Scored and kept is the running average, not the last step.

    Raises:
        NonFiniteFitness: the loss became NaN or infinite.
    """
    # 1. optimiser over what may change, a rate that falls along a cosine, a running average of the weights
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = math.ceil(len(training) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * steps)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.average))
    n_classes = network.n_classes
    weights = class_weights(training.labels, n_classes) if settings.balance else None
    device, masks_stream = device_of(network), torch_stream(seed, "last masks")
    history: list[dict[str, Any]] = []
    best: tuple[float, Any, Tensor] | None = None
    since_best = 0

    for epoch in range(1, settings.epochs + 1):
        # 2. one epoch
        network.train()
        loss_sum = hits = 0.0
        order = torch_stream(seed, "last batches", epoch)
        for x, labels in minibatches(training, settings.batch_size, steps, order):
            x, labels = x.to(device), labels.to(device)
            masks = dropout_masks(shapes, len(x), settings.dropout, masks_stream)
            logits = network(x, masks and [mask.to(device) for mask in masks])
            loss = F.cross_entropy(logits, labels, weight=weights, label_smoothing=settings.label_smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            loss_sum += F.cross_entropy(logits.detach(), labels).item()
            hits += (logits.argmax(-1) == labels).float().mean().item()
        if not math.isfinite(loss_sum):
            raise NonFiniteFitness(f"epoch {epoch}: the training loss became {loss_sum}; lower --final-learning-rate")
        # 3. score the averaged weights on validation, keep the best
        log_p = log_probabilities(average.module, validation)
        likelihood, accuracy = likelihood_of(log_p, validation), accuracy_of(log_p, validation)
        history.append(
            {
                "epoch": epoch,
                "train_loss": loss_sum / steps,
                "train_accuracy": hits / steps,
                "val_loss": -likelihood,
                "val_accuracy": accuracy,
            }
        )
        on_epoch(epoch)
        if best is None or likelihood > best[0]:
            best, since_best = (likelihood, copy.deepcopy(average.module.state_dict()), log_p), 0
        else:
            since_best += 1
        # 4. stop when validation has not improved for a while
        if since_best >= settings.patience:
            break

    assert best is not None
    network.load_state_dict(best[1])
    network.eval()
    return Trained(network, history, best[2], accuracy_of(best[2], validation), best[0])


def accuracy_of(log_p: Tensor, split: Split) -> float:
    """Share of a split's images whose most probable class is the right one."""
    return (log_p.argmax(1) == split.labels).double().mean().item()


def likelihood_of(log_p: Tensor, split: Split) -> float:
    """Mean log-probability of a split's true classes, nats an image."""
    return log_p.gather(1, split.labels[:, None]).mean().item()
