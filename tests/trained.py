"""One last training on planted features, and the same by hand."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from benches import bench
from torch import Tensor

from pathsearch.grid.grid import PathNetwork
from pathsearch.grid.path import Path
from pathsearch.run.settings import TrainingSettings
from pathsearch.run.streams import torch_stream
from pathsearch.targets.classes import class_weights
from pathsearch.training.batches import minibatches
from pathsearch.training.last_training import Trained, train

PATH = Path.parse("0+2|1")
SETTINGS = TrainingSettings(
    epochs=6, patience=6, batch_size=32, dropout=0.2, weight_decay=0.05, average=0.9, refit=False, balance=True
)


def equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def go(make_grid, splits, settings: TrainingSettings = SETTINGS, seed: int = 0, n_classes: int = 3) -> Trained:
    grid = make_grid(n_classes=n_classes)
    return train(bench(splits, last=settings, seed=seed), grid.network(PATH, "planted"), grid.shapes[1:])


def by_hand(network: PathNetwork, shapes: Any, data: Any, settings: TrainingSettings, epochs: int, seed: int) -> Any:
    """The same training, written out: AdamW, a cosine to zero, and a running average that starts at step one."""
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)
    steps = math.ceil(len(data) / settings.batch_size)
    average: dict[str, Tensor] = {}
    weights = class_weights(data.truth, 3, settings.balance_strength) if settings.balance else None
    done, masks = 0, torch_stream(seed, "last masks")
    for epoch in range(1, epochs + 1):
        for x, labels in minibatches(data, settings.batch_size, steps, torch_stream(seed, "last batches", epoch)):
            optimiser.param_groups[0]["lr"] = (
                settings.learning_rate * (1 + math.cos(math.pi * done / (epochs * steps))) / 2
            )
            keep = 1 - settings.dropout
            own = [torch.rand(len(x), *shape, generator=masks).lt(keep) / keep for shape in shapes]
            loss = F.cross_entropy(network(x, own), labels, weight=weights, label_smoothing=settings.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
            for name, p in network.state_dict().items():
                old = average.get(name, p.clone())
                decay = min(settings.average, done / (9 + done))  # short at first: see RunningAverage
                average[name] = decay * old + (1 - decay) * p
    return average
