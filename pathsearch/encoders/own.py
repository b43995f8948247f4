"""Encoders of a user's own: what fails in their code is told as theirs, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.encoders.encoder import ENCODERS, Encoder


@contextmanager
def told_as(name: str) -> Iterator[None]:
    """What fails in this block is told as the encoder's of this name."""
    try:
        yield
    except PathsearchError:
        raise
    except Exception as error:
        raise PathsearchError(
            f"encoder {name!r}: {type(error).__name__}: {' '.join(str(error).split())}; mend its class"
        ) from error


def encoded(encoder: Encoder, images: Tensor) -> Tensor:
    """What an encoder makes of a batch; where one that is registered fails, that is told as its own.

    Raises:
        PathsearchError: its features are not what it announced, or its code fails.
    """
    if encoder.settings.name not in ENCODERS:
        return encoder(images)
    with told_as(encoder.settings.name):
        return encoder(images)
