"""The class target: an answer is one of K names, from logits; the first target, and the default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data_prep.manifest import Task
from pathsearch.measures import metrics
from pathsearch.measures.one_error import error_of_score, errors
from pathsearch.measures.paired import Paired, paired
from pathsearch.measures.reliability import calibration
from pathsearch.measures.statistics import prior_shift
from pathsearch.targets.calibrated import calibrated_likelihood
from pathsearch.targets.class_reading import ClassReading, class_fitnesses
from pathsearch.targets.decision import check_rule, decide, fix_threshold
from pathsearch.targets.decoded import Decoded, Size
from pathsearch.targets.mistakes import most_confident
from pathsearch.targets.neighbours import shares
from pathsearch.targets.target import Fitness, Groups, Loss, Said, Shape, Target, register


@register("class")
class ClassTarget(Target):
    """One of K classes, whose names are the target's. Outputs are logits (…, K), truth class indices (…,).

    What one network said is kept as `log_p`, (n, K) log-probabilities.
    """

    measures: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "auc")
    rates: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "auc", "log_likelihood")
    summed: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "recall", "auc", "log_likelihood")
    all_or_nothing: ClassVar[bool] = True

    def truth(self, task: Task, split: str) -> Tensor:
        """(n,) class indices."""
        return torch.from_numpy(task.labels(split))

    def head(self, shape: Shape) -> tuple[str, Shape]:
        """A linear map to K logits."""
        return "linear", (len(self.names),)

    def strata(self, truth: Tensor) -> np.ndarray:
        """The classes."""
        return truth.numpy()

    def each_loss(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Cross-entropy, nats."""
        return self._cross_entropy(outputs, truth)

    def each_quality(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """1 where the most probable class is the true one."""
        return (outputs.argmax(-1) == truth).float()

    def loss(self, truth: Tensor, balance: float | None = None, smoothing: float = 0.0) -> Loss:
        """Mean cross-entropy; with balance each class's images weigh as `class_weights` says."""
        weights = None if balance is None else class_weights(truth, len(self.names), balance)

        def loss(outputs: Tensor, truth: Tensor) -> Tensor:
            own = None if weights is None else weights.to(outputs.device)
            each = self._cross_entropy(outputs, truth, own, smoothing)
            return each.mean(1) if own is None else each.sum(1) / own[truth].sum()

        return loss

    @staticmethod
    def _cross_entropy(outputs: Tensor, truth: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
        """(P, B), of all paths in one operation."""
        each = F.cross_entropy(
            outputs.flatten(0, 1), truth.repeat(len(outputs)), weights, reduction="none", label_smoothing=smoothing
        )
        return each.unflatten(0, (len(outputs), -1))

    def reading(self, measure: str) -> ClassReading:
        """See `ClassReading`."""
        return ClassReading(measure)

    def fitnesses(self, readings: Sequence[Any], measure: str) -> list[Fitness]:
        """See `class_fitnesses`."""
        return class_fitnesses(readings, measure)

    def kept_bytes(self, measure: str, n: int) -> int:
        """An AUC keeps every log-probability."""
        return 4 * n * len(self.names) if measure == "auc" else 0

    def said(self, outputs: Tensor, truth: Tensor) -> Said:
        """Log-probabilities."""
        return {"log_p": F.log_softmax(outputs, -1).cpu()}

    def fitness(self, measure: str, said: Said, truth: Tensor) -> Fitness:
        """Of one network."""
        reading = self.reading(measure)
        reading.add_log_p(said["log_p"][None], truth)
        return class_fitnesses([reading], measure)[0]

    def stopping(self, said: Said, truth: Tensor) -> float:
        """The likelihood at the best temperature.

        Small validation sets saturate in accuracy, and the plain likelihood punishes a network that is right but sure
        long before it overfits.
        """
        return calibrated_likelihood(said["log_p"], truth)

    def check_rule(self, rule: str) -> None:
        """A threshold is on the second of two classes."""
        check_rule(rule, len(self.names))

    def fix(self, rule: str, said: Said, truth: Tensor) -> float | None:
        """See `fix_threshold`."""
        return fix_threshold(rule, truth.numpy(), probabilities(said))

    def quality(self, said: Said, truth: Tensor, fixed: float | None) -> np.ndarray:
        """Whether each answer is right, as numbers."""
        return (decide(probabilities(said), fixed) == truth.numpy()).astype(np.float64)

    def error_of(self, measure: str, score: float, truth: Tensor) -> float:
        """See `error_of_score`."""
        return error_of_score(measure, score, truth.numpy())

    def errors(
        self, measure: str, said: Sequence[Said], truth: Tensor, groups: Groups
    ) -> tuple[list[float], list[float]]:
        """See `one_error.errors`."""
        return errors(measure, truth.numpy(), [probabilities(one) for one in said], groups)

    def assess(self, said: Said, truth: Tensor, fixed: float | None, groups: Groups) -> dict[str, Any]:
        """See `metrics.evaluate`."""
        p = probabilities(said)
        return metrics.evaluate(truth.numpy(), p, self.names, decide(p, fixed), groups=groups)

    def paired(
        self,
        measure: str,
        truth: Tensor,
        own: tuple[Said, float | None],
        other: tuple[Said, float | None],
        groups: Groups,
    ) -> Paired:
        """See `paired`."""
        first, second = ((p, decide(p, fixed)) for p, fixed in ((probabilities(said), at) for said, at in (own, other)))
        return paired(measure, truth.numpy(), first, second, groups)

    def blind(self, truth: Tensor) -> float:
        """The share of the largest class."""
        return int(torch.bincount(truth).max()) / len(truth) if len(truth) else 0.0

    def decoded(self, outputs: Tensor, fixed: float | None, sizes: Sequence[Size]) -> Iterator[Decoded]:
        """The class that is said, and the probability of each."""
        p = probabilities(self.said(outputs.double(), torch.empty(0)))
        for row, k in zip(p, decide(p, fixed), strict=True):
            each = dict(zip(self.names, row.tolist(), strict=True))
            yield Decoded(self.names[k], each[self.names[k]], each)

    def graphed(self, outputs: Tensor, fixed: float | None) -> tuple[str, Tensor]:
        """(B, K) probabilities."""
        return "probabilities", outputs.double().softmax(1).float()

    def more(self, task: Task, said: dict[str, Said], truth: dict[str, Tensor], fixed: float | None) -> dict[str, Any]:
        """Calibration, how class shares differ between splits, and the surest mistakes."""
        labels = {split: own.numpy() for split, own in truth.items()}
        p = {split: probabilities(own) for split, own in said.items()}
        answers = decide(p["test"], fixed)
        sure = p["test"][np.arange(len(answers)), answers]
        return {
            "calibration": calibration((labels["val"], p["val"]), (labels["test"], p["test"])),
            "prior_shift": prior_shift(labels, self.names),
            "mistakes": most_confident(task, answers, sure, self.names, labels["test"]),
        }

    def nearest(self, known: np.ndarray, truth: Tensor, asked: np.ndarray, k: int) -> Said:
        """Shares of the classes among the k nearest."""
        p = torch.from_numpy(shares(known, truth.numpy(), asked, k))
        return {"p": p, "log_p": p.log()}  # both: ties of shares are ties, which rounding would break

    def placed(self, assessed: dict[str, Any]) -> dict[str, Any]:
        """As it is: reports of class tasks have no level for their target."""
        return assessed


def probabilities(said: Said) -> np.ndarray:
    """(n, K) float64 of what one network said."""
    return (said["p"] if "p" in said else said["log_p"].double().exp()).numpy()


def class_weights(labels: Tensor, n_classes: int, strength: float = 1.0) -> Tensor:
    """(K,) loss weights, mean 1 over the images.

    Args:
        labels: (n,) class indices, every class among them.
        n_classes: K.
        strength: 1 gives every class the same total weight, 0 every image; between them, a class's images weigh
            as their number to the power -strength.
    """
    counts = torch.bincount(labels, minlength=n_classes).float()
    level = len(labels) / (n_classes * counts)
    if strength == 1:
        return level
    weights = level**strength
    return weights * len(labels) / (weights * counts).sum()
