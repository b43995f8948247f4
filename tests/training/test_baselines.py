"""Refits and baselines: the same training, from the same start, with nothing chosen again."""

from __future__ import annotations

from dataclasses import replace

import torch
from benches import bench, train_probe
from trained import PATH, SETTINGS, by_hand, equal, go

from pathsearch.run.streams import derive
from pathsearch.targets.classes import ClassTarget
from pathsearch.training import course as module
from pathsearch.training.baselines import random_paths, train_path
from pathsearch.training.batches import said_to
from pathsearch.training.last_training import refit

# --- refit --------------------------------------------------------------------------------------------------


def test_refit_is_a_training_on_all_images_for_the_best_epochs(make_grid, splits, monkeypatch):
    settings = replace(SETTINGS, refit=True, epochs=5, patience=5)
    grid = make_grid()
    alone = train_path(bench(splits, last=replace(settings, refit=False), seed=3), grid, PATH)
    alone = replace(alone, best_epoch=3)  # as if validation had been best in the third epoch
    shown: list[int] = []
    original = module.shared_minibatches
    watched = lambda splits, *more: shown.append(len(splits[0])) or original(splits, *more)  # noqa: E731
    monkeypatch.setattr(module, "shared_minibatches", watched)
    again = refit(bench(splits, last=settings, seed=3), alone, grid.network(PATH, "planted"), grid.shapes[1:])
    assert shown == [240 + 90] * 3
    expected = by_hand(
        grid.network(PATH, "planted"), grid.shapes[1:], splits[0].joined(splits[1]), settings, 3, derive(3, "refit")
    )
    for name, got in again.network.state_dict().items():
        torch.testing.assert_close(got, expected[name], rtol=1e-3, atol=1e-5, msg=name)
    assert not again.network.training


def test_refit_keeps_what_validation_said_before(make_grid, splits):
    grid = make_grid()
    alone = train_path(bench(splits, last=SETTINGS, seed=3), grid, PATH)
    both = train_path(bench(splits, last=replace(SETTINGS, refit=True), seed=3), grid, PATH)
    assert (both.history, both.best_epoch, both.score) == (alone.history, alone.best_epoch, alone.score)
    assert torch.equal(both.said["log_p"], alone.said["log_p"])
    assert not equal(both.network, alone.network)
    # Having seen the validation images, it cannot be asked about them: its answers there differ from the kept ones.
    assert not torch.equal(said_to(ClassTarget("abc"), both.network, splits[1])["log_p"], both.said["log_p"])


# --- baselines ----------------------------------------------------------------------------------------------


def test_the_probe_is_one_linear_layer_on_all_features(make_grid, splits):
    trained = train_probe(bench(splits, last=SETTINGS))
    assert sum(p.numel() for p in trained.network.parameters()) == 3 * 8 * 2 * 2 + 3
    assert equal(trained.network, train_probe(bench(splits, last=SETTINGS)).network)  # not the grid's
    assert not equal(trained.network, train_probe(bench(splits, last=SETTINGS, seed=1)).network)


def test_the_probe_is_refitted_from_its_start(make_grid, splits):
    again = train_probe(bench(splits, last=replace(SETTINGS, refit=True)))
    assert not equal(again.network, train_probe(bench(splits, last=SETTINGS)).network)
    said = said_to(ClassTarget("abc"), again.network, splits[1])["log_p"]
    assert (said.argmax(1) == splits[1].truth).float().mean() > 0.9


def test_a_path_trains_from_the_present_weights_of_the_grid(make_grid, splits):
    grid = make_grid()
    cold = train_path(bench(splits, last=replace(SETTINGS, epochs=1)), grid, PATH)
    grid.adopt(go(make_grid, splits).network, PATH, "planted")
    warm = train_path(bench(splits, last=replace(SETTINGS, epochs=1)), grid, PATH)
    assert warm.log_likelihood > cold.log_likelihood


def test_random_paths_are_drawn_by_the_seed(make_grid):
    grid = make_grid(n_modules=10, max_active=3)
    paths = random_paths(grid, 8, 0)
    assert len(paths) == 8
    assert len(set(paths)) > 4
    assert paths == random_paths(grid, 8, 0)
    assert paths[:3] == random_paths(grid, 3, 0)
    assert paths != random_paths(grid, 8, 1)
    assert random_paths(grid, 0, 0) == []
