"""Answers for a stream of images: threads decode the next ones while the encoder computes, at constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.images import Picture
from pathsearch.ahead import ahead
from pathsearch.features import AHEAD, batch_size
from pathsearch.model import Answer, Model
from pathsearch.pictures import Preparation, as_pictures
from pathsearch.views import stacked


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

    def predict(self, images: Any) -> list[Answer]:
        """Answer images: the decisions of `pathsearch predict` and of the joint evaluation.

        Args:
            images: one or several paths, Pillow images, or uint8 arrays (H, W) or (H, W, 3), or an array of a
                batch of them.

        Returns:
            One answer an image, in order.

        Raises:
            PathsearchError: something is no image, or does not decode.
        """
        answers = []
        for answer in self.stream(as_pictures(images)):
            if isinstance(answer, Failure):
                raise PathsearchError(answer.error)
            answers.append(answer)
        return answers

    def stream(self, pictures: Iterable[Picture], size: int | None = None) -> Iterator[Answer | Failure]:
        """Answer any number of images, in order, as they come.

        Args:
            pictures: read only a few batches ahead.
            size: images in a batch; by default what suits the encoder.
        """
        size = size or batch_size(self.model.encoder.settings.image_size)
        batch: list[tuple[str | int, Tensor | Failure]] = []
        for decoded in ahead(self._load, enumerate(pictures), AHEAD * size):
            batch.append(decoded)
            if len(batch) == size:
                yield from self._answered(batch)
                batch = []
        yield from self._answered(batch)

    def pixels(self, picture: Picture) -> Tensor:
        """(3, S, S) uint8 of one picture, as the encoder takes it."""
        return self.preparation.pixels(picture, self.model.encoder.settings.image_size)

    def _answered(self, batch: list[tuple[str | int, Tensor | Failure]]) -> Iterator[Answer | Failure]:
        whole = {i: one for i, (_, one) in enumerate(batch) if isinstance(one, Tensor)}
        answers: dict[int, Answer] = {}
        if whole:
            said = self.model.answer(stacked(list(whole.values())), [batch[i][0] for i in whole])
            answers = dict(zip(whole, said, strict=True))
        for i, (_, one) in enumerate(batch):
            yield one if isinstance(one, Failure) else answers[i]

    def _load(self, numbered: tuple[int, Picture]) -> tuple[str | int, Tensor | Failure]:
        number, picture = numbered
        source = str(picture) if isinstance(picture, Path) else number
        try:
            return source, self.pixels(picture)
        except (ValueError, OSError) as error:  # ours, and what odd pictures make Pillow raise
            return source, Failure(source, " ".join(str(error).split()))
