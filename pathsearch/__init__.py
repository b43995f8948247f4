"""Evolutionary architecture search on one frozen encoder, one small path of modules for each task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from data_prep import __version__ as __version__

if TYPE_CHECKING:
    from pathsearch.experts.predict import Predictor


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

    from pathsearch.encoders.encoder import choose_device
    from pathsearch.experts.bundle import load as load_bundle
    from pathsearch.grid.plugins import load_plugins

    load_plugins(os.fspath(one) for one in plugins)
    return load_bundle(Path(bundle), choose_device(device))


def __getattr__(name: str) -> ModuleType:
    """The modules that plug-ins register in, under names that stay; imported when asked for."""
    if name in ("blueprint", "modules", "vocabulary"):
        return import_module(f"pathsearch.grid.{name}")
    if name == "encoder":
        return import_module("pathsearch.encoders.encoder")
    raise AttributeError(f"module 'pathsearch' has no attribute {name!r}")
