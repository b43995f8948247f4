"""The one selection rule: of candidates trained alone, take the smallest good one on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.measures.one_error import choose_smallest
from pathsearch.targets.target import Said
from pathsearch.training.bench import Bench
from pathsearch.training.last_training import Trained


@dataclass(frozen=True)
class Choice:
    """Candidates trained to the end, and which of them was chosen."""

    candidates: list[Path]
    results: list[Trained]  # before any refit
    chosen: int
    scores: list[float]  # of the measure that the search maximises, on validation
    errors: list[float]  # standard error of each score
    gaps: list[float]  # and of its difference from the best

    @property
    def path(self) -> Path:
        """The chosen path."""
        return self.candidates[self.chosen]

    @property
    def best(self) -> Trained:
        """The chosen one, before any refit."""
        return self.results[self.chosen]


def choose(bench: Bench, grid: Grid, candidates: Sequence[Path], results: Sequence[Trained]) -> Choice:
    """Choose the smallest within one standard error (of the difference) of the best.

    Args:
        bench: its validation images decide, by the measure of its search.
        grid: knows the size of its paths.
        candidates: paths of the grid, at least one.
        results: what each became by its last training, without a refit.
    """
    scores = scores_of(bench, results)
    own, gaps = errors_of(bench, [one.said for one in results])
    chosen = choose_smallest(scores, [grid.count_parameters(path, bench.task) for path in candidates], gaps)
    return Choice(list(candidates), list(results), chosen, scores, own, gaps)


def errors_of(bench: Bench, said: Sequence[Said]) -> tuple[list[float], list[float]]:
    """Standard error of each network's score on validation images, and of its difference from the best one's."""
    return bench.target.errors(bench.measure, said, bench.validation.truth, bench.validation.groups)


def scores_of(bench: Bench, results: Sequence[Trained]) -> list[float]:
    """The measure that the search maximises, of each trained network, on validation images."""
    return [bench.target.fitness(bench.measure, one.said, bench.validation.truth).score for one in results]
