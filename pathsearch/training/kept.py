"""What an interrupted run goes on from: the last generation of its search, and every training that it finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.grid.grid import PathNetwork
from pathsearch.run.runs import GENERATION, TRAININGS
from pathsearch.run.sealed import load_sealed, save_sealed
from pathsearch.run.tensor_file import below
from pathsearch.training.halfway import HalfwayFile
from pathsearch.training.last_training import Trained

AGAIN = "start the run again with --overwrite"


class Kept:
    """The files in a run's `checkpoint/`, each whole, under a digest of its own, and of one owner.

    The generation stays when the run is finished; trainings, which it needs no longer, do not.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        """Of a folder; `owner` is a digest of everything that decides what the files hold."""
        self.folder, self.owner = folder, owner
        self.generation_file = folder / GENERATION

    def save_generation(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Keep where the search stands; the generation before is replaced."""
        save_sealed(self.generation_file, self.owner, state, tensors)

    def generation(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Where the search stood, or None if it never ended a generation."""
        if not self.generation_file.exists():
            return None
        return load_sealed(self.generation_file, self.owner, AGAIN)

    def halfway(self, number: int, what: str) -> HalfwayFile:
        """Where one of the run's trainings leaves where it stands until it is finished."""
        return HalfwayFile(self._file(f"{number:02d}-halfway"), self.owner, what, f"delete that file, or {AGAIN}")

    def _file(self, name: str) -> Path:
        return self.folder / TRAININGS.replace("*", name)

    def training(
        self, number: int, what: str, untrained: Callable[[], PathNetwork], make: Callable[[], Trained]
    ) -> Trained:
        """One training, see `trainings`."""
        return self.trainings(number, what, lambda: [untrained()], lambda: [make()])[0]

    def trainings(
        self,
        number: int,
        what: str,
        untrained: Callable[[], Sequence[PathNetwork]],
        make: Callable[[], Sequence[Trained]],
    ) -> list[Trained]:
        """Networks whose training was finished before, read back bit for bit, or else made now and kept.

        Args:
            number: of the training among those of the run.
            what: is trained; the file must say the same.
            untrained: networks for the kept weights.
            make: trains them, together if they are several.
        """
        file = self._file(f"{number:02d}")
        if not file.exists():
            made = list(make())
            tensors = {name: tensor for place, one in enumerate(made) for name, tensor in _tensors(place, one).items()}
            save_sealed(file, self.owner, {"what": what, "each": list(map(_facts, made))}, tensors)
            self.halfway(number, what).file.unlink(missing_ok=True)
            return made
        facts, tensors = load_sealed(file, self.owner, f"delete that file, or {AGAIN}")
        if facts["what"] != what:
            raise PathsearchError(
                f"checkpoint {file}: expected the training of {what}, got {facts['what']}; delete that file, or {AGAIN}"
            )
        kept = []
        for place, (network, own) in enumerate(zip(untrained(), facts["each"], strict=True)):
            network.load_state_dict(below(f"{place}.network.", tensors))
            network.eval()
            kept.append(Trained(network=network, said=below(f"{place}.said.", tensors), **own))
        return kept


def _facts(trained: Trained) -> dict[str, Any]:
    """Plain values of a training."""
    plain = [one.name for one in fields(trained) if one.name not in ("network", "said")]
    return {name: getattr(trained, name) for name in plain}


def _tensors(place: int, trained: Trained) -> dict[str, Tensor]:
    """Its tensors; those that networks have in common are in the file once for each."""
    weights = {f"{place}.network.{name}": tensor for name, tensor in trained.network.state_dict().items()}
    return weights | {f"{place}.said.{name}": tensor for name, tensor in trained.said.items()}
