"""Why an answer: which places of an image speak for its class (Grad-CAM), through the encoder and the expert's path."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pathsearch import figure_heat
from pathsearch.model import Answer, Model
from pathsearch.pictures import HEAT, shown
from pathsearch.predict import Predictor

LONGEST = 640  # pixels of an image in a heat map's figure


def heat_map(model: Model, image: Tensor, task: str, label: str) -> np.ndarray:
    """Where an image speaks for a class.

    Args:
        model: its encoder and the expert of `task`.
        image: (3, S, S) uint8.
        task: which expert.
        label: one of its classes.

    Returns:
        (S, S) float32 in [0, 1], 1 the strongest place; all 0 where nothing speaks for the class.

    Source: Selvaraju et al. 2017 (arXiv:1610.02391), of the class's logit, on the trunk's last map. We differ:
    from there the gradient runs through the average that the expert sees, its standardisation and its path. With
    several taps the heat is the sum of each map's own, in the same units; one that the path does not read has none.
    """
    expert = model.experts[task]
    maps = [one.cpu().requires_grad_() for one in model.encoder.maps(image[None])]
    logit = expert(model.encoder.averaged(maps))[0, expert.facts.classes.index(label)]
    heat = torch.zeros(image.shape[1:])
    for own, gradient in zip(maps, torch.autograd.grad(logit, maps), strict=True):
        finer = own[0, 0].numel() / maps[0][0, 0].numel()  # a gradient's mean shrinks with its map's positions
        weights = finer * gradient.mean((2, 3), keepdim=True)  # one a channel
        warm = (weights * own.detach()).sum(1, keepdim=True).relu()
        heat += F.interpolate(warm, size=image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
    return (heat / heat.max() if heat.max() > 0 else heat).numpy()


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


def _readable(file: Path) -> str:
    """A file's name with a mark for every byte that is no UTF-8, which no font has."""
    return os.fsencode(file.name).decode("utf-8", "replace")


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
