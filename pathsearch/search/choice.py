"""The one selection rule: of candidates trained alone, take the smallest good one on images not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pathsearch.encoders.split import Split
from pathsearch.grid.path import Path
from pathsearch.measures.one_error import choose_smallest
from pathsearch.targets.target import Said
from pathsearch.training.batches import joined
from pathsearch.training.bench import Bench
from pathsearch.training.folds import choice_folds
from pathsearch.training.last_training import Trained


@dataclass(frozen=True)
class Choice:
    """Candidates trained to the end, and which of them was chosen."""

    candidates: list[Path]
    results: list[Trained]  # before any refit
    sizes: list[int]  # number of parameters
    chosen: int
    n_folds: int  # 1: validation images alone chose
    n_images: int  # that the scores stand on
    in_words: str  # what they stand on
    scores: list[float]  # of the measure that the search maximises
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


@dataclass(frozen=True)
class Ballot:
    """The images that choose, and what each candidate's networks said to them.

    Attributes:
        bench: its target and measure judge.
        parts: see `choice_folds`; empty where the validation images choose.
        why: they do, although they are few.
    """

    bench: Bench
    parts: Sequence[Bench]
    why: str = ""

    @classmethod
    def of(cls, bench: Bench) -> Ballot:
        """As the settings have it."""
        return cls(bench, *choice_folds(bench))

    def said(self, alone: Trained, folded: Sequence[Trained]) -> Said:
        """Of one candidate: trained alone, and once for each part; none of these was trained on the images it scores.

        Answers to all parts are pooled, as those to one set of images.
        """
        return joined([one.said for one in folded]) if self.parts else alone.said

    def choose(
        self, candidates: Sequence[Path], results: Sequence[Trained], sizes: Sequence[int], said: Sequence[Said]
    ) -> Choice:
        """Choose the smallest within one standard error (of the difference) of the best.

        Args:
            candidates: paths, at least one.
            results: what each became by its last training, without a refit.
            sizes: number of parameters of each.
            said: by each, see `said`.
        """
        truth, (own, gaps) = self.truth, self.errors(said)
        scores = [self.bench.target.fitness(self.bench.measure, one, truth).score for one in said]
        said_of = (len(self._splits), len(truth), self.in_words, scores, own, gaps)
        return Choice(list(candidates), list(results), list(sizes), choose_smallest(scores, sizes, gaps), *said_of)

    def errors(self, said: Sequence[Said]) -> tuple[list[float], list[float]]:
        """Standard error of each network's score, and of its difference from the best one's."""
        return self.bench.target.errors(self.bench.measure, said, self.truth, self.groups)

    @property
    def in_words(self) -> str:
        """What a choice stands on."""
        n = len(self.truth)
        if not self.parts:
            return f"{n} validation images{self.why and f' ({self.why})'}"
        return (
            f"{n} training and validation images in {len(self.parts)} parts, each scored by a network of its own that "
            "was trained on the others and stopped where that part was best"
        )

    @cached_property
    def truth(self) -> Tensor:
        """Of the images that choose."""
        return torch.cat([split.truth for split in self._splits])

    @cached_property
    def groups(self) -> np.ndarray | None:
        """(n,) of the same."""
        known = [split.groups for split in self._splits if split.groups is not None]
        return np.concatenate(known) if len(known) == len(self._splits) else None

    @property
    def _splits(self) -> list[Split]:
        return [part.validation for part in self.parts] or [self.bench.validation]


def scores_of(bench: Bench, results: Sequence[Trained]) -> list[float]:
    """The measure that the search maximises, of each trained network, on validation images."""
    return [bench.target.fitness(bench.measure, one.said, bench.validation.truth).score for one in results]
