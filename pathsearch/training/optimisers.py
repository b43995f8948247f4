"""How weights move: optimisers and their rates, AdamW for every path of a population by its own, running averages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pathsearch.grid.copies import Copies
from pathsearch.run.settings import TrainingSettings


def adamw(parameters: Iterable[nn.Parameter], rate: float, decay: float) -> torch.optim.AdamW:
    """The optimiser of searches and last trainings; fused: a loop over the tensors takes 7 to 10 times as long."""
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


def optimiser_of(settings: TrainingSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The one of a last training. Adam, RMSprop and SGD have their decay in the gradient, AdamW apart from it."""
    rate, decay = settings.learning_rate, settings.weight_decay
    match settings.optimiser:
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr=rate, weight_decay=decay, alpha=0.9)  # as in Keras
        case "sgd":
            return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=0.9, nesterov=True)
    return adamw(parameters, rate, decay)


class Rates:
    """The learning rate along a last training.

    Args:
        optimiser: whose rate it is.
        settings: name the schedule: `cosine` falls to zero at the last step, `plateau` to a tenth whenever validation
            has not gained for half of the patience, `constant` stays.
        steps: of the whole training, at the end of which a cosine is zero; an early stop finds it on its way.
        again: the rate of every epoch of a training that this one repeats, where no validation images are left; not
            for a cosine, which ends where this training does.
    """

    def __init__(
        self, optimiser: torch.optim.Optimizer, settings: TrainingSettings, steps: int, again: Sequence[float] = ()
    ) -> None:
        self.optimiser, self.again, self.epochs = optimiser, list(again), 0
        self.cosine = self.plateau = None
        if settings.schedule == "cosine":
            self.cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        elif settings.schedule == "plateau" and not again:
            after = max(1, settings.patience // 2)
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, "max", 0.1, after)
        self._repeat()

    @property
    def now(self) -> float:
        """The rate of the next step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def step(self) -> None:
        """After each step of the optimiser."""
        if self.cosine is not None:
            self.cosine.step()

    def epoch(self, stopping: float | None) -> None:
        """After each epoch; `stopping` is what validation said then, if it was asked."""
        self.epochs += 1
        if self.plateau is not None and stopping is not None:
            self.plateau.step(stopping)
        self._repeat()

    def state(self) -> dict[str, Any]:
        """Plain values that `load` goes on from."""
        parts = {"cosine": self.cosine, "plateau": self.plateau}
        own = {name: part.state_dict() for name, part in parts.items() if part is not None}
        return {"now": self.now, "epochs": self.epochs, **own}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to where rates of the same arguments stood."""
        self.epochs = state["epochs"]
        for name, part in (("cosine", self.cosine), ("plateau", self.plateau)):
            if part is not None:
                part.load_state_dict(state[name])
        for group in self.optimiser.param_groups:
            group["lr"] = state["now"]

    def _repeat(self) -> None:
        if self.cosine is None and self.epochs < len(self.again):
            for group in self.optimiser.param_groups:
                group["lr"] = self.again[self.epochs]


class CopiesAdamW:
    """AdamW in which every path has a learning rate and a weight decay of its own.

    AdamW's step along the gradient is the learning rate times something that depends on the gradients alone. So one
    optimiser steps with rate 1 and without decay, and what it did is then scaled path by path.

    Args:
        copies: whose weights are trained.
        rates: (P,) learning rates.
        decays: (P,) weight decays.

    Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    def __init__(self, copies: Copies, rates: Tensor, decays: Tensor) -> None:
        owned = list(copies.owned())
        self.parameters = [parameter for parameter, _ in owned]
        self.rates = [_along_first(rates.to(p.device)[paths], p) for p, paths in owned]
        kept = 1 - rates * decays
        self.kept = [_along_first(kept.to(p.device)[paths], p) for p, paths in owned]  # of a weight, in a step
        self.unscaled = adamw(self.parameters, 1.0, 0.0)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.unscaled.zero_grad(set_to_none=True)

    @torch.no_grad()
    def step(self) -> None:
        """One step for every path."""
        before = [parameter.clone() for parameter in self.parameters]
        self.unscaled.step()
        for parameter, old, rate, kept in zip(self.parameters, before, self.rates, self.kept, strict=True):
            parameter.sub_(old).mul_(rate).addcmul_(old, kept)


def _along_first(values: Tensor, weights: Tensor) -> Tensor:
    return values.view(-1, *[1] * (weights.dim() - 1))


class RunningAverage(AveragedModel):
    """The running average of a network's weights along the steps of its training.

    Args:
        network: at its initial weights.
        decay: a step, of what was averaged before. In the first steps it is (1 + t) / (10 + t) at most, so that a
            training of a few dozen steps, as with few images, does not end near its initial weights.

    Source: Polyak and Juditsky 1992; the first steps as in TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network)
        self.decay = decay
        self.pairs = [  # looked up once: torch's own does it at every step, which takes longer than the average
            [one.detach() for one in module.parameters()] for module in (self.module, network)
        ]
        assert not list(network.buffers()), "averages of buffers are not kept"

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """After a step of `model`, the network that this is the average of."""
        means, now = self.pairs
        t = int(self.n_averaged)
        if t == 0:
            torch._foreach_copy_(means, now)
        else:
            get_ema_multi_avg_fn(min(self.decay, (1 + t) / (10 + t)))(means, now, t)
        self.n_averaged += 1
