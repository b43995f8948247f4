"""The settings in a config.json, and in the reports of earlier comparisons, as far as they are read again."""

from __future__ import annotations

from typing import TypedDict

from pathsearch.measures.measure import MeasureName


class SearchConfig(TypedDict, total=False):
    """Of the search; its usual settings where one is missing."""

    fitness: MeasureName
    folds: int


class EncoderConfig(TypedDict, total=False):
    """Of the encoder."""

    name: str
    weights: str
    image_size: int
    precision: str


class Config(TypedDict, total=False):
    """The sections; empty where there is no file."""

    task: str
    split: str
    seed: int
    encoder: EncoderConfig
    search: SearchConfig
    grown_from: str | None  # the run whose grid it stands on
    begun_from: str | None  # the run whose layers were trained on
