"""The invariant: what a later task does to a grid, the earlier experts on it are the same bit for bit."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from benches import bench
from small_world import copied, data_dir, encoder, evolve, finished, refused, runs_dir, settings, task

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import Features, encode
from pathsearch.experts import heritage
from pathsearch.experts.expert import Expert, file_sha256
from pathsearch.experts.heritage import Heritage, inherit, same_weights
from pathsearch.grid.grid import Grid, PathNetwork
from pathsearch.grid.path import Path
from pathsearch.run.runs import Run
from pathsearch.run.settings import GridSettings
from pathsearch.training.baselines import train_path
from pathsearch.training.fitness import SharedWeights

OLD, NEW = "stripes", "blobs"


@functools.cache
def grown() -> tuple[Run, dict[str, bytes], torch.Tensor]:
    """A run of the second task on the first one's grid; the first one's files and logits before it."""
    old = finished(OLD)
    files, logits = everything(old), old_logits(old)
    return evolve(runs_dir() / "grown", settings(NEW, grown_from=OLD))[0], files, logits


def everything(run: Run) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(run.folder.rglob("*")) if file.is_file()}


def features(name: str) -> Features:
    return encode(task(name), encoder(), data_dir() / "features")


def old_logits(run: Run) -> torch.Tensor:
    """What the first task's expert says to images of both tasks."""
    maps = torch.cat([torch.from_numpy(np.array(features(name).views[0])) for name in (OLD, NEW)])
    return Expert.load(run.expert_file).outputs(maps)


def modules_of(expert: Expert) -> dict[tuple[int, int], dict[str, torch.Tensor]]:
    """The weights of an expert's modules, by their place on the grid."""
    return modules_in(expert.network.network, Path.parse(expert.facts.path))  # type: ignore[arg-type]


def modules_in(network: PathNetwork, path: Path) -> dict[tuple[int, int], dict[str, torch.Tensor]]:
    return {
        (n, i): module.state_dict()
        for n, layer in enumerate(path.layers)
        for i, module in zip(layer, network.modules_of(n), strict=True)
    }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- the invariant --------------------------------------------------------------------------------------------------


def test_an_earlier_expert_is_bit_identical_after_another_task_evolved_on_its_grid():
    _, files, logits = grown()
    assert everything(finished(OLD)) == files, "expert, router, report: every file of the run"
    assert torch.equal(old_logits(finished(OLD)), logits)


def test_the_new_expert_shares_modules_with_the_old_one_bit_for_bit():
    run, _, _ = grown()
    old, new = (modules_of(Expert.load(one.expert_file)) for one in (finished(OLD), run))
    shared = old.keys() & new.keys()
    for place in shared:
        assert same(old[place], new[place]), f"module {place}"


def test_the_report_says_that_nothing_moved():
    run, _, _ = grown()
    sha = file_sha256(finished(OLD).expert_file)
    assert run.report()["earlier_experts"] == [
        {
            "task": OLD,
            "run": OLD,
            "file_sha256_before": sha,
            "file_sha256_after": sha,
            "logits_identical": True,
        }
    ]
    assert finished(OLD).report()["earlier_experts"] == []


def test_path_json_shows_the_modules_that_were_taken():
    run, _, _ = grown()
    taken = [list(layer) for layer in Path.parse(Expert.load(finished(OLD).expert_file).facts.path).layers]
    assert json.loads(run.path_file.read_text())["frozen"] == taken
    assert json.loads(finished(OLD).path_file.read_text())["frozen"] == [[], [], []]


# --- on the grid itself ---------------------------------------------------------------------------------------------


@pytest.fixture
def settled() -> tuple[Heritage, Grid, Path]:
    """A grid that carries the first task's expert, with a head for the second task."""
    heritage = Heritage.of(runs_dir(), finished(OLD).name)
    grid = Grid(encoder().feature_shape, settings(NEW).grid, seed=7)  # another seed than the old run's
    heritage.settle(grid)
    grid.add_head(NEW, "linear", (2,))
    return heritage, grid, Path.parse(heritage.ancestors[0].expert.facts.path)


