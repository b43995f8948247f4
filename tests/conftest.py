"""What several test files share: planted features, a tiny grid, and an evaluator whose fitness is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from torch import Tensor

from pathsearch.encoders.split import Split, Standardiser
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.run.settings import GridSettings
from pathsearch.targets.target import Fitness
from pathsearch.training.fitness import Progress

SHAPE = (8, 2, 2)  # of the planted feature maps: channels, height, width

hypothesis.settings.register_profile("pathsearch", deadline=None)  # a busy machine is not a failure
hypothesis.settings.load_profile("pathsearch")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tiny tensors gain nothing from threads, and experiments may run beside the tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_splits() -> Callable[..., tuple[Split, Split]]:
    """Training and validation features of a planted task, in memory.

    `linear`: each class has its own mean, `noise` blurs it. `xor`: two classes that no linear map of the
    features tells apart. The images stand in one array in mixed order, as those of a real task do.
    """

    def make(
        n_train: int = 240,
        n_val: int = 90,
        n_classes: int = 3,
        kind: str = "linear",
        noise: float = 1.0,
        seed: int = 0,
        n_views: int = 1,
    ) -> tuple[Split, Split]:
        rng = np.random.default_rng(seed)
        n = n_train + n_val
        labels = np.arange(n) % n_classes
        if kind == "linear":
            means = rng.normal(size=(n_classes, *SHAPE))[labels]
        else:
            sign = rng.choice([-1.0, 1.0], size=n)
            means = np.zeros((n, *SHAPE))
            means[:, 0] = 1.5 * sign[:, None, None]
            means[:, 1] = 1.5 * (sign * (2 * labels - 1))[:, None, None]
        maps = (means + noise * rng.normal(size=(n, *SHAPE))).astype(np.float16)
        order = rng.permutation(n)
        place = np.argsort(order)  # where image i stands in the shuffled array
        jitter = 0.1 * rng.normal(size=(n_views - 1, n_train, *SHAPE))
        views = (maps[order], *(maps[:n_train] + jitter).astype(np.float16))
        standardise = Standardiser.fit(views[0], place[:n_train])
        rows = (place[:n_train], *[np.arange(n_train)] * (n_views - 1))
        train = Split("train", torch.from_numpy(labels[:n_train]), views, rows, standardise)
        val = Split("val", torch.from_numpy(labels[n_train:]), views[:1], (place[n_train:],), standardise)
        return train, val

    return make


@pytest.fixture(scope="session")
def make_grid() -> Callable[..., Grid]:
    """A small grid over planted features, with a head for the task `planted`."""

    def make(seed: int = 0, n_classes: int = 3, **options: object) -> Grid:
        chosen = {"n_layers": 2, "n_modules": 4, "max_active": 2, "width": 8} | options
        grid = Grid(SHAPE, GridSettings(**chosen), seed)  # type: ignore[arg-type]
        grid.add_head("planted", "linear", (n_classes,))
        return grid

    return make


class Planted:
    """An evaluator whose fitness is a given function of the path and of the generation trained last."""

    def __init__(self, worth: Callable[[Path, int], Fitness]) -> None:
        self.worth, self.generation = worth, 0
        self.trained: list[tuple[int, list[Path]]] = []
        self.scored: list[tuple[int, list[Path]]] = []

    def train(self, paths: Sequence[Path], generation: int) -> Progress:
        self.generation = generation
        self.trained.append((generation, list(paths)))
        return Progress(1 / (generation + 2), 0.5)

    def score(self, paths: Sequence[Path]) -> list[Fitness]:
        self.scored.append((self.generation, list(paths)))
        return [self.worth(path, self.generation) for path in paths]

    def state(self) -> dict[str, Tensor]:
        return {"generation": torch.tensor(self.generation)}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        self.generation = int(tensors["generation"])


@pytest.fixture(scope="session")
def planted() -> type[Planted]:
    return Planted


@pytest.fixture(scope="session")
def compared() -> tuple[Any, dict[str, Any]]:
    """A finished comparison of the small world, one for all test files."""
    import comparisons  # the small world takes a second to import; most test files do without

    return comparisons.compared()
