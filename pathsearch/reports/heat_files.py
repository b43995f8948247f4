"""Heat maps of answers as files: drawn over their images, each under a name of its own."""

from __future__ import annotations

import os
from pathlib import Path

from pathsearch.experts.explain import heat_map
from pathsearch.experts.model import Answer
from pathsearch.experts.pictures import HEAT, shown
from pathsearch.experts.predict import Predictor
from pathsearch.reports import figure_heat

LONGEST = 640  # pixels of an image in a heat map's figure


def explain(predictor: Predictor, answer: Answer, file: Path) -> None:
    """Draw the heat map of an image file's answer over the image, as PNG."""
    assert answer.task is not None, "an unknown image has no class to be explained"
    assert answer.label is not None
    source = Path(str(answer.source))
    heat = heat_map(predictor.model, predictor.pixels(source), answer.task, answer.label)
    title = (
        f"{_readable(source)} · {answer.task}: {answer.label}, probability {answer.probability:.3f}, "
        f"distance {answer.distance:.2f}"
    )
    figure_heat.draw(shown(source, LONGEST), heat, title, answer.label, file)


def explained(predictor: Predictor, answer: Answer, file: Path) -> str | None:
    """Draw as `explain` does, and return why that failed, in one line, or None: the answer stands without it."""
    try:
        explain(predictor, answer, file)
    except (ValueError, OSError) as error:  # ours, and what odd names and places make the system raise
        return f"heat map: {' '.join(str(error).split())}"
    return None


class HeatFiles:
    """Where heat maps go: into one folder, or each beside its image."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.taken: set[str] = set()

    def file(self, source: Path) -> Path:
        """A name of its own, `IMAGE.heat.png`; images of one name in several folders are numbered."""
        if self.folder is None:
            return source.with_name(source.name + HEAT)
        name, number = source.name, 1
        while name.lower() in self.taken:
            name = f"{source.name}~{number}"
            number += 1
        self.taken.add(name.lower())
        return self.folder / (name + HEAT)


def _readable(file: Path) -> str:
    """A file's name with a mark for every byte that is no UTF-8, which no font has."""
    return os.fsencode(file.name).decode("utf-8", "replace")
