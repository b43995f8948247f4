"""The one selection rule: train candidates alone, take the smallest good one on validation, refit it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from pathsearch import baselines
from pathsearch.config import RunSettings, TrainingSettings
from pathsearch.features import Split
from pathsearch.fitness import fitnesses
from pathsearch.grid import Grid
from pathsearch.one_error import choose_smallest, errors
from pathsearch.path import Path
from pathsearch.training import Trained

TrainPath = Callable[[Path, str, TrainingSettings], Trained]  # a path, what to call it, how


@dataclass(frozen=True)
class Choice:
    """Candidates trained to the end, and which of them was chosen."""

    candidates: list[Path]
    results: list[Trained]  # before any refit
    chosen: int
    best: Trained  # the chosen one, refitted if the settings ask for it
    scores: list[float]  # of the measure that the search maximises, on validation
    errors: list[float]  # standard error of each score
    gaps: list[float]  # and of its difference from the best

    @property
    def path(self) -> Path:
        """The chosen path."""
        return self.candidates[self.chosen]


def choose_path(
    grid: Grid,
    task: str,
    candidates: Sequence[Path],
    training: Split,
    validation: Split,
    settings: RunSettings,
    train_alone: TrainPath,
) -> Choice:
    """Train each candidate alone and choose the smallest within one standard error (of the difference) of the best.

    Args:
        grid: at its initial weights.
        task: whose head is used.
        candidates: different paths of the grid, at least one.
        training: with all its views.
        validation: decides.
        settings: of the fitness that is compared, and of the refit.
        train_alone: trains one path from the grid's present weights.
    """
    without_refit = replace(settings.training, refit=False)
    results = [train_alone(path, f"finalist {path}", without_refit) for path in candidates]
    scores = scores_of(results, validation, settings, candidates)
    own, gaps = errors_of([one.log_p for one in results], validation, settings)
    chosen = choose_smallest(scores, [grid.count_parameters(path, task) for path in candidates], gaps)
    best = baselines.refit_path(
        results[chosen], grid, task, candidates[chosen], training, validation, settings.training, settings.seed
    )
    return Choice(list(candidates), results, chosen, best, scores, own, gaps)


def errors_of(log_p: Sequence[Tensor], validation: Split, settings: RunSettings) -> tuple[list[float], list[float]]:
    """Standard error of each network's score on validation images, and of its difference from the best one's."""
    said = [one.double().exp().numpy() for one in log_p]
    return errors(settings.search.fitness, validation.labels.numpy(), said, validation.groups)


def scores_of(
    results: Sequence[Trained], validation: Split, settings: RunSettings, paths: Sequence[Path] | None = None
) -> list[float]:
    """The measure that the search maximises, of each trained network, on validation images; `paths` name them."""
    names = paths or [Path.of([[0]])] * len(results)
    return [
        fitnesses(one.log_p[None], validation.labels, settings.search.fitness, [name])[0].score
        for one, name in zip(results, names, strict=True)
    ]
