"""The directory of a comparison: settings before work starts, one whole file a part, report and digests at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.encoders.encoder import Encoder
from pathsearch.run.runs import digests_due, saved_report
from pathsearch.run.sealed import load_sealed, save_sealed
from pathsearch.run.settings import RunSettings
from pathsearch.run.sums import SUMS
from pathsearch.search.arena import Entry
from pathsearch.search.rivals import METHODS

NEEDED = ("evolved", "linear_probe")  # the question, and the floor of the fronts
MOST = 1000  # seeds; more than anybody can wait for
SAVED = ("config.json", "env.json", "report.json")  # what the digests of a finished comparison are of


@dataclass(frozen=True)
class Comparison:
    """The directory of a comparison: settings before work starts, one whole file a part, the report at the end."""

    folder: FilePath
    without: tuple[str, ...] = ()  # controls that are left out

    @classmethod
    def of(
        cls, runs_dir: FilePath, settings: RunSettings, seeds: int, encoder: Encoder, without: Sequence[str] = ()
    ) -> Comparison:
        """The directory of exactly these settings and methods: the same command finds its finished parts again.

        Raises:
            PathsearchError: no such number of seeds, or something left out that is no control or that all others need.
        """
        if not 1 <= seeds <= MOST:
            raise PathsearchError(f"--seeds: expected 1 to {MOST}, got {seeds}; five or more allow a test")
        for method in without:
            if method not in METHODS or method in NEEDED:
                can_go = ", ".join(one for one in METHODS if one not in NEEDED)
                raise PathsearchError(f"--without: expected one of {can_go}, got {method!r}")
        left_out = tuple(method for method in METHODS if method in without)
        about = json.dumps([settings.to_dict(), seeds, encoder.key, *filter(None, [left_out])], sort_keys=True)
        digest = hashlib.sha256(about.encode()).hexdigest()[:8]
        return cls(runs_dir / f"compare-{settings.task}-{settings.split}-{seeds}seeds-{digest}", left_out)

    @property
    def methods(self) -> list[str]:
        """Those that take part, in the report's order."""
        return [method for method in METHODS if method not in self.without]

    @property
    def report_file(self) -> FilePath:
        """Written last."""
        return self.folder / "report.json"

    def part(self, seed: int, method: str) -> FilePath:
        """The file of one method at one seed."""
        return self.folder / "parts" / f"s{seed}-{method}.safetensors"

    @contextmanager
    def claim(self, name: str, wait: bool) -> Iterator[bool]:
        """Hold what only one process may make; False if another holds it. A killed process lets go of its claims.

        Args:
            name: of what is made.
            wait: until the other process has made it, or was killed.
        """
        (self.folder / "parts").mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(self.folder / "parts" / f"{name}.lock").acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        with held:
            yield True

    @property
    def finished(self) -> bool:
        """Whether report and digests are there; one of an earlier version has a report only."""
        sealed = (self.folder / SUMS).is_file()
        return self.report_file.is_file() and (sealed or not digests_due(self.report_file))

    def save(self, entry: Entry) -> None:
        """Write a finished part, whole."""
        file = self.part(entry.facts["seed"], entry.facts["method"])
        tensors = {name: own.contiguous() for name, own in entry.said.items()}
        tensors |= {f"network.{k}": v for k, v in entry.weights.items()}
        tensors |= {f"front.{i}.{k}": v for i, weights in entry.front.items() for k, v in weights.items()}
        save_sealed(file, file.stem, entry.facts, tensors)

    def load(self, seed: int, method: str) -> Entry | None:
        """A finished part, or None if it is not there.

        Raises:
            PathsearchError: the file is damaged, that of another method or seed, or of an earlier version.
        """
        file = self.part(seed, method)
        if not file.exists():
            return None
        facts, tensors = load_sealed(file, file.stem, "remove it to make it again", "part")
        said = {name: own for name, own in tensors.items() if not name.startswith(("network.", "front."))}

        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): own for name, own in tensors.items() if name.startswith(prefix)}

        return Entry(facts, said, under("network."), {i: under(f"front.{i}.") for i in facts.get("front", [])})


def read(folder: FilePath) -> dict[str, Any]:
    """The report of a finished comparison, verified; one of an earlier version has no digests.

    Raises:
        PathsearchError: a file is missing, damaged or changed; names it.
    """
    remedy = "put a copy back, or remove report.json and give the same command again, which keeps all parts"
    return saved_report(folder, SAVED, remedy)