def test_training_along_old_modules_changes_only_the_others(settled):
    heritage, grid, old_path = settled
    full = grid.space.full_path()
    before = {place: clone(grid.module(*place)) for place in places(full)}
    head = clone(grid.heads[OLD])
    chosen = replace(settings(NEW).search, steps=3, learning_rate=0.05, weight_decay=0.5)
    split = features(NEW)
    trainer = SharedWeights(bench((split.train(), split.validation()), chosen, task=NEW), grid)
    trainer.train([old_path, full], 1)  # one path of old modules alone, one of all
    moved = {place for place in before if not same(before[place], grid.module(*place).state_dict())}
    without_weights = {place for place in before if not before[place]}  # a skip has none
    assert moved == set(places(full)) - set(places(old_path)) - without_weights
    assert same(head, grid.heads[OLD].state_dict())
    assert heritage.verify(grid, split.validation())[0]["logits_identical"]


def test_the_last_training_of_an_old_path_moves_its_new_head_alone(settled):
    _, grid, old_path = settled
    before = {place: clone(grid.module(*place)) for place in places(old_path)}
    head, split = clone(grid.heads[NEW]), features(NEW)
    # weight decay, the running average of the weights and the refit all pass over the fixed modules
    chosen = replace(settings(NEW).training, learning_rate=0.05, weight_decay=0.5, refit=True)
    trained = train_path(bench((split.train(), split.validation()), last=chosen, task=NEW), grid, old_path)
    after = modules_in(trained.network, old_path)
    assert all(same(before[place], after[place]) for place in before)
    assert not same(head, trained.network.head.state_dict())


def places(path: Path) -> list[tuple[int, int]]:
    return [(n, i) for n, layer in enumerate(path.layers) for i in layer]


def clone(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_settling_restores_the_expert_whatever_the_grids_seed(settled):
    heritage, grid, path = settled
    expert = heritage.ancestors[0].expert
    maps = features(NEW).validation().raw(torch.arange(20))
    network = grid.network(path, OLD)
    assert torch.equal(network(expert.standardise(maps)), expert.outputs(maps))
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("where", ["module", "head"])
def test_verify_catches_one_changed_weight(settled, where):
    heritage, grid, path = settled
    weights = [
        parameter
        for n, i in places(path)
        for parameter in (grid.module(n, i) if where == "module" else grid.heads[OLD]).parameters()
    ]
    flat = weights[0].data.view(-1)
    heritage.verify(grid, features(NEW).validation())
    flat[0] += 1e-3
    with refused(f"expert of {OLD} .*has changed: .*'logits_identical': False.*report this"):
        heritage.verify(grid, features(NEW).validation())


def test_verify_catches_one_changed_byte_of_the_file(tmp_path):
    old = copied(finished(OLD), tmp_path)
    heritage = Heritage.of(tmp_path, OLD)
    grid = Grid(encoder().feature_shape, settings(NEW).grid, seed=0)
    heritage.settle(grid)
    content = bytearray(old.expert_file.read_bytes())
    content[-1] ^= 1
    old.expert_file.write_bytes(content)
    with refused(f"expert of {OLD} .*has changed"):
        heritage.verify(grid, features(NEW).validation())


def test_the_whole_family_is_found_oldest_first():
    grown()
    heritage = Heritage.of(runs_dir(), "grown")
    assert [ancestor.expert.facts.task for ancestor in heritage.ancestors] == [OLD, NEW]
    grid = Grid(encoder().feature_shape, settings(NEW).grid, seed=0)
    heritage.settle(grid)
    taken = [
        sorted({i for a in heritage.ancestors for i in Path.parse(a.expert.facts.path).layers[n]}) for n in (0, 1, 2)
    ]
    assert heritage.occupied(grid) == taken
    assert all(row["logits_identical"] for row in heritage.verify(grid, features(NEW).validation()))


def test_a_new_grid_has_no_family():
    heritage = Heritage.of(runs_dir(), None)
    assert heritage.ancestors == []
    heritage.check(NEW, encoder(), GridSettings())


# --- refusals -------------------------------------------------------------------------------------------------------


def test_the_same_task_is_refused_even_far_back():
    grown()
    with refused(f"--grid {OLD}: the grid already carries task '{OLD}'"):
        Heritage.of(runs_dir(), finished(OLD).name).check(OLD, encoder(), settings(OLD).grid)
    for name in (OLD, NEW):
        with refused(f"the grid already carries task '{name}'"):
            Heritage.of(runs_dir(), "grown").check(name, encoder(), settings(name).grid)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"random_seed": 1}, "weights_sha256"),
        ({"image_size": 64}, "image_size"),
        ({"map_size": 1}, "map_size"),
        ({"precision": "bfloat16"}, "precision float32, this one bfloat16"),
        ({"taps": 2}, "taps the last, this one"),
    ],
    ids=str,
)
def test_another_encoder_is_refused(change, said):
    other = Encoder(replace(encoder().settings, **change))
    with refused(f"--grid {OLD}: its encoder has {said}.*one grid needs one encoder"):
        Heritage.of(runs_dir(), finished(OLD).name).check(NEW, other, settings(NEW).grid)


