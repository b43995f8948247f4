"""Which settings a command line gives by options of their own."""

from __future__ import annotations

from typing import Any

import typer

SETTINGS = {
    "encoder": "encoder.name",
    "encoder_weights": "encoder.weights",
    "image_size": "encoder.image_size",
    "modules": "grid.modules",
    "views": "training.views",
    "threshold": "training.threshold",
    **{
        name: f"search.{name}"
        for name in ("population", "generations", "preset", "weights", "fitness", "pareto", "target", "plateau")
    },
}


def given(context: typer.Context) -> dict[str, tuple[str, Any]]:
    """By setting, the option that the user gave for it and its value; what stands at its default is left out."""
    return {
        setting: ("--" + option.replace("_", "-"), context.params[option])
        for option, setting in SETTINGS.items()
        if (source := context.get_parameter_source(option)) is not None and source.name == "COMMANDLINE"
    }
