"""Evolutionary architecture search on one frozen encoder, one small path of modules for each task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathsearch.predict import Predictor

__version__ = "0.1.0"


def load(
    bundle: str | os.PathLike[str], device: str = "cpu", plugins: Sequence[str | os.PathLike[str]] = ()
) -> Predictor:
    """The model in a bundle that `pathsearch bundle` wrote, ready for `.predict(images)`.

    Args:
        bundle: its folder.
        device: cpu, cuda, or auto: cuda where there is one; of the encoder.
        plugins: files with module kinds of your own that the bundle was made with; they are run, the bundle never is.

    Raises:
        ValueError: no bundle, or a file of it is damaged or changed; the message says which and what to do.
    """
    from pathlib import Path

    from pathsearch.bundle import load as load_bundle
    from pathsearch.encoder import choose_device
    from pathsearch.plugins import load_plugins

    load_plugins(os.fspath(one) for one in plugins)
    return load_bundle(Path(bundle), choose_device(device))
