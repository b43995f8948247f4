"""Strategies: which of several networks have a turn in a step of training, and how their losses are weighed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from data_prep.errors import PathsearchError
from pathsearch.run.streams import python_stream
from pathsearch.run.together_settings import TogetherSettings, parse_fitness, parse_turns, parse_weights

LEAST = 1e-12  # of a loss that a logarithm is taken of


class Turns:
    """Who steps when.

    Args:
        settings: name the strategy; whoever trains alone has every turn.
        steps: minibatches of each one's training images.
        seed: of the order of an epoch's turns.
        each: turns of each one in an epoch if all step together, and on average if they do not; else all that its
            images ask for.
    """

    def __init__(self, settings: TogetherSettings, steps: Sequence[int], seed: int, each: int | None = None) -> None:
        self.joint, self.seed, self.n = settings.strategy == "joint" or len(steps) == 1, seed, len(steps)
        total = sum(steps) if each is None else each * len(steps)
        shares = _checked("turns", parse_turns(settings.turns), len(steps)) or list(steps)
        if not self.joint and (least := total * min(shares) / sum(shares)) < 0.5:
            whole, more = (
                ("an epoch", "a smaller training.batch_size") if each is None else ("a generation", "more of them")
            )
            raise PathsearchError(
                f"turns: expected a turn for each task among the {total} steps of {whole}, got {settings.turns}, of "
                f"which one has {least:.2g}; give numbers nearer to each other, or {more}"
            )
        # whole numbers of turns that add up to `total`, each at its share or about one turn off it, and none at zero
        ends = [round(total * end / sum(shares)) for end in accumulate(shares)]
        self.numbers = [max(1, end - start) for start, end in zip([0, *ends], ends, strict=False)]
        self.numbers[self.numbers.index(max(self.numbers))] -= sum(self.numbers) - total
        self.per_epoch = (max(steps) if each is None else each) if self.joint else total

    def of(self, epoch: int) -> list[tuple[int, ...]]:
        """For each step of an epoch, the numbers of those that have their turn together."""
        if self.joint:
            return [tuple(range(self.n))] * self.per_epoch
        turns: list[tuple[int, ...]] = [(who,) for who, number in enumerate(self.numbers) for _ in range(number)]
        python_stream(self.seed, "turns", epoch).shuffle(turns)
        return turns


class LossWeights(nn.Module):
    """What each of several losses counts.

    Learned weights follow from the uncertainty of each task: a loss L counts exp(-s) L + s with s learned, so that its
    weight becomes the inverse of the loss itself, whatever its unit.

    Source: Kendall, Gal and Cipolla 2018, "Multi-task learning using uncertainty to weigh losses", equation 10.
    """

    def __init__(self, settings: TogetherSettings, n: int) -> None:
        super().__init__()
        self.fixed = _checked("loss_weights", parse_weights(settings.loss_weights), n) or [1.0] * n
        self.logs = nn.Parameter(torch.zeros(n)) if settings.loss_weights == "learned" and n > 1 else None

    def forward(self, losses: Sequence[Tensor], whose: Sequence[int]) -> Tensor:
        """The one loss of a step, of the losses of those that have their turn."""
        if self.logs is None:
            weighed = [
                loss if self.fixed[i] == 1 else self.fixed[i] * loss for loss, i in zip(losses, whose, strict=True)
            ]
        else:
            weighed = [torch.exp(-self.logs[i]) * loss + self.logs[i] for loss, i in zip(losses, whose, strict=True)]
        return weighed[0] if len(weighed) == 1 else torch.stack(weighed).sum()

    def stopping(self, each: Sequence[float]) -> float:
        """What a training together stops by when it no longer rises, of what each target would stop it by.

        The weighed sum of minus the losses. Learned weights change from epoch to epoch; with the best ones there are,
        the sum of the losses is that of their logarithms, up to a constant.
        """
        if len(each) == 1:
            return each[0]
        if self.logs is None or not all(map(math.isfinite, each)):
            return sum(weight * one for weight, one in zip(self.fixed, each, strict=True))
        return -sum(math.log(max(-one, LEAST)) for one in each)

    @property
    def now(self) -> list[float]:
        """What each loss counts at present."""
        return self.fixed if self.logs is None else torch.exp(-self.logs.detach()).tolist()


def check_numbers(settings: TogetherSettings, n: int) -> None:
    """Raise `PathsearchError` if turns, weights or what a search maximises are given for another number of tasks."""
    _checked("turns", parse_turns(settings.turns), n)
    _checked("loss_weights", parse_weights(settings.loss_weights), n)
    _checked("fitness", parse_fitness(settings.fitness), n)


def _checked(name: str, numbers: list[float] | None, n: int) -> list[float] | None:
    if numbers is not None and len(numbers) != n:
        raise PathsearchError(f"{name}: expected {n} numbers, one for each task, got {len(numbers)}; give {n}")
    return numbers
