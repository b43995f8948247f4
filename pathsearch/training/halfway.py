"""Where a long training stands, kept every so often, so that a kill costs half a minute and not all of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from pathsearch.run.sealed import load_sealed, save_sealed

EVERY = 30.0  # seconds: a save takes some tenths of one


class Halfway(Protocol):
    """Where trainings leave where they stand."""

    def load(self, phase: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Where this phase of a training stood, or None if it never said so."""

    def due(self) -> bool:
        """Whether it is time to save."""

    def save(self, phase: str, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Keep where it stands."""


class Nowhere:
    """Keeps nothing: what trains for seconds begins anew."""

    def load(self, phase: str) -> None:
        """Nothing."""

    def due(self) -> bool:
        """Never."""
        return False

    def save(self, phase: str, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Do nothing."""


@dataclass
class HalfwayFile:
    """One file for one training, of one owner; each save replaces the one before."""

    file: Path
    owner: str
    what: str  # is trained
    remedy: str
    last: float = field(default_factory=time.monotonic)

    def load(self, phase: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Where this phase stood.

        Raises:
            PathsearchError: the file is damaged, or of other settings.
        """
        if not self.file.exists():
            return None
        facts, tensors = load_sealed(self.file, self.owner, self.remedy)
        return (facts["facts"], tensors) if [facts["what"], facts["phase"]] == [self.what, phase] else None

    def due(self) -> bool:
        """Whether the last save is long ago."""
        return time.monotonic() - self.last >= EVERY

    def save(self, phase: str, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Keep where it stands, whole."""
        save_sealed(self.file, self.owner, {"what": self.what, "phase": phase, "facts": facts}, tensors)
        self.last = time.monotonic()
