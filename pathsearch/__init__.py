"""Evolutionary architecture search on one frozen encoder, one small path of modules for each task."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathsearch.predict import Predictor

__version__ = "0.1.0"


def load(bundle: str | os.PathLike[str], device: str = "cpu") -> Predictor:
    """The model in a bundle that `pathsearch bundle` wrote, ready for `.predict(images)`.

    Args:
        bundle: its folder.
        device: cpu, cuda, or auto: cuda where there is one; of the encoder.

    Raises:
        ValueError: no bundle, or a file of it is damaged or changed; the message says which and what to do.
    """
    from pathlib import Path

    from pathsearch.bundle import load as load_bundle
    from pathsearch.encoder import choose_device

    return load_bundle(Path(bundle), choose_device(device))
