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


def explain(predictor: Predictor, answer: Answer, file: Path) -> None:
    """Draw the heat map of an image file's class over the image, as PNG."""
    assert answer.task is not None, "an unknown image has no class to be explained"
    assert answer.label is not None
    source = Path(str(answer.source))
    expert = predictor.model.giving(answer.task, "class")
    assert expert is not None
    heat = heat_map(predictor.model, predictor.pixels(source), expert, answer.label)
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
        expert = predictor.model.giving(answer.task, "mask")
        assert expert is not None
        names = predictor.model.experts[expert].target.names
        levels = predictor.model.levels.get(expert, range(len(names)))
        labels = {name: small == level for name, level in list(zip(names, levels, strict=True))[1:]}
    box = None
    if answer.box is not None and answer.size is not None:
        scale = np.array(size * 2) / np.array(answer.size * 2)
        box = tuple((np.array(answer.box) * scale).tolist())
    figure_overlay.draw(image, title, file, labels=labels, box=box, answered=answer.image)


def explained(predictor: Predictor, answer: Answer, files: NamedFiles) -> tuple[dict[str, Path], list[str]]:
    """Draw what explains an answer: the heat map of its class, and over the image whatever else it says.

    Returns:
        The files by column, `heat_map` and `overlay`; and in a line each why one is missing: the answer stands without.
    """
    drawings = []
    if answer.label is not None:
        drawings.append(("heat_map", HEAT, explain))
    if not (answer.mask is None and answer.box is None and answer.image is None):
        drawings.append(("overlay", OVERLAY, overlay))
    written, troubles = {}, []
    for column, end, draw in drawings:
        file = files.file(Path(str(answer.source)), end, answer.task)
        try:
            draw(predictor, answer, file)
            written[column] = file
        except (ValueError, OSError) as error:  # ours, and what odd names and places make the system raise
            troubles.append(f"{column.replace('_', ' ')}: {' '.join(str(error).split())}")
    return written, troubles


def _readable(file: Path) -> str:
    """A file's name with a mark for every byte that is no UTF-8, which no font has."""
    return os.fsencode(file.name).decode("utf-8", "replace")
