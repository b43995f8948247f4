"""The course of a last training: one network or several, and everything that the next epoch depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from data_prep.table_words import folder_of
from pathsearch.encoders.split import Split
from pathsearch.grid.grid import PathNetwork, common_layers, device_of, dropout_masks
from pathsearch.grid.modules import Shape
from pathsearch.run.settings import TrainingSettings
from pathsearch.run.streams import torch_stream
from pathsearch.run.tensor_file import below
from pathsearch.run.together_settings import TogetherSettings
from pathsearch.targets.target import NonFiniteFitness
from pathsearch.training.batches import shared_minibatches
from pathsearch.training.bench import Bench
from pathsearch.training.optimisers import Rates, RunningAverage, optimiser_of
from pathsearch.training.strategies import LossWeights, Turns


class Pupil(NamedTuple):
    """A network under training, and what it learns from."""

    bench: Bench  # its seed is that of data order and dropout
    network: PathNetwork  # trained in place; parameters that are fixed stay so
    shapes: list[Shape]  # of the outputs of its layers, for the dropout masks; empty for a probe


class Lesson(NamedTuple):
    """What one network made of an epoch."""

    loss: float  # plain, mean over its minibatches in which any image has a truth, with dropout
    quality: float  # mean of that of the answers, of the same


class Epoch(NamedTuple):
    """What came of one epoch."""

    number: int
    rate: float  # at its start
    lessons: list[Lesson]  # of each network


class Course:
    """One network under training, or several that have layers in common, for up to `n_epochs`.

    Args:
        pupils: one, or several that are trained by the strategy of the settings; modules that they have in common are
            the same objects.
        n_epochs: the schedule's horizon: where a cosine reaches zero, whether or not the training stops before.
        again: the rates of a training that this one repeats, where no validation images are left to steer them; a
            cosine, which needs none, takes no notice.
    """

    def __init__(self, pupils: Sequence[Pupil], n_epochs: int, again: Sequence[float] = ()) -> None:
        self.pupils, self.n_epochs = pupils, n_epochs
        self.networks = [one.network for one in pupils]
        self.whole = self.networks[0] if len(pupils) == 1 else nn.ModuleList(self.networks)
        bench = pupils[0].bench
        self.settings = bench.last
        together = bench.settings.together if len(pupils) > 1 else TogetherSettings()
        steps = [math.ceil(len(one.bench.training) / self.settings.batch_size) for one in pupils]
        self.turns, self.weights = (
            Turns(together, steps, bench.seed),
            LossWeights(together, len(pupils)).to(bench.device),
        )
        # optimiser over what may change, its rates, a running average of the weights
        learned = [p for p in self.whole.parameters() if p.requires_grad]
        self.optimiser = optimiser_of(self.settings, learned)
        if weights := list(self.weights.parameters()):
            self.optimiser.add_param_group({"params": weights, "weight_decay": 0.0})
        self.rates = Rates(self.optimiser, self.settings, n_epochs * self.turns.per_epoch, again)
        self.average = RunningAverage(self.whole, self.settings.average)
        balance = self.settings.balance_strength if self.settings.balance else None
        self.losses = [
            one.bench.target.loss(one.bench.training.truth, balance, self.settings.label_smoothing) for one in pupils
        ]
        self.masks = torch_stream(bench.seed, "last masks")
        self._common: dict[tuple[int, ...], list[str]] = {}
        self.number = 0  # of epochs that are done

    @property
    def averaged(self) -> list[PathNetwork]:
        """The networks with the running average of their weights: what is scored and kept."""
        whole = self.average.module
        return [cast(PathNetwork, one) for one in (whole if isinstance(whole, nn.ModuleList) else [whole])]

    def epoch(self) -> Epoch:
        """Train for one more.

        Raises:
            NonFiniteFitness: the loss became NaN or infinite.
        """
        self.number += 1
        rate, turns = self.rates.now, self.turns.of(self.number)
        self.whole.train()
        # loss and quality of each, read once: a step waits for none
        sums = torch.zeros(len(self.pupils), 2, dtype=torch.float64, device=device_of(self.whole))
        taught = [0] * len(self.pupils)  # minibatches
        batches = [self._minibatches(*each, len(turns)) for each in zip(self._groups, self._seen, strict=True)]
        for turn in turns:
            # one minibatch of each that has its turn, one step; without any truth it asks for no loss
            losses: list[Tensor] = []
            whose: list[int] = []
            for group, each in zip(self._groups, batches, strict=True):
                if here := [number for number in group if number in turn]:
                    x, truths = next(each)
                    shared = self._shared(tuple(here))
                    for number in here:
                        truth = truths[group.index(number)]
                        if not self.pupils[number].bench.target.known(truth).any():
                            continue
                        loss, lesson = self._answered(number, x, truth, shared)
                        losses.append(loss)
                        whose.append(number)
                        sums[number] += lesson
                        taught[number] += 1
            self.optimiser.zero_grad(set_to_none=True)
            if losses:
                self.weights(losses, whose).backward()
            self.optimiser.step()
            self.rates.step()
            self.average.update_parameters(self.whole)
        lessons = []
        for (loss, hits), n in zip(sums.tolist(), taught, strict=True):
            if not math.isfinite(loss):
                raise diverged(self.number, "training loss", loss, self.settings)
            lessons.append(Lesson(loss / max(n, 1), hits / max(n, 1)))
        return Epoch(self.number, rate, lessons)

    @cached_property
    def _groups(self) -> list[list[int]]:
        """Numbers of the networks that see the same minibatches: of one task's images, if they step together."""
        if not self.turns.joint:
            return [[number] for number in range(len(self.pupils))]
        found: dict[tuple[str, int], list[int]] = {}
        for number, one in enumerate(self.pupils):
            found.setdefault((folder_of(one.bench.task), len(one.bench.training)), []).append(number)
        return list(found.values())

    @cached_property
    def _seen(self) -> list[Split]:
        """The images of each group, held: every epoch reads them again."""
        return [self.pupils[first].bench.training.held() for first, *_ in self._groups]

    def _minibatches(self, group: list[int], seen: Split, steps: int) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Of the networks of a group, in this epoch."""
        order = torch_stream(self.pupils[group[0]].bench.seed, "last batches", self.number)
        splits = [seen, *(self.pupils[number].bench.training for number in group[1:])]
        return shared_minibatches(splits, self.settings.batch_size, steps, order)

    def _shared(self, numbers: tuple[int, ...]) -> dict[str, Tensor | None]:
        """Names of the layers that networks which see the same minibatch have in common, nothing computed yet."""
        if numbers not in self._common:  # the modules are the same ones throughout
            self._common[numbers] = common_layers([self.networks[number] for number in numbers])
        return dict.fromkeys(self._common[numbers])

    def _answered(
        self, number: int, x: Tensor, truth: Tensor, shared: dict[str, Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """The loss of one network for a minibatch, and (2,) its plain loss and quality."""
        (bench, network, shapes), target = self.pupils[number], self.pupils[number].bench.target
        x, truth = x.to(bench.device), truth.to(bench.device)
        masks = dropout_masks(shapes, len(x), self.settings.dropout, self.masks)
        outputs = network(x, masks and [mask.to(bench.device) for mask in masks], shared)[None]  # of one path
        loss = self.losses[number](outputs, truth)[0]
        with torch.no_grad():
            each = (target.each_loss(outputs, truth), target.each_quality(outputs, truth))
            return loss, torch.stack([target.of_known(one, truth).mean() for one in each]).double()

    def heard(self, stopping: float | None) -> None:
        """What validation said to the epoch, if it was asked: rates may depend on it."""
        self.rates.epoch(stopping)

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values and tensors that `load` goes on from, bit for bit."""
        tensors = {f"network.{name}": tensor for name, tensor in self.whole.state_dict().items()}
        tensors |= {f"weights.{name}": tensor for name, tensor in self.weights.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for number, own in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in own.items() if value is not None}
        return {"number": self.number, "rates": self.rates.state()}, {**tensors, "masks": self.masks.get_state()}

    def load(self, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go back to where a course of the same arguments stood."""
        self.number = facts["number"]
        self.masks.set_state(tensors["masks"].cpu())
        self.whole.load_state_dict(below("network.", tensors))
        self.weights.load_state_dict(below("weights.", tensors))
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
