"""What explains answers, as files: heat maps of classes, masks and boxes over their images, each under its own name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from data_prep.mask_pixels import resized
from pathsearch.experts.answer import Answer
from pathsearch.experts.answer_files import NamedFiles
from pathsearch.experts.explain import heat_map
from pathsearch.experts.pictures import HEAT, OVERLAY, shown
from pathsearch.experts.predict import Predictor
from pathsearch.reports import figure_heat, figure_overlay

LONGEST = 640  # pixels of an image in such a figure


class HeatFiles(NamedFiles):
    """Where they go: into one folder, or each beside its image."""

    def file(self, source: Path, end: str = HEAT) -> Path:
        """A name of its own, `IMAGE.heat.png` or `IMAGE.overlay.png`."""
        return super().file(source, end)


def explain(predictor: Predictor, answer: Answer, file: Path) -> None:
    """Draw the heat map of an image file's class over the image, as PNG."""
    assert answer.task is not None, "an unknown image has no class to be explained"
    assert answer.label is not None
    source = Path(str(answer.source))
    heat = heat_map(predictor.model, predictor.pixels(source), answer.task, answer.label)
    title = (
        f"{_readable(source)} · {answer.task}: {answer.label}, probability {answer.probability:.3f}, "
        f"distance {answer.distance:.2f}"
    )
    figure_heat.draw(shown(source, LONGEST), heat, title, answer.label, file)


def overlay(predictor: Predictor, answer: Answer, file: Path) -> None:
    """Draw an image file, and beside it its mask's outlines, its box, or the image that was answered, as PNG."""
    assert answer.task is not None, "an unknown image has no answer to be drawn"
    source = Path(str(answer.source))
    image = shown(source, LONGEST)
    said = [f"{name} {area.share:.1%}" for name, area in answer.areas.items()]
    title = " · ".join([_readable(source), answer.task, *said, f"distance {answer.distance:.2f}"])
    size = (image.shape[1], image.shape[0])
    labels: dict[str, np.ndarray] = {}
    if answer.mask is not None:
        small = resized(answer.mask, *size)
        names = predictor.model.experts[answer.task].target.names
        levels = predictor.model.levels.get(answer.task, range(len(names)))
        labels = {name: small == level for name, level in list(zip(names, levels, strict=True))[1:]}
    box = None
    if answer.box is not None and answer.size is not None:
        scale = np.array(size * 2) / np.array(answer.size * 2)
        box = tuple((np.array(answer.box) * scale).tolist())
    figure_overlay.draw(image, title, file, labels=labels, box=box, answered=answer.image)


def explained(predictor: Predictor, answer: Answer, files: HeatFiles) -> tuple[str, Path | None, str | None]:
    """Draw what explains an answer.

    Returns:
        The column that its file stands in; the file, or None and in one line why that failed: the answer stands
        without it.
    """
    column, end, draw = ("heat_map", HEAT, explain) if answer.label is not None else ("overlay", OVERLAY, overlay)
    file = files.file(Path(str(answer.source)), end)
    try:
        draw(predictor, answer, file)
    except (ValueError, OSError) as error:  # ours, and what odd names and places make the system raise
        return column, None, f"{column.replace('_', ' ')}: {' '.join(str(error).split())}"
    return column, file, None


def _readable(file: Path) -> str:
    """A file's name with a mark for every byte that is no UTF-8, which no font has."""
    return os.fsencode(file.name).decode("utf-8", "replace")
