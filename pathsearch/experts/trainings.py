"""The last trainings of a run. None needs another's outcome, so they run side by side; each leaves its file."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import NamedTuple

from pathsearch.experts.expert import Expert
from pathsearch.experts.heritage import inherit, settle
from pathsearch.grid.grid import PathNetwork, count
from pathsearch.grid.path import Path
from pathsearch.grid.plugins import load_plugins, named_plugins
from pathsearch.run.engine import Crew, processes_for
from pathsearch.run.teller import Silent, Teller
from pathsearch.search.choice import Ballot, Choice
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
        path: what is trained.
        refits: the training, without a refit, that this one adds a refit to.
    """

    bench: Bench
    earlier: tuple[FilePath, ...]
    kept: Kept
    number: int
    label: str
    path: Path
    refits: Training | None = None

    @property
    def what(self) -> str:
        """Is trained, as the file says."""
        return f"{self.label}, {self.path}"

    def trained(self) -> Trained:
        """Read back what was kept, bit for bit; else train, and keep it."""
        return self.kept.training(self.number, self.what, self._untrained, self._train)

    def _untrained(self) -> PathNetwork:
        return baselines.network_of(self.bench, self.bench.grid(), self.path)

    def _train(self) -> Trained:
        scratch = self.kept.folder if self.bench.settings.path else None  # a search trains several at once
        bench = replace(self.bench, halfway=self.kept.halfway(self.number, self.what), scratch=scratch)
        grid = bench.grid()
        experts = [Expert.load(file) for file in self.earlier]
        settle(grid, experts)
        if bench.last.begin == "earlier":
            inherit(grid, self.path, experts)
        if self.refits is not None:
            return baselines.refit_path(bench, grid, self.path, self.refits.trained())
        return baselines.train_path(bench, grid, self.path)


class _Within(Silent):
    """Tells where one training is, and nothing else that it may say."""

    def __init__(self, tell: Teller, label: str) -> None:
        self.tell, self.label = tell, label

    def note(self, text: str) -> None:
        """With what is trained."""
        self.tell.note(f"{self.label}  {text}")


class Candidate(NamedTuple):
    """A path that may become the expert, and what it is judged by."""

    path: Path
    alone: Training  # which leaves the validation images to choose by
    folded: tuple[Training, ...]  # one for each part of the images, where these choose


class Trainings:
    """All of a run's, numbered as they are asked for; what needs no search is trained beside it, where that pays.

    A search on one thread leaves the other cores idle, and the baselines wait for nothing that it finds.
    """

    def __init__(self, bench: Bench, earlier: Sequence[FilePath], kept: Kept, cores: int) -> None:
        """On a bench, from a grid that carries earlier experts; `cores` may be used."""
        self.bench, self.earlier, self.kept, self.cores = bench, tuple(earlier), kept, cores
        self.ballot = Ballot.of(bench)
        self.asked: list[Training] = []
        self.finished = 0
        self.meter = Meter(bench.grid(), bench.task)
        self.crew: Crew[Training] | None = None  # once there is work that is worth it
        self.begun: list[Training] = []  # in the order in which the crew knows them

    def __enter__(self) -> Trainings:
        return self

    def __exit__(self, *_: object) -> None:
        if self.crew is not None:
            self.crew.__exit__()

    def whole(self, path: Path, label: str) -> Training:
        """A baseline's."""
        return self._ask(self.bench, label, path)

    def candidate(self, path: Path, label: str, judged: bool = True) -> Candidate:
        """A path that may become the expert; one that is not `judged` is trained alone, for a baseline's refit."""
        alone = self._ask(self.bench.without_refit(), label, path)
        parts = enumerate(self.ballot.parts if judged else (), 1)
        return Candidate(path, alone, tuple(self._ask(part, f"{label}, part {k}", path) for k, part in parts))

    def choose(self, candidates: Sequence[Candidate]) -> Choice:
        """The one selection rule, among candidates whose trainings are done."""
        results = [one.alone.trained() for one in candidates]
        folded = [[part.trained() for part in one.folded] for one in candidates]
        said = [self.ballot.said(result, parts) for result, parts in zip(results, folded, strict=True)]
        sizes = [count(one.network) for one in results]
        return self.ballot.choose([one.path for one in candidates], results, sizes, said)

    def refit(self, of: Training) -> Training:
        """What a candidate's adds to it, on validation images too; itself, unless the settings ask for that."""
        return self._ask(self.bench, "refit", of.path, of) if self.bench.last.refit else of

    def _ask(self, bench: Bench, label: str, path: Path, refits: Training | None = None) -> Training:
        quiet = replace(bench, tell=Silent())
        self.asked.append(Training(quiet, self.earlier, self.kept, len(self.asked) + 1, label, path, refits))
        return self.asked[-1]

    def begin(self) -> None:
        """Let all that was asked for begin on the cores that a search leaves idle."""
        if (processes := self._processes(self.asked)) > 1:
            self._give(self.asked, processes, processes - 1)

    def check(self) -> None:
        """Raise what has gone wrong beside the search, rather than at its end; what is kept is gone on with."""
        if self.crew is not None:
            self.crew.check()

    def carry_out(self) -> None:
        """Leave a file of each that was asked for; progress counts them all."""
        rest = self.asked[len(self.begun) or self.finished :]
        if self.crew is not None:
            self._give(rest, self.crew.most, self.crew.most)
        elif (processes := self._processes(rest)) > 1:
            self._give(rest, processes, processes)
        if self.crew is None:
            for one in rest:
                replace(one, bench=replace(one.bench, tell=_Within(self.bench.tell, one.label))).trained()
                self._tell(one)
            return
        for number in self.crew.done():
            self._tell(self.begun[number])

    def _give(self, some: Sequence[Training], most: int, at_once: int) -> None:
        """The longest first, so that none is left alone at the end."""
        if self.crew is None:
            prepare = functools.partial(load_plugins, named_plugins(self.bench.settings.grid.plugins))
            self.crew = Crew(Training.trained, most, prepare)
        order = sorted(some, key=self._size, reverse=True)
        self.begun += order
        self.crew.give(order, at_once)

    def _tell(self, one: Training) -> None:
        self.finished += 1
        self.bench.tell.advance(self.finished, one.label)

    def _size(self, one: Training) -> int:
        return 0 if one.path.is_probe else self.meter.path(one.path)

    def _processes(self, some: Sequence[Training]) -> int:
        images = self.bench.last.epochs * len(self.bench.training)
        return processes_for(PASSES * images * sum(map(self._size, some)), self.cores, self.bench.device)
