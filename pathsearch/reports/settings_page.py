"""The page of all settings, `docs/settings.md`, and the same as one object, from their declarations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_prep.whole_files import write_text
from pathsearch.experts.markdown import escaped, table
from pathsearch.run.declared import Declared
from pathsearch.run.setting_checks import WANTED
from pathsearch.run.settings import DECLARED, SECTIONS, WITH_OPTIONS

HEAD = """<!-- written by `pathsearch settings --page`; change the declarations in pathsearch/run, not this page -->

# Settings

Everything that decides the outcome of `pathsearch evolve` and `pathsearch compare`, with its default and the reason for
it. A setting with an option is given by that, any other by `--set section.setting=VALUE`, and all of them in a file by
`--config FILE.toml`, which `pathsearch settings` prints to start from. Options and `--set` overrule the file, the file
overrules the defaults. `compare` has the options of {compare} only. What was resolved stands in the run's
`config.json`. This page is written by `make settings`.
"""
COLUMNS = ["setting", "option", "default", "takes", "what it is", "why this default"]


def settings_page() -> str:
    """The page as Markdown: the same declarations, the same text."""
    parts = [HEAD.format(compare=" and ".join(WITH_OPTIONS["compare"]))]
    for section in ("", *SECTIONS):
        rows = [_row(one) for one in DECLARED.values() if one.section == section]
        parts.append(f"## {section or 'At the top'}\n\n{_about(section)}{table(COLUMNS, rows)}\n")
    return "\n".join(parts)


def write_page(file: Path) -> None:
    """Write the page, whole."""
    write_text(file, settings_page())


def settings_table() -> dict[str, dict[str, Any]]:
    """Every setting by its key, in plain values."""
    return {
        one.key: {
            "type": {int: "int", float: "float", bool: "bool", str: "str"}.get(one.kind, "list"),
            "null": one.optional,
            "default": one.default,
            "help": one.said.help,
            "why": one.said.why,
            "bounds": one.said.bounds or None,
            "choices": list(one.said.choices) or None,
            "option": one.said.option or None,
            "commands": [name for name, own in WITH_OPTIONS.items() if one.said.option and one.section in ("", *own)],
        }
        for one in DECLARED.values()
    }


def _about(section: str) -> str:
    words = (SECTIONS[section].__doc__ or "") if section else ""
    return f"{words.strip()}\n\n" if words else ""


def _row(one: Declared) -> list[str]:
    said = one.said
    default = "none" if one.default in (None, ()) else f"`{json.dumps(one.default)}`"
    options = " or ".join(f"`{name}`" for name in (said.option, said.older) if name)
    takes = said.bounds or WANTED.get(one.kind, "files")
    takes = f"{takes}, or null" if one.optional else takes
    words = [escaped(text) for text in (takes, said.help, said.why)]
    return [f"`{one.key}`", options or "`--set`", said.otherwise or default, *words]
