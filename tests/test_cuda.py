"""On a GPU: every step of a run and of its answers keeps its tensors together, on a device that is pretended."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pretended_cuda import pretended_cuda
from small_world import CPU, ENCODER, SIZE, evolve, finished, log_rows, noise, settings

from pathsearch.encoders.encoder import Encoder
from pathsearch.experts.explain import heat_map
from pathsearch.experts.model import Model
from pathsearch.grid.copies import Copies
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path

# one of the mixed vocabulary's ten kinds has no parameter, which tells no device
SMALL = {"n_modules": 10, "generations": 2, "population": 4, "steps": 2, "warmup": 1, "epochs": 2, "finalists": 1}
SMALL |= {"random_paths": 1, "dropout": 0.1}
WAYS = {
    "shared": {"average": 0.7, "snapshots": 2, "balance": True},
    "fresh": {"weights": "fresh", "recipes": True},
    "fresh in folds": {"weights": "fresh", "folds": 2, "fitness": "auc"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_run_keeps_its_tensors_together(tmp_path, way):
    chosen = settings("blobs", **(SMALL | WAYS[way]))
    here, _ = evolve(tmp_path / "cpu", chosen)
    with pretended_cuda() as cuda:
        there, report = evolve(tmp_path / "cuda", chosen, device=cuda)
    assert log_rows(there) == log_rows(here), "and gives what the CPU gives"
    assert report["test"] == here.report()["test"]


def test_answers_and_heat_maps_are_those_of_the_cpu():
    runs, images = [finished(name) for name in ("stripes", "blobs")], noise(5, SIZE)
    here = Model.of(runs, CPU)
    with pretended_cuda() as cuda:
        there = Model.of(runs, cuda)
        assert there.encoder.trunk.network.state_dict().popitem()[1].device == cuda
        answers, heat = there.answer(images, range(5)), heat_map(there, images[0], "blobs", "small")
    assert answers == here.answer(images, range(5))
    torch.testing.assert_close(heat, heat_map(here, images[0], "blobs", "small"))


def test_features_are_those_of_the_cpu():
    with pretended_cuda() as cuda:
        there = Encoder(dataclasses.replace(ENCODER, taps=2), cuda)
        maps = there(noise(3, SIZE))
    assert torch.equal(maps, Encoder(dataclasses.replace(ENCODER, taps=2))(noise(3, SIZE)))
    assert there.weights_sha256 == Encoder(dataclasses.replace(ENCODER, taps=2)).weights_sha256


# --- the pretence itself ----------------------------------------------------------------------------------------------


def test_what_cuda_refuses_is_refused():
    cpu = torch.ones(3)
    with pretended_cuda() as cuda:
        x = torch.ones(3, device=cuda)
        for mixed in (
            lambda: x + cpu,
            lambda: x.index_select(0, torch.tensor([1])),
            lambda: torch.stack([x, cpu]),
            lambda: torch.nn.functional.linear(x[None], cpu[None]),
        ):
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        with pytest.raises((RuntimeError, TypeError)):
            x.numpy()
        assert (x + torch.tensor(2.0)).tolist() == [3, 3, 3], "a number may be anywhere"
        assert x[torch.tensor([1])].tolist() == [1], "and so may an index in brackets"
        assert x.cpu().numpy().tolist() == [1, 1, 1]
        assert torch.zeros(2, device=cuda).device == torch.tensor([2], device=cuda).device == cuda


def test_owners_left_on_the_cpu_are_found():
    """A module without parameters tells no device: what it is on must be said."""
    grid = Grid((8, 3, 3), settings("blobs", n_modules=10).grid, seed=0)
    grid.add_head("t", "linear", (2,))
    bare = [i for i in range(10) if not list(grid.module(1, i).parameters())]
    assert bare, "there is such a module"
    path = Path.of([[0], bare[:1], [0]])
    with pretended_cuda() as cuda:
        copies = Copies(grid.to(cuda), "t", [path, path])
        x = torch.ones(2, 8, 3, 3, device=cuda)
        assert copies(x).device == cuda
        (stack,) = copies.layers[1]
        stack.owners = stack.owners.cpu()
        with pytest.raises(RuntimeError, match="same device"):
            copies(x)
