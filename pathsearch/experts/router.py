"""The router: encoder features to a task, or unknown. Closed form, so adding a task needs no other task's images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.run.tensor_file import load_tensors, save_tensors

UNKNOWN = -1
FALSE_REJECTION = 0.01  # share of a task's own validation images beyond its threshold

SPREAD_FLOOR = 0.05  # of the mean spread, as for the experts' features (`Standardiser`)
AT_ONCE = 1 << 21  # differences of images and class means held at once, 16 MB: there may be thousands of both


@dataclass(frozen=True)
class Territory:
    """Where one task's images lie among the encoder's features: Gaussians of its classes, one covariance.

    Attributes:
        means: (K, C) of the classes' pooled features, float64.
        whiten: (C, C) with whiten @ whiten.T the inverse of the covariance around the class means.
        log_det: log determinant of the covariance.
        threshold: squared Mahalanobis distance beyond which an image is unknown, fixed on validation.
        validation: (m,) distances of the validation images, ascending: a threshold for any rate, without images.
            Empty in files of an earlier form.
    """

    means: Tensor
    whiten: Tensor
    log_det: float
    threshold: float
    validation: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))

    @classmethod
    def fit(
        cls,
        pooled: Tensor,
        labels: Tensor,
        validation: Tensor,
        false_rejection: float = FALSE_REJECTION,
    ) -> Territory:
        """Fit on a task's own training images, fix the threshold on its own validation images.

        Args:
            pooled: (n, C) mean over positions of the training images' maps.
            labels: (n,) their classes.
            validation: (m, C) the same of the validation images.
            false_rejection: share of validation images that may lie beyond the threshold.

        Source: Lee et al. 2018 (arXiv:1807.03888): class means, one covariance, Mahalanobis distance. We differ:
        a covariance a task, shrunk by OAS (Chen et al. 2010), so that no other task's images are needed and
        adding a task moves no other's threshold; spreads below a twentieth of the mean count as that.
        """
        from sklearn.covariance import OAS  # a slow import, of fits alone

        x = pooled.double()
        means = torch.stack([x[labels == k].mean(0) for k in labels.unique()])
        residuals = torch.cat([x[labels == k] - means[i] for i, k in enumerate(labels.unique())])
        spread = residuals.std(0)
        # a feature that is dead in one task would otherwise outweigh all others as soon as it stirs
        scale = spread.clamp_min(max(SPREAD_FLOOR * float(spread.mean()), 1e-12))
        shrunk = torch.from_numpy(OAS(assume_centered=True).fit((residuals / scale).numpy()).covariance_)
        values, vectors = torch.linalg.eigh(shrunk)
        values = values.clamp_min(1e-6 * float(values.max()))
        whiten = (vectors / values.sqrt()) / scale[:, None]
        whiten = whiten.contiguous()  # as it is when loaded: with another layout, distances differ by a rounding
        log_det = float(values.log().sum() + 2 * scale.log().sum())
        unfixed = cls(means, whiten, log_det, float("inf"))
        distances = unfixed.distance(validation).sort().values
        return replace(unfixed, validation=distances).at(false_rejection)

    def at(self, false_rejection: float) -> Territory:
        """The same territory with the threshold that this share of the validation images exceeds, at most.

        Raises:
            PathsearchError: no share below 1, or the file it came from did not keep the validation distances.
        """
        check_rate(false_rejection)
        if not len(self.validation):
            raise PathsearchError(
                "router: expected a file with validation distances, which another --false-rejection needs, got one of "
                "an earlier form; evolve the task again, or leave the rate as it is"
            )
        beyond = int(false_rejection * len(self.validation) + 1e-9)  # 0.29 · 100 is 28.999999999999996
        return replace(self, threshold=float(self.validation[len(self.validation) - 1 - beyond]))

    def distance(self, pooled: Tensor) -> Tensor:
        """(n,) squared Mahalanobis distance to the nearest class mean."""
        x, centres = pooled.double() @ self.whiten, self.means @ self.whiten  # whitened once, not once a class
        if torch.compiler.is_compiling():  # one graph for any number of images
            return _nearest(x, centres)
        images = max(1, AT_ONCE // max(1, centres.numel()))  # as differences: |x|² - 2xc + |c|² would cancel
        return torch.cat([_nearest(part, centres) for part in x.split(images)])

    def log_density(self, distance: Tensor) -> Tensor:
        """(n,) log density at a `distance` from the nearest class mean, up to a constant that all tasks share."""
        return -0.5 * (distance + self.log_det)

    def save(self, file: Path) -> None:
        """Write it whole."""
        numbers = torch.tensor([self.log_det, self.threshold], dtype=torch.float64)
        tensors = {"means": self.means, "whiten": self.whiten, "numbers": numbers, "validation": self.validation}
        save_tensors(file, tensors)

    @classmethod
    def load(cls, file: Path) -> Territory:
        """Read it back; raise `PathsearchError` if the file is missing or damaged."""
        tensors, _ = load_tensors(file, "router file", "has its run finished?")
        try:
            found = cls(tensors["means"], tensors["whiten"], *tensors["numbers"].tolist())
        except (KeyError, TypeError) as error:
            raise PathsearchError(f"router file {file}: cannot be read ({error}); has its run finished?") from None
        return replace(found, validation=tensors["validation"]) if "validation" in tensors else found


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    """(n,) squared distance of each of x (n, C) to the nearest of centres (K, C)."""
    return (x[:, None] - centres).square().sum(-1).min(1).values


def check_rate(false_rejection: float) -> None:
    """Refuse what is no share of validation images."""
    if not 0 <= false_rejection < 1:
        raise PathsearchError(
            f"--false-rejection: expected a share from 0 to below 1, such as 0.01, got {false_rejection}"
        )


class Router:
    """Sends each image to the task whose features it looks most like, or answers unknown."""

    def __init__(self, territories: dict[str, Territory]) -> None:
        if not territories:
            raise PathsearchError("router: expected at least one task, got none; name a finished run")
        widths = {name: territory.means.shape[1] for name, territory in territories.items()}
        if len(set(widths.values())) > 1:
            raise PathsearchError(f"router: tasks must share one encoder, got feature widths {widths}")
        self.territories = territories

    @property
    def tasks(self) -> Sequence[str]:
        """Names of the tasks, in the order of the answers' indices."""
        return list(self.territories)

    def route(self, pooled: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Task of each image.

        Args:
            pooled: (n, C) mean over positions of the encoder's maps.

        Returns:
            (n,) index into `tasks`, or `UNKNOWN`; and (n,) the distance to that task over its threshold, so that
            values above 1 are unknown.
        """
        sent, ratios = self.send(pooled)
        return sent.numpy(), ratios.numpy()

    def send(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same as `route`, in tensors: what the exported model computes too."""
        each = [(t, t.distance(pooled)) for t in self.territories.values()]
        densities = torch.stack([t.log_density(distance) for t, distance in each], dim=1)
        ratios = torch.stack([distance / t.threshold for t, distance in each], dim=1)
        inside = ratios <= 1
        # among the tasks within whose threshold it lies the densest; an image that is in none is unknown
        nearest = torch.where(inside | ~inside.any(1, keepdim=True), densities, -torch.inf).argmax(1)
        chosen = ratios.gather(1, nearest[:, None])[:, 0]
        return torch.where(chosen > 1, UNKNOWN, nearest), chosen
