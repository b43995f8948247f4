"""What a settings class refuses: each check names the setting, what it expects and what it got, in one line."""

from __future__ import annotations

import difflib
import sys
from dataclasses import fields
from typing import Any, get_origin, get_type_hints

from data_prep.errors import PathsearchError
from pathsearch.run.declared import Setting, declared, plain_type

WANTED = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}


def check_settings(owner: Any) -> None:
    """Everything in a settings object is of its type and, where it was declared, within its bounds."""
    cls: Any = type(owner)
    hints = get_type_hints(cls)
    for one in fields(owner):
        kind, optional = plain_type(hints[one.name])
        value = getattr(owner, one.name)
        if kind in WANTED and not (optional and value is None) and not fits(value, kind):
            or_null = " or null" if optional else ""
            raise PathsearchError(f"{one.name}: expected {WANTED[kind]}{or_null}, got {value!r}")
    for setting in declared(cls):
        if not (setting.said.unless and getattr(owner, setting.said.unless)):
            check_bounds(setting.told, getattr(owner, setting.name), setting.said)


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind; a whole number is a float too, a truth value is no number."""
    if kind is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max  # neither NaN nor infinite
    return type(value) is (get_origin(kind) or kind)


def check_bounds(name: str, value: Any, said: Setting) -> None:
    """A value of the right type is one that the setting takes; None passes."""
    if value is None:
        return
    if said.form:
        said.form(value)
    if said.choices and value not in said.choices:
        near = difflib.get_close_matches(value, said.choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        hint += "; one of your own needs --plugin FILE" if said.unless else ""
        raise PathsearchError(f"{name}: expected {said.bounds}; got {value!r}{hint}")
    low = said.low is not None and value < said.low
    if low or (said.high is not None and value > said.high) or (said.below is not None and value >= said.below):
        raise PathsearchError(
            f"{name}: expected {said.bounds}, got {value}; choose a {'larger' if low else 'smaller'} number"
        )
