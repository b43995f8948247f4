"""The features and the truth of one split of a task, and how features are brought to mean 0 and spread 1."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.encoders.noise import Noise
from pathsearch.encoders.pooled import Sight, pooled

PIXEL = (127.5, 63.75)  # mean and spread that stand for all images: the full range is -2 to 2
ROWS = 1024  # images that are standardised at once
HELD_BYTES = 128 << 20  # of a split's standardised features that a training holds in memory at most
SEEN = 1 << 23  # features that the router looks at together
FITTED = 1 << 26  # features that a standardiser is fitted on together, in double precision


@dataclass(frozen=True)
class Standardiser:
    """Mean and spread of every feature over a task's training images; part of its expert."""

    mean: Tensor  # (C, H, W); of pixels (3, 1, 1)
    std: Tensor  # the same, floored so that a dead feature is not blown up

    def __call__(self, maps: Tensor) -> Tensor:
        """Return (B, C, H, W) float32 features of mean 0 and spread 1 over the training images."""
        return (maps.float() - self.mean) / self.std

    @classmethod
    def fit(
        cls, maps: np.ndarray, rows: np.ndarray, taps: Sequence[int] = (), stages: Sequence[tuple[int, ...]] = ()
    ) -> Standardiser:
        """Fit on `maps[rows]`, in chunks; a spread under a twentieth of its tap's mean spread counts as that.

        Stages at their own sizes, of these shapes, have one mean and spread a channel: decoders look for what stands at
        the same place in most images, which a mean for each position would take away.

        Nothing is fitted for pixels, which are uint8: layers that several tasks share must mean the same to each.
        """
        if maps.dtype == np.uint8:
            return cls(*(torch.full((maps.shape[1], 1, 1), value) for value in PIXEL))
        total = np.zeros(maps.shape[1:])
        squares = np.zeros(maps.shape[1:])
        at_once = max(1, min(ROWS, FITTED // math.prod(maps.shape[1:])))
        for chunk in np.array_split(rows, math.ceil(len(rows) / at_once)):
            block = maps[chunk].astype(np.float64)
            total += block.sum(0)
            squares += (block**2).sum(0)
        mean, square = (_by_channel(one / len(rows), stages) for one in (total, squares))
        std = np.sqrt(np.maximum(square - mean**2, 0))
        parts = np.split(std, np.cumsum(taps)[:-1]) if len(taps) > 1 else [std]  # maps of different scale
        std = np.concatenate([np.maximum(part, max(0.05 * part.mean(), 1e-6)) for part in parts])
        return cls(torch.tensor(mean).float(), torch.tensor(std).float())


class _Done(Standardiser):
    """Of features that are standardised already."""

    def __call__(self, maps: Tensor) -> Tensor:
        return maps


def _by_channel(values: np.ndarray, stages: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Values of all features, each replaced by the mean over its channel in its stage; as they are without stages."""
    if not stages:
        return values
    parts = np.split(values.ravel(), np.cumsum(list(map(math.prod, stages)))[:-1])
    each = [part.reshape(shape[0], -1) for part, shape in zip(parts, stages, strict=True)]
    return np.concatenate([np.repeat(one.mean(1), one.shape[1]) for one in each]).reshape(values.shape)


@dataclass(frozen=True)
class Split:
    """The features and the truth of one split of a task.

    Attributes:
        name: train, val or test.
        truth: (n, …) what the task's target asks of each image, as it is.
        warped: the same of each further view, where it moves with the image; empty where it does not.
        noise: on pixels; in training drawn anew whenever an image comes up, else always the same for one image.
        views: arrays (rows, C, H, W), float16 or of pixels uint8, the unchanged images first.
        rows: for each view, (n,) where this split's images stand in it; -1 for one that has no such view and
            shows its unchanged one instead.
        standardise: fitted on the training images.
        groups: (n,) names, such as patients, "" where unknown; None where the split does not come from a manifest.
        places: of the source, with their shapes, where it has several: views are then (rows, n), see `Blueprint.cut`.
        sees: what the router sees of features, see `Encoder.sees`.
    """

    name: str
    truth: Tensor
    views: tuple[np.ndarray, ...]
    rows: tuple[np.ndarray, ...]
    standardise: Standardiser
    groups: np.ndarray | None = None
    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    warped: tuple[Tensor, ...] = ()
    noise: Noise | None = None
    sees: Sight = pooled

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image's features."""
        return self.views[0].shape[1:]

    def __getstate__(self) -> dict[str, Any]:
        """For another process: features on disk go as their files' names, tensors as plain arrays."""
        views = [_Mapped.of(view) if isinstance(view, np.memmap) else view for view in self.views]
        standardise = (self.standardise.mean.numpy(), self.standardise.std.numpy())
        truths = [truth.numpy() for truth in (self.truth, *self.warped)]
        return {**self.__dict__, "truth": truths[0], "warped": truths[1:], "views": views, "standardise": standardise}

    def __setstate__(self, state: dict[str, Any]) -> None:
        views = tuple(view.opened() if isinstance(view, _Mapped) else view for view in state["views"])
        mean, std = map(torch.from_numpy, state["standardise"])
        truth, *warped = map(torch.from_numpy, (state["truth"], *state["warped"]))
        state = {**state, "truth": truth, "warped": tuple(warped), "views": views}
        self.__dict__.update(state, standardise=Standardiser(mean, std))

    def batch(self, positions: Tensor, views: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Standardised features (B, C, H, W) of images `positions`, of the unchanged view unless told.

        With a generator, noise is drawn from it.
        """
        if views is None or len(self.views) == 1:
            maps = self._clean(positions)
        else:
            shown = self._shown(positions, views)
            each = zip(shown, positions.tolist(), strict=True)
            maps = torch.from_numpy(np.stack([self.views[v][self.rows[v][i]] for v, i in each]))
        if self.noise is not None:
            maps = self._noisy(maps, positions) if generator is None else self.noise.on(maps, generator)
        return self.standardise(maps)

    def truth_of(self, positions: Tensor, views: Tensor) -> Tensor:
        """(B, …) truth of images `positions` as these views show them."""
        if not self.warped:
            return self.truth[positions]
        truths, shown = (self.truth, *self.warped), self._shown(positions, views)
        return torch.stack([truths[v][i] for v, i in zip(shown, positions.tolist(), strict=True)])

    def _shown(self, positions: Tensor, views: Tensor) -> list[int]:
        """The view of each image that there is: the one asked for, or the unchanged one."""
        return [v if self.rows[v][i] >= 0 else 0 for v, i in zip(views.tolist(), positions.tolist(), strict=True)]

    def raw(self, positions: Tensor) -> Tensor:
        """Raw features (B, C, H, W), as they are kept but for noise, of the unchanged images `positions`."""
        return self._noisy(self._clean(positions), positions)

    def _clean(self, positions: Tensor) -> Tensor:
        return torch.from_numpy(self.views[0][self.rows[0][positions.numpy()]])

    def _noisy(self, maps: Tensor, positions: Tensor) -> Tensor:
        """With the noise that each image always has."""
        if self.noise is None:
            return maps
        return self.noise.fixed(maps, self.rows[0][positions.numpy()].tolist())

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Features and truth of all images in order, `size` at a time."""
        for positions in torch.arange(len(self)).split(size):
            yield self.batch(positions), self.truth[positions]

    def held(self) -> Split:
        """The same images for `batch`, standardised once and kept in memory; as it is where they are too many.

        So it is with several views and with noise, too: a training draws those anew.
        """
        if (
            len(self.views) > 1
            or self.noise is not None
            or 4 * len(self) * math.prod(self.views[0].shape[1:]) > HELD_BYTES
        ):
            return self
        maps = np.empty((len(self), *self.views[0].shape[1:]), np.float32)
        for part in torch.arange(len(self)).split(ROWS):
            maps[part.numpy()] = self.batch(part).numpy()
        nothing = _Done(torch.zeros(()), torch.ones(()))
        return replace(self, views=(maps,), rows=(np.arange(len(self)),), standardise=nothing)

    def joined(self, other: Split) -> Split:
        """This split's images followed by those of `other`, a split of the same task."""
        nowhere = np.full(len(other), -1)
        rows = [
            np.concatenate([own, other.rows[view] if view < len(other.rows) else nowhere])
            for view, own in enumerate(self.rows)
        ]
        truth = torch.cat([self.truth, other.truth])
        warped = tuple(torch.cat([own, other.truth]) for own in self.warped)  # the other's unchanged ones are shown
        known = [s.groups for s in (self, other) if s.groups is not None]
        groups = np.concatenate(known) if len(known) == 2 else None
        name = f"{self.name}+{other.name}"
        return replace(self, name=name, truth=truth, rows=tuple(rows), groups=groups, warped=warped)

    def only(self, positions: np.ndarray) -> Split:
        """The images at `positions`, in that order, with all their views."""
        rows = tuple(own[positions] for own in self.rows)
        groups = None if self.groups is None else self.groups[positions]
        truth, *warped = (own[torch.from_numpy(positions)] for own in (self.truth, *self.warped))
        return replace(self, truth=truth, rows=rows, groups=groups, warped=tuple(warped))

    def pooled(self) -> Tensor:
        """(n, C) float32, what the router sees of the unchanged images, with the noise that each always has."""
        parts = torch.arange(len(self)).split(max(1, SEEN // math.prod(self.shape)))
        return torch.cat([self.sees(self.raw(part), self.places) for part in parts])


class _Mapped(NamedTuple):
    """An array on disk, by name: what another process needs to open it."""

    file: str
    dtype: str
    offset: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: np.memmap) -> _Mapped:
        return cls(str(array.filename), array.dtype.str, array.offset, array.shape)

    def opened(self) -> np.memmap:
        try:
            return np.memmap(self.file, self.dtype, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:  # gone, or shorter than it was
            raise PathsearchError(
                f"features {self.file}: expected the file that was opened before, got none or a shorter one ({error}); "
                "give the same command again, which encodes what is missing"
            ) from None
