"""Settings files: any of the settings as TOML, read with one line for whatever is wrong, and written as a start."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Any

from data_prep.errors import PathsearchError
from pathsearch.run.declared import Declared
from pathsearch.run.setting_checks import WANTED, check_bounds, fits
from pathsearch.run.settings import DECLARED, SECTIONS, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST = 64 * 1024  # bytes; all settings with their comments have a sixth of it
WIDEST = 2**63  # of whole numbers, as other programs know them
SHOWN = 60  # characters of what a message quotes


def read_settings(file: Path, *, plugged: bool = False) -> dict[str, Any]:
    """What a settings file says, by setting: `search.population`; a number of a setting with fractions is a float.

    Args:
        file: TOML.
        plugged: whether there are plug-ins, which may bring other choices; these are not asked here.

    Raises:
        PathsearchError: no such file, or none in TOML, a table or key that there is not, a value of another type or out
            of bounds; each names file and key. Rules over several settings are asked later, with the command line.
    """
    return dict(_setting(file, key, value, plugged) for key, value in _flat(file, _parsed(file)))


def _parsed(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            raw = stream.read(LARGEST + 1)  # /dev/zero has no end
    except OSError as error:
        raise PathsearchError(
            f"--config {file}: expected a settings file, got: {error.strerror}; `pathsearch settings` prints one"
        ) from None
    if len(raw) > LARGEST:
        raise PathsearchError(
            f"--config {file}: expected a settings file of at most {LARGEST // 1024} KiB, got a larger one; "
            "`pathsearch settings` prints one"
        )
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        what = "bytes that are no UTF-8 text"
    except RecursionError:
        what = "values too deeply nested"
    except ValueError as error:
        what = _short(" ".join(str(error).split()), 3 * SHOWN)
    raise PathsearchError(f"--config {file}: expected TOML, got: {what}; `pathsearch settings` prints a file of it")


def _flat(file: Path, values: dict[str, Any]) -> list[tuple[str, Any]]:
    """Keys with their tables, as `--set` takes them."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if name in SECTIONS and not isinstance(value, dict):
            raise PathsearchError(f"{file}: {name}: expected a table, [{name}], got {_quoted(value)}")
        if "." in name:  # a quoted key, which is not search.population without quotes
            raise PathsearchError(
                f"{file}: unknown setting {_short(repr(name))}; write it without quotes, or in the table of its section"
            )
        found += [(f"{name}.{key}", one) for key, one in value.items()] if name in SECTIONS else [(name, value)]
    return found


def _setting(file: Path, key: str, value: Any, plugged: bool) -> tuple[str, Any]:
    """A key and its value, which may be wrong in any way."""
    if key not in DECLARED:
        what = "table" if isinstance(value, dict) and "." not in key else "setting"
        raise PathsearchError(f"{file}: unknown {what} {_short(repr(key))}; {_meant(key, value)}")
    one = DECLARED[key]
    if one.said.apart:
        raise PathsearchError(f"{file}: {key}: expected an option of its own, got a setting; give {one.said.option}")
    if one.optional and value == "null":  # TOML has no word for it
        return key, None
    if not fits(value, one.kind) or (type(value) is int and abs(value) > WIDEST):
        or_null = ' or "null"' if one.optional else ""
        raise PathsearchError(f"{file}: {key}: expected {WANTED[one.kind]}{or_null}, got {_quoted(value)}")
    try:
        if not (one.said.unless and plugged):
            check_bounds(key, value, one.said)
    except PathsearchError as error:
        raise PathsearchError(f"{file}: {_short(str(error), 4 * SHOWN)}") from None
    return key, float(value) if one.kind is float else value


def _meant(key: str, value: Any) -> str:
    """The nearest table or setting; a table's name may be misspelt, or a setting stand outside its table."""
    if isinstance(value, dict) and "." not in key:
        near = difflib.get_close_matches(key, SECTIONS, n=1)
        return f"did you mean [{near[0]}]?" if near else f"tables: {', '.join(SECTIONS)}"
    return nearest(key[:SHOWN])


def _quoted(value: Any) -> str:
    """A value of TOML in a few words, however large or deep it is."""
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    if type(value) is int and abs(value) > WIDEST:
        return f"a number of {value.bit_length()} bits"
    return _short(repr(value) if isinstance(value, str) else str(value).lower())  # true, nan, 1979-05-27


def _short(text: str, length: int = SHOWN) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def settings_text() -> str:
    """A settings file with every setting at its default, what it is and why as comments."""
    lines = [
        "# All settings of `pathsearch evolve`, `train` and `compare`, at their defaults. Give this file, or the",
        "# lines of it that you change, with --config FILE; options and --set on the command line overrule it.",
    ]
    section = ""
    for one in DECLARED.values():
        if one.section != section:
            section = one.section
            lines += ["", f"[{section}]"]
        if not one.said.apart:
            lines += ["", *_lines(one)]
    return "\n".join(lines) + "\n"


def _lines(one: Declared) -> list[str]:
    """One setting: a comment on what it is, one on its default, and the default; without one, an empty comment."""
    said = one.said
    unsaid = one.default is None or said.otherwise
    default = said.otherwise or "none" if unsaid else json.dumps(one.default)
    more = [f"{said.bounds[:1].upper()}{said.bounds[1:]}."] if said.bounds else []
    more += [f"Option: {said.option}."] if said.option else []
    value = json.dumps(one.default) if one.default is not None else ""
    return [
        f"# {said.help}",
        " ".join([f"# Default {default}: {said.why}.", *more]),
        f"{'# ' if unsaid else ''}{one.name} = {value}".rstrip(),
    ]
