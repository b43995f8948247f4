"""What a model says to one image, whatever its task asks for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data_prep.table_words import BOX
from pathsearch.experts.answer_columns import area_columns
from pathsearch.targets.decoded import Area, Box, Size


@dataclass(frozen=True)
class Answer:
    """What the model says to one image.

    Attributes:
        source: the image's file, or its number among the images given.
        task: the task that it was routed to, or that was given; None if it is unknown and none was. Where several of
            its targets have experts, all of them answer.
        label: the class; None without a task, or if no expert of the task says one.
        probability: the expert's, of that class; None where there is none. Where a threshold decides, it may be
            below a half.
        distance: to the nearest task's images over that task's threshold: above 1, the image is unknown.
        unknown: it looks like no task's images.
        probabilities: of every class of the task; empty if there is none.
        mask: (H, W) uint8, H and W those of the image as it was given, upright: the grey level of each pixel's label,
            as in the task's own masks; None if no expert of the task draws one.
        areas: of each label of that mask but background, its pixels and their share of the image.
        box: x_min, y_min, x_max, y_max in pixels of the image as it was given.
        size: width and height of the image as it was given, upright; None without a task.
        image: (H, W) uint8 of a grey image, (H, W, 3) of one in colour, at the size of the image as it was given.
        derived: what the bundle's rules make of it, by their names; None where they cannot say.
    """

    source: str | int
    task: str | None
    label: str | None
    probability: float | None
    distance: float
    unknown: bool
    probabilities: dict[str, float]
    mask: np.ndarray | None = field(default=None, compare=False, repr=False)
    areas: dict[str, Area] = field(default_factory=dict)
    box: Box | None = None
    size: Size | None = None
    image: np.ndarray | None = field(default=None, compare=False, repr=False)
    derived: dict[str, bool | None] = field(default_factory=dict)

    def numbers(self) -> dict[str, float]:
        """Its numbers as they stand in a row, by column: shares with six digits, pixels of a box with two decimals."""
        found = {"distance": _rounded(self.distance)}
        if self.probability is not None:
            found["probability"] = _rounded(self.probability)
        for name, area in self.areas.items():
            found |= dict(zip(area_columns(name), (area.pixels, _rounded(area.share)), strict=True))
        if self.box is not None:
            found |= {name: round(value, 2) for name, value in zip(BOX, self.box, strict=True)}
        return found


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
