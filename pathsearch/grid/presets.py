"""Presets: published networks by name, each one path of a blueprint that holds it, and how it is trained.

What a preset says of settings stands until somebody gives another value.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_prep.errors import PathsearchError
from pathsearch.grid.blueprint import Blueprint
from pathsearch.grid.path import Layers, Path


@dataclass(frozen=True)
class Preset:
    """One of them.

    Attributes:
        blueprint: by name.
        words: what it is, for people, with its source.
        settings: by key, as `training.epochs`.
        shared: names of the layers, or what these begin with, in which a network on a grid takes the modules that are
            there; in all others it takes modules that nobody has.
    """

    blueprint: str
    words: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    shared: tuple[str, ...] = ()


FROM_PIXELS = {
    "encoder.name": "pixels",
    "grid.max_active": 1,
    "training.batch_size": 16,
    "training.dropout": 0.0,
    # from pixels alone a network takes the tones of one hospital for granted, and fails on those of another
    "training.views": 8,
    "training.augmentation": "strong",
}
PRESETS: dict[str, Preset] = {
    "ums-rep": Preset(
        "ums-rep",
        "Four strided convolutions down and as many up, trained as in Zamzmi et al. 2021, but on varied views.",
        {
            **FROM_PIXELS,
            "training.optimiser": "rmsprop",
            "training.schedule": "plateau",
            "training.learning_rate": 1e-3,
            "training.weight_decay": 0.0,
            "training.average": 0.0,
            "training.epochs": 60,
            "training.patience": 10,
            "training.refit": False,
        },
        ("down",),
    ),
    "unet": Preset(
        "unet",
        "A plain U-Net with nnU-Net's blocks (Isensee et al. 2021), trained by AdamW along a cosine.",
        {
            **FROM_PIXELS,
            "training.weight_decay": 0.01,
            "training.epochs": 15,
        },
        ("down",),
    ),
}


def preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        PathsearchError: there is none.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "any path of a blueprint is trained by --path"
        raise PathsearchError(f"--blueprint: expected one of {', '.join(PRESETS)}; got {name!r}; {hint}")
    return PRESETS[name]


def path_of(name: str, blueprint: Blueprint, there: Sequence[Layers]) -> Path:
    """A preset's path on a grid, of one module a layer.

    Args:
        name: of the preset.
        blueprint: of the grid.
        there: active modules of the experts that the grid carries in each layer, oldest first.

    Raises:
        PathsearchError: a layer has no module left that nobody has.
    """
    shared, layers = PRESETS[name].shared, []
    for number, layer in enumerate(blueprint.layers):
        own = [one[number] for one in there if one[number]]
        if own and layer.name.startswith(shared):
            layers.append(own[-1])  # of the youngest
            continue
        free = sorted(set(range(len(layer.modules))) - {i for active in own for i in active})
        if not free:
            raise PathsearchError(
                f"preset {name!r}: expected a module of layer {layer.name!r} that no earlier expert has, got "
                f"{len(layer.modules)} that are taken; begin anew with --set grid.n_modules={2 * len(layer.modules)}"
            )
        layers.append((free[0],))
    return Path.of(layers)
