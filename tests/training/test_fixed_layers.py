"""Fixed layers that come first run once for each image and view, and the training is the one that it would be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest
import torch
from small_world import refused
from test_halfway import Cut, at, cut_after, same

from pathsearch.encoders.noise import Noise
from pathsearch.encoders.split import Split, Standardiser
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import PROBE, Path
from pathsearch.run.settings import GridSettings, RunSettings, TrainingSettings
from pathsearch.run.teller import Silent
from pathsearch.targets.target import make_target
from pathsearch.training import fixed_layers
from pathsearch.training.baselines import network_of, train_path
from pathsearch.training.bench import Bench
from pathsearch.training.fixed_layers import shortened
from pathsearch.training.last_training import Trained

FULL = FilePath("/dev/full")
N, M, SIDE = 12, 5, 16  # images for training and validation, and their pixels a side
LAST = TrainingSettings(epochs=3, patience=3, batch_size=4, dropout=0.0, average=0.5, weight_decay=0.1, refit=False)
TRUTH = {
    "class": lambda rng, n: torch.from_numpy(np.arange(n) % 2),
    "mask": lambda rng, n: torch.from_numpy(rng.integers(0, 2, (n, SIDE, SIDE), dtype=np.uint8)),
    "box": lambda rng, n: torch.tensor([[0.1, 0.2, 0.6, 0.9]]).repeat(n, 1) + 0.01 * torch.arange(n)[:, None],
    "image": lambda rng, n: torch.from_numpy(rng.integers(0, 256, (n, 1, SIDE, SIDE), dtype=np.uint8)),
}


def bench(kind: str = "mask", blueprint: str = "ums-rep", n_views: int = 1, **last: Any) -> Bench:
    """Of random pixels; the second view of the first image is missing."""
    rng = np.random.default_rng(0)
    views = tuple(rng.integers(0, 256, (N + M, 3, SIDE, SIDE), dtype=np.uint8) for _ in range(n_views))
    order = rng.permutation(N + M)
    standardise = Standardiser.fit(views[0], order[:N])
    rows = [order[:N], *(np.arange(N) for _ in views[1:])]
    if n_views > 1:
        rows[1] = np.array([-1, *range(1, N)])
    truth, *warped = (TRUTH[kind](rng, N) for _ in views)
    training = Split("train", truth, views, tuple(rows), standardise, warped=tuple(warped))
    validation = Split("val", TRUTH[kind](rng, M), views[:1], (order[N:],), standardise)
    settings = RunSettings(
        "planted",
        "random",
        grid=GridSettings(modules=blueprint, n_modules=2, max_active=2),
        training=replace(LAST, **last),
    )
    names = ["a", "b"] if kind in ("class", "mask") else []
    shape = (3, SIDE, SIDE)
    return Bench(settings, make_target(kind, names), shape, training, validation, places={"pixels": shape})


def begun(of: Bench, *fixed: str) -> Grid:
    """Its grid, of which the first modules of layers whose names begin so are fixed."""
    grid = of.grid()
    for number, layer in enumerate(grid.blueprint.layers):
        if layer.name.startswith(fixed or ("down",)):
            grid.module(number, 0).requires_grad_(False)
    return grid


def path_of(grid: Grid) -> Path:
    return Path.of([[0]] * len(grid.layers))


def go(of: Bench, *fixed: str) -> Trained:
    grid = begun(of, *fixed)
    return train_path(of, grid, path_of(grid))


def close(one: Trained, other: Trained) -> None:
    weights, others = one.network.state_dict(), other.network.state_dict()
    assert list(weights) == list(others)
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, others[name], rtol=2e-3, atol=2e-5, msg=name)
    for row, beside in zip(one.history, other.history, strict=True):
        assert row == pytest.approx(beside, rel=1e-3)
    assert one.best_epoch == other.best_epoch


# --- the same training ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blueprint", ["ums-rep", "unet"])
@pytest.mark.parametrize("kind", list(TRUTH))
def test_it_is_the_training_that_it_would_be(kind, blueprint, tmp_path):
    of = bench(kind, blueprint, n_views=3, refit=True)
    whole, short = go(of), go(replace(of, scratch=tmp_path))
    close(whole, short)
    assert not short.network.training
    assert not list(tmp_path.iterdir())


def test_another_training_is_seen():
    with pytest.raises(AssertionError):
        close(go(bench()), go(bench(n_views=2)))


def test_fixed_layers_stay_what_they_were(tmp_path):
    of = bench()
    trained, grid = go(replace(of, scratch=tmp_path)), begun(of)
    for number in range(4):
        before, after = (one.state_dict() for one in (grid.module(number, 0), trained.network.modules_of(number)[0]))
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(trained.network.modules_of(4)[0][0].weight, grid.module(4, 0)[0].weight)


@pytest.mark.parametrize("n_views", [1, 2])
def test_each_image_and_view_goes_through_them_once(tmp_path, n_views):
    of = replace(bench(n_views=n_views), scratch=tmp_path)
    grid, seen = begun(of), []
    grid.module(0, 0).register_forward_hook(lambda module, read, out: seen.append(len(out)))
    train_path(of, grid, path_of(grid))
    assert sum(seen) == N * n_views + M
    train_path(of.trained_by(replace(of.last, refit=True)), grid, path_of(grid))
    assert sum(seen) == 3 * (N * n_views + M)


def test_what_comes_first_is_what_reads_nothing_that_learns(tmp_path):
    of = replace(bench("class", "unet"), scratch=tmp_path)
    for fixed, left in ((("down0", "down2"), 5), (("down0", "down1"), 4), (("down", "pooled"), 0)):
        grid = begun(of, *fixed)
        with shortened(of, grid.network(path_of(grid), "planted")) as (_, rest):
            assert len(rest.layers) == left
        close(go(replace(of, scratch=None), *fixed), go(of, *fixed))


def test_what_is_cut_off_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    of = replace(bench(n_views=2, refit=True), scratch=tmp_path / "scratch")
    whole = go(of)
    for epochs in (1, 4):
        kept = replace(of, halfway=at(tmp_path))
        with monkeypatch.context() as patch:
            cut_after(patch, epochs)
            with pytest.raises(Cut):
                go(kept)
        assert same(go(replace(kept, halfway=at(tmp_path))), whole)
        at(tmp_path).file.unlink()


# --- where it does not go ---------------------------------------------------------------------------------------------


class Heard(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def left_as_it_is(of: Bench, path: Path | None = None, *fixed: str) -> bool:
    grid = begun(of, *fixed)
    network = network_of(of, grid, path or path_of(grid))
    with shortened(of, network) as (own, rest):
        return own is of and rest is network


def test_nothing_is_kept_where_epochs_differ_or_nothing_is_fixed(tmp_path):
    of = replace(bench(), scratch=tmp_path)
    assert not left_as_it_is(of)
    assert left_as_it_is(replace(of, scratch=None))
    assert left_as_it_is(of.trained_by(replace(of.last, dropout=0.1)))
    assert left_as_it_is(replace(of, training=replace(of.training, noise=Noise.of("gaussian:0.1"))))
    assert left_as_it_is(of, None, "up")
    assert left_as_it_is(of, PROBE)


def test_too_much_is_not_kept_and_said(tmp_path, monkeypatch):
    of, heard = replace(bench(n_views=2), scratch=tmp_path), Heard()
    taken = (2 * N + M) * 256 * 4  # of 256 channels at one position
    monkeypatch.setattr(fixed_layers, "MOST_BYTES", taken)
    assert not left_as_it_is(of)
    monkeypatch.setattr(fixed_layers, "MOST_BYTES", taken - 1)
    assert left_as_it_is(replace(of, tell=heard))
    assert heard.notes == [f"fixed layers run in every epoch: to keep what they put out takes {taken:,} bytes"]


@pytest.mark.skipif(not FULL.exists(), reason=f"this system has no {FULL}")
def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(fixed_layers, "TemporaryFile", lambda **how: FULL.open("wb", buffering=0))
    with refused("fixed layers: expected to be written, got No space left on device; free some space"):
        go(replace(bench(), scratch=tmp_path))
