"""The last trainings of a run. None needs another's outcome, so they run side by side; each leaves its file."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from pathsearch.experts.expert import Expert
from pathsearch.experts.heritage import settle
from pathsearch.grid.grid import PathNetwork
from pathsearch.grid.path import Path
from pathsearch.grid.plugins import load_plugins, named_plugins
from pathsearch.run.engine import processes_for, run_all
from pathsearch.run.teller import Silent
from pathsearch.training import baselines
from pathsearch.training.bench import Bench
from pathsearch.training.cost import PASSES, Meter
from pathsearch.training.kept import Kept
from pathsearch.training.last_training import Trained


@dataclass(frozen=True)
class Training:
    """One last training, from the grid's initial weights: a value that any process can carry out.

    Attributes:
        bench: with the settings of this training.
        earlier: files of the experts that the grid carries, oldest first.
        kept: where what comes of it is kept.
        number: of its file.
        label: what it is to the run.
        path: what is trained; None for the linear probe.
        refits: the training, without a refit, that this one adds a refit to.
    """

    bench: Bench
    earlier: tuple[FilePath, ...]
    kept: Kept
    number: int
    label: str
    path: Path | None
    refits: Training | None = None

    @property
    def what(self) -> str:
        """Is trained, as the file says."""
        return f"{self.label}, {'all features' if self.path is None else self.path}"

    def trained(self) -> Trained:
        """Read back what was kept, bit for bit; else train, and keep it."""
        return self.kept.training(self.number, self.what, self._untrained, self._train)

    def _untrained(self) -> PathNetwork:
        if self.path is None:
            return baselines.probe_network(self.bench)
        return self.bench.grid().network(self.path, self.bench.task)

    def _train(self) -> Trained:
        if self.path is None:
            return baselines.linear_probe(self.bench)
        grid = self.bench.grid()
        settle(grid, [Expert.load(file) for file in self.earlier])
        if self.refits is not None:
            return baselines.refit_path(self.bench, grid, self.path, self.refits.trained())
        return baselines.train_path(self.bench, grid, self.path)


class Trainings:
    """All of a run's, numbered as they are asked for, carried out together when that pays."""

    def __init__(self, bench: Bench, earlier: Sequence[FilePath], kept: Kept, cores: int) -> None:
        """On a bench, from a grid that carries earlier experts; `cores` may be used."""
        self.bench, self.earlier, self.kept, self.cores = bench, tuple(earlier), kept, cores
        self.asked: list[Training] = []

    def alone(self, path: Path, label: str) -> Training:
        """A candidate's, which leaves the validation images to choose by."""
        return self._ask(self.bench.without_refit(), label, path)

    def whole(self, path: Path | None, label: str) -> Training:
        """A baseline's; of no path: the linear probe's."""
        return self._ask(self.bench, label, path)

    def refit(self, of: Training) -> Training:
        """The chosen candidate's, on validation images too if the settings ask for it."""
        return self._ask(self.bench, "refit", of.path, of)

    def _ask(self, bench: Bench, label: str, path: Path | None, refits: Training | None = None) -> Training:
        quiet = replace(bench, tell=Silent())
        self.asked.append(Training(quiet, self.earlier, self.kept, len(self.asked) + 1, label, path, refits))
        return self.asked[-1]

    def carry_out(self, some: Sequence[Training]) -> None:
        """Leave a file of each of these; progress counts all that were asked for."""
        meter = Meter(self.bench.grid(), self.bench.task)
        sizes = [0 if one.path is None else meter.path(one.path) for one in some]
        images = self.bench.last.epochs * len(self.bench.training)
        processes = processes_for(PASSES * images * sum(sizes), self.cores, self.bench.device)
        # the longest first, so that none is left alone at the end
        order = sorted(range(len(some)), key=lambda i: -sizes[i]) if processes > 1 else list(range(len(some)))
        works, told = [some[i] for i in order], len(self.asked) - len(some)
        prepare = functools.partial(load_plugins, named_plugins(self.bench.settings.grid.plugins))
        for done, place in enumerate(run_all(Training.trained, works, processes, prepare), told + 1):
            self.bench.tell.advance(done, works[place].label)
