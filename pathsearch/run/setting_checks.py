"""What a settings class refuses: each check names the setting, what it expects and what it got, in one line."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, get_origin, get_type_hints

from data_prep.errors import PathsearchError

WANTED = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}


def check_types(owner: Any) -> None:
    """Every number, truth value and text of a settings object is one, and no number is NaN or infinite."""
    hints = get_type_hints(type(owner))
    for one in fields(owner):
        kind, optional = plain_type(hints[one.name])
        value = getattr(owner, one.name)
        if kind in WANTED and not (optional and value is None) and not fits(value, kind):
            or_null = " or null" if optional else ""
            raise PathsearchError(f"{one.name}: expected {WANTED[kind]}{or_null}, got {value!r}")


def plain_type(hint: Any) -> tuple[Any, bool]:
    """A type without its `| None`, and whether it had one."""
    parts = [part for part in getattr(hint, "__args__", ()) if part is not type(None)]
    optional = type(None) in getattr(hint, "__args__", ())
    return (parts[0], True) if optional else (hint, False)


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind; a whole number is a float too, a truth value is no number."""
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is (get_origin(kind) or kind)


def at_least(owner: object, low: float, *names: str) -> None:
    """Numbers that have a least value; None passes."""
    for name in names:
        value = getattr(owner, name)
        if value is not None and value < low:
            raise PathsearchError(f"{name}: expected at least {low}, got {value}; choose a larger number")


def share(owner: object, *names: str) -> None:
    """Numbers of at least 0 and below 1."""
    for name in names:
        if not 0 <= getattr(owner, name) < 1:
            raise PathsearchError(f"{name}: expected a share in [0, 1), got {getattr(owner, name)}")


def whole_share(owner: object, *names: str) -> None:
    """Numbers from 0 to 1; None passes."""
    for name in names:
        value = getattr(owner, name)
        if value is not None and not 0 <= value <= 1:
            raise PathsearchError(f"{name}: expected a share in [0, 1], got {value}")


def strength(value: float) -> None:
    """How much classes of different size are balanced."""
    if not 0 <= value <= 1:
        raise PathsearchError(f"balance_strength: expected 0 (images weigh alike) to 1 (classes do), got {value}")


def one_of(owner: object, name: str, *choices: str) -> None:
    """A text among a few."""
    if getattr(owner, name) not in choices:
        raise PathsearchError(f"{name}: expected one of {', '.join(choices)}; got {getattr(owner, name)!r}")
