"""Tasks at their places on one grid, whose networks are trained together: each training's pupils, kept when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from data_prep.manifest import Task
from data_prep.table_words import folder_of
from pathsearch.encoders.features import Features
from pathsearch.experts.heritage import Heritage, inherit
from pathsearch.grid.branches import Branches
from pathsearch.grid.grid import Grid, PathNetwork
from pathsearch.grid.path import Path
from pathsearch.grid.recipe import followed, followed_together
from pathsearch.run.runs import Run
from pathsearch.run.settings import RunSettings
from pathsearch.run.streams import derive
from pathsearch.training.bench import Bench
from pathsearch.training.course import Pupil
from pathsearch.training.kept import Kept
from pathsearch.training.last_training import Trained, refit_together, train_together

Paths = Sequence[Path]  # of each task, in their order


class Member(NamedTuple):
    """One of the tasks, with the settings of its run."""

    task: Task
    settings: RunSettings
    run: Run  # opened


@dataclass(frozen=True)
class Seat:
    """Where a member's networks stand: on its own grid, which is as much of the common one as leads to its head."""

    member: Member
    features: Features
    bench: Bench
    grid: Grid


@dataclass(frozen=True)
class Group:
    """All of them.

    Attributes:
        seats: one a task.
        branches: their grids, tied.
        beginning: experts whose layers shared ones may begin from.
        kept: where what comes of each training is kept.
    """

    seats: Sequence[Seat]
    branches: Branches
    beginning: Heritage
    kept: Kept

    @property
    def benches(self) -> list[Bench]:
        """Of each task."""
        return [one.bench for one in self.seats]

    @property
    def settings(self) -> RunSettings:
        """Of the first run; those of the others say the same of all that they have in common."""
        return self.seats[0].member.settings

    def start(self) -> list[dict[str, Tensor]]:
        """Weights of each grid, to be gone back to by `restart`."""
        return [{name: tensor.clone() for name, tensor in grid.state_dict().items()} for grid in self.branches.grids]

    def restart(self, start: Sequence[dict[str, Tensor]]) -> None:
        """Let the grids have the weights again that they had."""
        for grid, weights in zip(self.branches.grids, start, strict=True):
            grid.load_state_dict(weights)

    def trained(self, number: int, label: str, paths: Paths) -> list[Trained]:
        """Networks along the tasks' paths at their best on validation, without a refit; read back if they are kept.

        Args:
            number: of the training among those of the run.
            label: what it is to the run, for progress.
            paths: of one candidate or baseline.
        """
        what = self._what(paths)
        made = self.kept.trainings(
            number, what, lambda: self._networks(paths), lambda: train_together(self._pupils(paths, number, what))
        )
        self.benches[0].tell.note(label)
        return made

    def refitted(self, number: int, trained: Sequence[Trained], paths: Paths) -> list[Trained]:
        """What was trained, on training and validation images, if the settings ask for that."""
        if not self.settings.training.refit:
            return list(trained)
        what = self._what(paths)
        return self.kept.trainings(
            number,
            what,
            lambda: self._networks(paths),
            lambda: refit_together(trained, self._pupils(paths, number, what)),
        )

    def _what(self, paths: Paths) -> str:
        return " + ".join(f"{one.bench.task}, {path}" for one, path in zip(self.seats, paths, strict=True))

    def _networks(self, paths: Paths) -> list[PathNetwork]:
        """Untrained; a grid that was searched is back at its initial weights."""
        if self.settings.training.begin == "earlier":
            for grid, path in zip(self.branches.grids, paths, strict=True):
                inherit(grid, path, [ancestor.expert for ancestor in self.beginning.ancestors])
        return self.branches.networks(paths)

    def _pupils(self, paths: Paths, number: int, what: str) -> list[Pupil]:
        recipe = paths[0].recipe
        pupils = []
        for one, network in zip(self.seats, self._networks(paths), strict=True):
            settings = one.bench.settings
            settings = replace(
                settings,
                training=followed(settings.training, recipe),
                together=followed_together(settings.together, recipe),
                # tasks on the same images see them in the same order
                seed=derive(settings.seed, "together", folder_of(one.bench.task)),
            )
            bench = replace(one.bench, settings=settings, halfway=self.kept.halfway(number, what))
            pupils.append(Pupil(bench, network, one.grid.shapes[1:]))
        return pupils
