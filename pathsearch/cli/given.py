"""Options made from the declarations of settings, and the settings that a command line asks for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from data_prep.errors import PathsearchError
from pathsearch.cli.prepare import Plugins, run_plugins
from pathsearch.run.declared import Declared
from pathsearch.run.settings import (
    DECLARED,
    WITH_OPTIONS,
    EncoderSettings,
    GridSettings,
    RunSettings,
    with_settings,
)
from pathsearch.run.settings_file import read_settings

if TYPE_CHECKING:
    from data_prep.manifest import Task  # imports pandas
    from pathsearch.grid.presets import Preset  # imports torch

Command = Callable[..., None]
OPTIONS = {one.said.option: one for one in DECLARED.values() if one.said.option and not one.said.apart}
NAMES = {name: one for one in OPTIONS.values() for name in (one.said.option, one.said.older) if name}
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A TOML file with any settings, as pathsearch settings prints it; options and --set overrule it.",
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting, as training.epochs=20; pathsearch settings lists them all."),
]


def takes_settings(command: Command) -> Command:
    """The command with all that says its settings: their own options, and those that take any of them.

    Typer reads a command's options from its signature, so this one gets parameters for them; the command itself reads
    what was given by `asked`.
    """
    own = inspect.signature(command, eval_str=True).parameters
    sections = WITH_OPTIONS[command.__name__]
    made = {
        "config": _parameter("config", Config, None),
        "setting": _parameter("setting", Assignments, None),
        "plugin": _parameter("plugin", Plugins, None),
        **{_word(one): _option(one) for one in OPTIONS.values() if not one.section or one.section in sections},
    }

    @functools.wraps(command)
    def called(**values: Any) -> None:
        command(**{name: values[name] for name in own})

    parameters = [*own.values(), *(one for name, one in made.items() if name not in own)]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called


def _option(one: Declared) -> inspect.Parameter:
    """A setting's option: its type, default and help as declared."""
    said, names = one.said, [one.said.option, *filter(None, [one.said.older])]
    default = None if said.otherwise else one.default
    option = typer.Option(
        *(f"{name}/--no-{name.removeprefix('--')}" if one.kind is bool else name for name in names),
        help=f"{said.help.removesuffix('.')}; {said.otherwise} by default." if said.otherwise else said.help,
        rich_help_panel=one.section.capitalize() or None,
    )
    return _parameter(_word(one), Annotated[one.kind | None if default is None else one.kind, option], default)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _word(one: Declared) -> str:
    """The option of a setting as a name in Python."""
    return one.said.option.removeprefix("--").replace("-", "_")


def given(context: typer.Context) -> dict[str, tuple[str, Any]]:
    """By setting, the option that the user gave for it and its value; what stands at its default is left out."""
    return {
        one.key: (option, context.params[_word(one)])
        for option, one in OPTIONS.items()
        if (source := context.get_parameter_source(_word(one))) is not None and source.name == "COMMANDLINE"
    }


def asked(context: typer.Context, task: Task, path: str = "", preset: Preset | None = None) -> RunSettings:
    """The settings that a command asks for with a prepared task: file, options, plug-ins, `--set`, checked together.

    Args:
        context: of the command.
        task: prepared.
        path: that is trained without a search, if any.
        preset: what it brings of settings, which all others overrule.
    """
    options, said = context.params, given(context)
    file = read_settings(options["config"], plugged=bool(options["plugin"])) if options["config"] else {}
    plugins = run_plugins(options["plugin"])
    if plugins and "grid.modules" in file:
        from pathsearch.grid.vocabulary import check_vocabulary  # imports torch, as the plug-ins did

        check_vocabulary(file["grid.modules"], f"{options['config']}: grid.modules")
    settings = RunSettings(
        task=task.name,
        split=task.split_name,
        encoder=EncoderSettings(image_size=max(task.info.get("image_size") or EncoderSettings.image_size, 32)),
        grid=GridSettings(plugins=plugins),
        grown_from=options.get("grid"),
        data=task.fingerprint,
    )
    if preset is not None:
        said.pop("grid.modules", None)  # it names the preset
        settings = with_settings(settings, [], None, {**preset.settings, "grid.modules": preset.blueprint})
    return with_settings(replace(settings, path=path), options["setting"] or [], said, file)


class GivenOnce(TyperCommand):
    """A command whose settings take one value each, by whichever of their names: the last would win unseen."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option that is given twice, with two values."""
        before: dict[str, tuple[str, str]] = {}
        for place, word in enumerate(args):
            option, _, value = word.partition("=")
            if option not in NAMES or NAMES[option].kind is bool:
                continue
            value = value or next(iter(args[place + 1 :]), "")
            other, old = before.setdefault(NAMES[option].key, (option, value))
            if old != value:
                raise PathsearchError(f"{option} {value}: {other} {old} is given too; leave out one of them")
        return super().parse_args(ctx, args)


class FewerOptions(GivenOnce):
    """A command that takes only some settings by options of their own: the others are told by `--set`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an option that another command has for a setting, with the words that give it here."""
        own = {word for one in self.params for word in one.opts}
        for place, word in enumerate(args):
            option, _, value = word.partition("=")
            if option not in NAMES or option in own:
                continue
            after = "true" if NAMES[option].kind is bool else next(iter(args[place + 1 :]), "VALUE")
            raise PathsearchError(
                f"{option}: expected an option of {self.name}, got one of evolve; "
                f"give --set {NAMES[option].key}={value or after}"
            )
        return super().parse_args(ctx, args)
