"""The bench: what a search or a training stands on, made once and handed on whole. Test images are not on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import Features
from pathsearch.encoders.split import Split
from pathsearch.grid.grid import Grid
from pathsearch.grid.modules import Shape
from pathsearch.grid.vocabulary import blueprint_of
from pathsearch.run.place import Place
from pathsearch.run.settings import RunSettings, SearchSettings, TrainingSettings
from pathsearch.run.teller import Silent, Teller
from pathsearch.targets.target import Target, target_of
from pathsearch.training.halfway import Halfway, Nowhere


@dataclass(frozen=True)
class Bench:
    """One task's training and validation images as features, and everything that decides how paths learn from them.

    Attributes:
        settings: of the run; task and seed among them.
        target: what the task asks for.
        shape: of the encoder's maps.
        training: with all its views.
        validation: what is chosen by.
        taps: channels of each of the encoder's maps, where modules may read several.
        device: of grids and networks; features stay on the CPU.
        tell: progress.
        places: what a blueprint may read, by name; the features, if none are named.
        halfway: where a long training leaves where it stands.
        scratch: a folder for what a training may compute once and keep until it ends, see `fixed_layers`.
    """

    settings: RunSettings
    target: Target
    shape: Shape
    training: Split
    validation: Split
    taps: tuple[int, ...] = ()
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (immutable)
    tell: Teller = Silent()  # noqa: RUF009 (it has no state)
    places: dict[str, Shape] = field(default_factory=dict)
    halfway: Halfway = Nowhere()  # noqa: RUF009 (it has no state)
    scratch: Path | None = None

    @classmethod
    def of(cls, settings: RunSettings, encoder: Encoder, features: Features, place: Place) -> Bench:
        """Of a task's encoded images."""
        about = (target_of(features.task), encoder.feature_shape, features.train(), features.validation())
        return cls(settings, *about, encoder.taps, place.device, place.tell, encoder.places)

    @property
    def task(self) -> str:
        """The task's name: whose head paths end in."""
        return self.settings.task

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.settings.seed

    @property
    def search(self) -> SearchSettings:
        """The search's settings."""
        return self.settings.search

    @property
    def last(self) -> TrainingSettings:
        """The last training's settings."""
        return self.settings.training

    @property
    def measure(self) -> str:
        """What the search maximises on validation images."""
        return self.target.measure(self.search.fitness)

    def grid(self) -> Grid:
        """A grid at its initial weights: what leads to the task's head, and that."""
        blueprint = blueprint_of(self.places or self.shape, self.settings.grid, self.taps).ending(self.target.kind)
        grid = Grid(blueprint, self.settings.grid, self.seed)
        grid.add_head(self.task, *self.target.head(grid.head_shape))
        return grid.to(self.device)

    def at(self, seed: int) -> Bench:
        """The same at another seed."""
        return replace(self, settings=replace(self.settings, seed=seed))

    def searched_by(self, search: SearchSettings) -> Bench:
        """The same with another search."""
        return replace(self, settings=replace(self.settings, search=search))

    def trained_by(self, last: TrainingSettings) -> Bench:
        """The same with another last training."""
        return replace(self, settings=replace(self.settings, training=last))

    def without_refit(self) -> Bench:
        """The same, whose last trainings leave the validation images to choose by."""
        return self.trained_by(replace(self.last, refit=False))

    def on(self, training: Split, validation: Split) -> Bench:
        """The same on other images."""
        return replace(self, training=training, validation=validation)

    def seen(self, split: Split) -> Split:
        """A split as this bench's networks see it: few training images have a mean and spread of their own."""
        return replace(split, standardise=self.training.standardise)
