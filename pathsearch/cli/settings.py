"""`pathsearch settings`: every setting with its help, reason and bounds, as a file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pathsearch.cli.prepare import Json
from pathsearch.cli.terminal import Terminal

settings_app = typer.Typer()  # its command stands among the others, see main.py


@settings_app.command()
def settings(
    page: Annotated[
        Path | None, typer.Option(help="Write the page of all settings, docs/settings.md, instead of the file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print all settings at their defaults, in TOML, with what each is, why and in which bounds.

    pathsearch settings > my.toml is a start for evolve --config my.toml.
    """
    from pathsearch.reports.settings_page import settings_table, write_page
    from pathsearch.run.settings_file import settings_text

    terminal = Terminal(as_json)
    if page:
        write_page(page)
        terminal.say(f"page      {page}")
    elif not as_json:
        print(settings_text(), end="")
    terminal.emit(settings_table())
