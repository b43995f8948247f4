"""Answers for a stream of images: threads decode the next ones while the encoder computes, at constant memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.images import Picture
from pathsearch.features import batch_size
from pathsearch.model import Answer, Model
from pathsearch.pictures import Preparation, as_pictures

AHEAD = 2  # batches that are being decoded, or are decoded and wait


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
        for decoded in self._decoded(pictures, AHEAD * size):
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
            images = torch.stack(
                [one.permute(1, 2, 0) for one in whole.values()]
            )  # as they lie in memory: a plain copy
            said = self.model.answer(images.permute(0, 3, 1, 2), [batch[i][0] for i in whole])
            answers = dict(zip(whole, said, strict=True))
        for i, (_, one) in enumerate(batch):
            yield one if isinstance(one, Failure) else answers[i]

    def _decoded(self, pictures: Iterable[Picture], ahead: int) -> Iterator[tuple[str | int, Tensor | Failure]]:
        """Every picture's pixels in order, `ahead` of them under way in threads."""
        coming: deque[tuple[str | int, Future[Tensor | Failure]]] = deque()
        with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:  # Pillow decodes and resizes outside the GIL
            try:
                for number, picture in enumerate(pictures):
                    source = str(picture) if isinstance(picture, Path) else number
                    coming.append((source, pool.submit(self._load, picture, source)))
                    if len(coming) > ahead:
                        source, future = coming.popleft()
                        yield source, future.result()
                while coming:
                    source, future = coming.popleft()
                    yield source, future.result()
            finally:
                for _, future in coming:  # the listener has gone
                    future.cancel()

    def _load(self, picture: Picture, source: str | int) -> Tensor | Failure:
        try:
            return self.pixels(picture)
        except (ValueError, OSError) as error:  # ours, and what odd pictures make Pillow raise
            return Failure(source, " ".join(str(error).split()))