@pytest.mark.parametrize("change", [{"n_modules": 5}, {"width": 8}, {"modules": "paper"}, {"max_active": 1}], ids=str)
def test_another_grid_is_refused(change):
    with refused(f"--grid {OLD}: was made with GridSettings.*give the same grid options"):
        Heritage.of(runs_dir(), finished(OLD).name).check(NEW, encoder(), settings(NEW, **change).grid)


def test_a_grid_grown_from_itself_is_refused(tmp_path):
    old = copied(finished(OLD), tmp_path)
    config = json.loads(old.config_file.read_text())
    old.config_file.write_text(json.dumps({**config, "grown_from": OLD}))
    old.seal()
    with refused(f"--grid {OLD}: was grown from itself"):
        Heritage.of(tmp_path, OLD)


def test_unfinished_and_unknown_runs_are_refused(tmp_path):
    old = copied(finished(OLD), tmp_path)
    for file in (old.report_file, old.sums_file):
        file.unlink()
    with refused(f"--grid {OLD}: run {OLD} has no report yet; finish it with --resume"):
        Heritage.of(tmp_path, OLD)
    with refused("run nowhere: not found in .*runs there: stripes"):
        Heritage.of(tmp_path, "nowhere")


def test_what_an_expert_has_left_begins_as_it_was_left(monkeypatch):
    """Free, as where tasks are trained together: no other module's weights are put in its place."""
    of, (first, second, third) = replace(settings(OLD).grid, n_modules=30), (1, 11, 21)  # three of one kind
    grid, theirs = (Grid(encoder().feature_shape, of, seed=seed) for seed in (0, 1))
    left = Path.of([[first, second]] * len(grid.layers))
    theirs.add_head(OLD, "linear", (3,))
    network = theirs.network(left, OLD)
    monkeypatch.setattr(heritage, "layers_on", lambda grid, expert: left.layers)
    monkeypatch.setattr(heritage, "_network", lambda expert: network)
    before = {name: tensor.clone() for name, tensor in grid.state_dict().items()}
    inherit(grid, Path.of([[second]] * len(grid.layers)), [object()])
    assert all(torch.equal(tensor, before[name]) for name, tensor in grid.state_dict().items())
    inherit(grid, Path.of([[third]] * len(grid.layers)), [object()])
    assert same_weights(grid.module(0, third), network.modules_of(0)[0])
