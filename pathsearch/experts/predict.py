"""Answers for a stream of images: threads decode the next ones while the encoder computes, at constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.images import Picture
from pathsearch.encoders.features import AHEAD, batch_size
from pathsearch.encoders.views import stacked
from pathsearch.experts.answer import Answer
from pathsearch.experts.model import Model
from pathsearch.experts.pictures import Preparation, Sized, as_pictures
from pathsearch.run.ahead import ahead


@dataclass(frozen=True)
class Failure:
    """An image that could not be answered, and why."""

    source: str | int
    error: str


@dataclass(frozen=True)
class Predictor:
    """A model, and how images are prepared for it: what a bundle holds."""

    model: Model
    preparation: Preparation

    def predict(self, images: Any, task: str | Sequence[str] | None = None) -> list[Answer]:
        """Answer images: the decisions of `pathsearch predict` and of the joint evaluation.

        Args:
            images: one or several paths, Pillow images, or uint8 arrays (H, W) or (H, W, 3), or an array of a
                batch of them.
            task: of all images, if it is known: then its experts answer also those that the router calls unknown. Of
                images that belong to several tasks, such as two questions about them, all of these.

        Returns:
            One answer an image, in order; of several tasks that are given, one of each for every image.

        Raises:
            PathsearchError: something is no image, or does not decode; there is no such task.
        """
        answers = []
        for answer in self.stream(as_pictures(images), task=task):
            if isinstance(answer, Failure):
                raise PathsearchError(answer.error)
            answers.append(answer)
        return answers

    def stream(
        self, pictures: Iterable[Picture], size: int | None = None, task: str | Sequence[str] | None = None
    ) -> Iterator[Answer | Failure]:
        """Answer any number of images, in order, as they come.

        Args:
            pictures: read only a few batches ahead.
            size: images in a batch; by default what suits the encoder.
            task: of all images, see `predict`.
        """
        tasks = self.model.asked(task)
        size = size or batch_size(self.model.encoder.settings.image_size)
        batch: list[tuple[str | int, Sized | Failure]] = []
        for decoded in ahead(self._load, enumerate(pictures), AHEAD * size):
            batch.append(decoded)
            if len(batch) == size:
                yield from self._answered(batch, tasks)
                batch = []
        yield from self._answered(batch, tasks)

    def pixels(self, picture: Picture) -> Tensor:
        """(3, S, S) uint8 of one picture, as the encoder takes it."""
        return self._sized(picture).pixels

    def _sized(self, picture: Picture) -> Sized:
        return self.preparation.sized(picture, self.model.encoder.settings.image_size)

    def _answered(
        self, batch: list[tuple[str | int, Sized | Failure]], tasks: Sequence[str]
    ) -> Iterator[Answer | Failure]:
        whole = [(source, one) for source, one in batch if isinstance(one, Sized)]
        answers: Iterator[Answer] = iter(())
        if whole:
            images = stacked([one.pixels for _, one in whole])
            sources, sizes = [source for source, _ in whole], [one.size for _, one in whole]
            answers = self.model.stream(images, sources, sizes, tasks)
        for _, one in batch:
            yield from [one] if isinstance(one, Failure) else islice(answers, max(1, len(tasks)))

    def _load(self, numbered: tuple[int, Picture]) -> tuple[str | int, Sized | Failure]:
        number, picture = numbered
        source = str(picture) if isinstance(picture, Path) else number
        try:
            return source, self._sized(picture)
        except (ValueError, OSError) as error:  # ours, and what odd pictures make Pillow raise
            return source, Failure(source, " ".join(str(error).split()))
