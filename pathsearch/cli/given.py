"""Which settings a command line asks for, by options of their own and by `--set`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from data_prep.errors import PathsearchError
from pathsearch.cli.use import run_plugins
from pathsearch.run.settings import EncoderSettings, GridSettings, RunSettings, with_settings

if TYPE_CHECKING:
    from data_prep.manifest import Task  # imports pandas

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


def asked(context: typer.Context, task: Task) -> RunSettings:
    """The settings that a command asks for with a prepared task: options, plug-ins and `--set`, checked together."""
    options = context.params
    settings = RunSettings(
        task=task.name,
        split=task.split_name,
        seed=options["seed"],
        encoder=EncoderSettings(image_size=max(task.info.get("image_size") or EncoderSettings.image_size, 32)),
        grid=GridSettings(plugins=run_plugins(options["plugin"])),
        grown_from=options.get("grid"),
        data=task.fingerprint,
    )
    return with_settings(settings, options["setting"] or [], given(context))


class FewerOptions(TyperCommand):
    """A command that takes only some settings by options of their own: the others are told by `--set`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option that another command has for a setting, with the words that give it here."""
        own = {word for one in self.params for word in one.opts}
        for place, word in enumerate(args):
            option, _, value = word.partition("=")
            setting = SETTINGS.get(option.removeprefix("--").replace("-", "_")) if option.startswith("--") else None
            if setting is None or option in own:
                continue
            after = "true" if setting == "search.pareto" else next(iter(args[place + 1 :]), "VALUE")
            raise PathsearchError(
                f"{option}: expected an option of {self.name}, got one of evolve; give --set {setting}={value or after}"
            )
        return super().parse_args(ctx, args)
