"""How a setting is declared: default, help, reason, bounds and option stand once, beside its name and type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")
BALANCE = ("images weigh alike", "classes do")  # the ends of how much a loss is balanced


@dataclass(frozen=True)
class Setting:
    """What a declaration says beside name, type and default; bounds do not ask None."""

    help: str  # what it is, a sentence for people
    why: str  # this default
    low: float | None = None  # the least value
    high: float | None = None  # the greatest value; of a whole number one that is more than anybody can use
    below: float | None = None  # all values are smaller
    ends: tuple[str, str] | None = None  # what low and high mean
    choices: tuple[str, ...] = ()
    unless: str = ""  # a setting of the same section that, if given, may bring other choices
    form: Callable[[str], object] | None = None  # reads a text that is no choice, and refuses it
    like: str = ""  # what `form` takes, in words
    option: str = ""  # on the command line; without one it is told by --set
    older: str = ""  # another name of that option
    otherwise: str = ""  # what stands where nobody says anything, if not the default
    apart: bool = False  # the option takes something else than the setting holds: no --set, no settings file

    def __post_init__(self) -> None:
        if not self.help.strip() or not self.why.strip():
            raise TypeError(f"a setting needs help and a reason, got help={self.help!r}, why={self.why!r}")

    @property
    def bounds(self) -> str:
        """What values it takes, in words; empty: all of its type."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.ends:
            return f"{self.low} ({self.ends[0]}) to {self.high} ({self.ends[1]})"
        if self.below is not None or self.high is not None:
            noun = "a share" if (self.low, self.high or self.below) == (0, 1) else "a number"
            end = f"{self.high}]" if self.below is None else f"{self.below})"
            return f"{noun} in [{self.low}, {end}"
        return self.like or ("" if self.low is None else f"at least {self.low}")


def setting(default: T, help: str, why: str, **more: Any) -> T:
    """A field of a settings class; `more` as in `Setting`."""
    return field(default=default, metadata={"setting": Setting(help, why, **more)})


@dataclass(frozen=True)
class Declared:
    """A setting as it was declared, with where and as what."""

    section: str  # empty: at the top of the settings
    name: str
    kind: Any  # int, float, bool, str or a tuple of texts
    optional: bool  # None is a value, too
    default: Any
    said: Setting

    @property
    def key(self) -> str:
        """Its name as `--set` takes it."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def told(self) -> str:
        """What messages call it: as its option, where that has become another word than its name."""
        return self.said.option.removeprefix("--") if self.said.older else self.name


@cache
def declared(owner: Any, section: str = "") -> tuple[Declared, ...]:
    """All settings of a class, in order.

    Raises:
        TypeError: a field of a section is not declared by `setting`; at the top there are others, as the task.
    """
    found, hints = [], get_type_hints(owner)
    for one in fields(owner):
        if "setting" in one.metadata:
            kind, optional = plain_type(hints[one.name])
            found.append(Declared(section, one.name, kind, optional, one.default, one.metadata["setting"]))
        elif section:
            raise TypeError(f"{owner.__name__}.{one.name}: no help and no reason; declare it with `setting`")
    return tuple(found)


def plain_type(hint: Any) -> tuple[Any, bool]:
    """A type without its `| None`, and whether it had one."""
    parts = [part for part in getattr(hint, "__args__", ()) if part is not type(None)]
    optional = type(None) in getattr(hint, "__args__", ())
    return (parts[0], True) if optional else (hint, False)
