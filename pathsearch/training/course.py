"""The course of a last training: the network, and everything that its next epoch depends on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from pathsearch.grid.grid import PathNetwork, device_of, dropout_masks
from pathsearch.grid.modules import Shape
from pathsearch.run.settings import TrainingSettings
from pathsearch.run.streams import torch_stream
from pathsearch.run.tensor_file import below
from pathsearch.targets.target import NonFiniteFitness
from pathsearch.training.bench import Bench
from pathsearch.training.fitness import minibatches
from pathsearch.training.optimisers import Rates, RunningAverage, optimiser_of


class Epoch(NamedTuple):
    """What came of one epoch."""

    number: int
    rate: float  # at its start
    loss: float  # plain, mean over the training batches, with dropout
    accuracy: float  # mean quality of the answers, of the same


class Course:
    """A network under training for up to `n_epochs`.

    Args:
        bench: its seed is that of data order and dropout.
        network: trained in place; parameters that are fixed stay so.
        shapes: of the outputs of its layers, for the dropout masks; empty for a probe.
        n_epochs: what the schedule counts on.
        again: the rates of a training that this one repeats, where no validation images are left to steer them.
    """

    def __init__(
        self, bench: Bench, network: PathNetwork, shapes: list[Shape], n_epochs: int, again: Sequence[float] = ()
    ) -> None:
        self.bench, self.network, self.shapes, self.n_epochs = bench, network, shapes, n_epochs
        settings, data = bench.last, bench.training
        # optimiser over what may change, its rates, a running average of the weights
        self.optimiser = optimiser_of(settings, [p for p in network.parameters() if p.requires_grad])
        self.steps = math.ceil(len(data) / settings.batch_size)
        self.rates = Rates(self.optimiser, settings, n_epochs * self.steps, again)
        self.average = RunningAverage(network, settings.average)
        balance = settings.balance_strength if settings.balance else None
        self.loss = bench.target.loss(data.truth, balance, settings.label_smoothing)
        self.masks = torch_stream(bench.seed, "last masks")
        self.number = 0  # of epochs that are done

    @property
    def averaged(self) -> PathNetwork:
        """The network with the running average of its weights: what is scored and kept."""
        return cast(PathNetwork, self.average.module)

    def epoch(self) -> Epoch:
        """Train for one more.

        Raises:
            NonFiniteFitness: the loss became NaN or infinite.
        """
        self.number += 1
        network, settings, target = self.network, self.bench.last, self.bench.target
        device, rate = device_of(network), self.rates.now
        network.train()
        sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss and accuracy, read once: a step waits for none
        order = torch_stream(self.bench.seed, "last batches", self.number)
        for x, truth in minibatches(self.bench.training, settings.batch_size, self.steps, order):
            # one minibatch, one step
            x, truth = x.to(device), truth.to(device)
            masks = dropout_masks(self.shapes, len(x), settings.dropout, self.masks)
            outputs = network(x, masks and [mask.to(device) for mask in masks])[None]  # of one path
            loss = self.loss(outputs, truth)[0]
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            self.rates.step()
            self.average.update_parameters(network)
            with torch.no_grad():
                each = (target.each_loss(outputs, truth), target.each_quality(outputs, truth))
                sums += torch.stack([target.of_known(one, truth).mean() for one in each]).double()
        loss_sum, hits = sums.tolist()
        if not math.isfinite(loss_sum):
            raise diverged(self.number, "training loss", loss_sum, settings)
        return Epoch(self.number, rate, loss_sum / self.steps, hits / self.steps)

    def heard(self, stopping: float | None) -> None:
        """What validation said to the epoch, if it was asked: rates may depend on it."""
        self.rates.epoch(stopping)

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values and tensors that `load` goes on from, bit for bit."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for number, own in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in own.items() if value is not None}
        return {"number": self.number, "rates": self.rates.state()}, {**tensors, "masks": self.masks.get_state()}

    def load(self, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go back to where a course of the same arguments stood."""
        self.number = facts["number"]
        self.masks.set_state(tensors["masks"].cpu())
        self.network.load_state_dict(below("network.", tensors))
        self.average.load_state_dict(below("average.", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in below("optimiser.", tensors).items():
            number, _, key = name.partition(".")
            state.setdefault(int(number), {})[key] = value.clone()
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.rates.load(facts["rates"])


def diverged(epoch: int, what: str, value: float, settings: TrainingSettings) -> NonFiniteFitness:
    """The error of a training whose numbers left the finite."""
    return NonFiniteFitness(
        f"epoch {epoch}: the {what} became {value}; "
        f"lower the rate with --set training.learning_rate={settings.learning_rate / 4}"
    )
