"""How long work tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Teller(Protocol):
    """Hears of stages and steps; the command line puts progress bars behind it."""

    def stage(self, name: str, total: int) -> None:
        """A stage of so many steps begins; 0 if their number is not known yet."""

    def advance(self, done: int, note: str = "") -> None:
        """So many steps of the stage are done."""

    def count(self, done: int, total: int) -> None:
        """So many steps of so many are done."""

    def note(self, text: str) -> None:
        """Where the present step is, if that is long; worth telling now and then."""


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: int) -> None:
        """Do nothing."""

    def advance(self, done: int, note: str = "") -> None:
        """Do nothing."""

    def count(self, done: int, total: int) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""
