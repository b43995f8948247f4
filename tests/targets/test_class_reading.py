"""Scores of many classes are streamed: little memory, and the same numbers as from all log-probabilities at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from benches import bench, labelled
from evaluators import PATHS, SETTINGS, fresh, shared
from torch import Tensor

from pathsearch.encoders.split import Split, Standardiser
from pathsearch.grid.grid import Grid
from pathsearch.grid.population import Plan
from pathsearch.run.settings import SearchSettings
from pathsearch.targets.class_reading import ClassReading, class_fitnesses
from pathsearch.targets.target import Fitness
from pathsearch.training import batches as module
from pathsearch.training.batches import paths_at_once, scoring_batch
from pathsearch.training.fitness import SharedWeights
from pathsearch.training.fresh import FreshWeights

MEASURES = ("accuracy", "balanced_accuracy", "auc")
WAYS = {"shared": shared, "fresh": fresh}


@pytest.fixture(scope="module")
def splits(make_splits):
    return make_splits()


def answers(p: int, n: int, k: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    log_p = torch.randn(p, n, k, generator=generator).log_softmax(-1)
    return log_p, torch.arange(n) % k


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("size", [1, 7, 60])
def test_parts_give_what_the_whole_gives(measure, size):
    log_p, labels = answers(4, 60, 5)
    whole, parts = ClassReading(measure), ClassReading(measure)
    whole.add_log_p(log_p, labels)
    for i in range(0, 60, size):
        parts.add(log_p[:, i : i + size], labels[i : i + size])
    for one, other in zip(class_fitnesses([parts], measure), class_fitnesses([whole], measure), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_several_networks_share_their_images_but_for_an_auc():
    log_p, labels = answers(2, 60, 3)
    for measure in MEASURES:
        readings = [ClassReading(measure) for _ in range(2)]
        for one, part in zip(readings, (slice(0, 24), slice(24, 60)), strict=True):
            one.add_log_p(log_p[:, part], labels[part])
        both, (first, second) = (
            class_fitnesses(readings, measure),
            (class_fitnesses([one], measure) for one in readings),
        )
        for whole, one, other in zip(both, first, second, strict=True):
            share = 0.5 if measure == "auc" else 24 / 60
            assert whole.score == pytest.approx(share * one.score + (1 - share) * other.score)


def test_what_is_kept_does_not_grow_with_the_classes():
    log_p, labels = answers(3, 20, 50)
    for measure in MEASURES:
        reading = ClassReading(measure)
        reading.add_log_p(log_p, labels)
        assert [one is log_p for one in reading.log_p] == ([True] if measure == "auc" else [])


def test_auc_takes_fewer_paths_at_once():
    def at_once(measure: str, n: int, n_classes: int) -> int:
        images = labelled(torch.arange(n_classes))
        return paths_at_once(bench((images, images), SearchSettings(fitness=measure)), 256, n)

    assert at_once("accuracy", 4000, 1000) == 256
    assert at_once("auc", 4000, 1000) == 8  # 2^27 / (4 · 4,000,000) = 8.4
    assert at_once("auc", 4000, 3) == 256
    assert at_once("auc", 10**7, 1000) == 1, "one at least"


@pytest.mark.parametrize("way", WAYS)
def test_auc_is_the_same_however_many_paths_are_scored_at_once(make_grid, splits, way, monkeypatch):
    of = replace(SETTINGS, fitness="auc", weights=way)
    whole = WAYS[way](make_grid, splits, of).score(PATHS)
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    for one, other in zip(WAYS[way](make_grid, splits, of).score(PATHS), whole, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def many_classes(n_classes: int) -> tuple[Split, Split]:
    rng = np.random.default_rng(0)
    splits = []
    for name in ("train", "val"):
        maps = rng.normal(size=(n_classes, 8, 2, 2)).astype(np.float16)
        plain = Standardiser(torch.zeros(8, 1, 1), torch.ones(8, 1, 1))
        splits.append(Split(name, torch.arange(n_classes), (maps,), (np.arange(n_classes),), plain))
    return splits[0], splits[1]


@pytest.mark.parametrize("way", [SharedWeights, FreshWeights])
def test_no_tensor_of_all_paths_images_and_classes_is_made(make_grid, way, monkeypatch):
    """A thousand classes: log-probabilities are handed over a part of the images at a time, and are not kept."""
    sizes: list[int] = []
    original = ClassReading.add

    def spy(self: ClassReading, outputs: Tensor, truth: Tensor) -> None:
        sizes.append(outputs.numel())
        original(self, outputs, truth)
        assert self.log_p == []

    monkeypatch.setattr(ClassReading, "add", spy)
    grid = Grid((8, 2, 2), make_grid().settings, 0)
    grid.add_head("planted", "linear", (1000,))
    weights = "shared" if way is SharedWeights else "fresh"
    few = replace(SETTINGS, weights=weights, steps=1, balance=False)
    evaluator = way(bench(many_classes(1000), few), grid)
    monkeypatch.setattr(module, "SCORING_BYTES", 2 << 20)
    assert all(isinstance(one, Fitness) for one in evaluator.score(PATHS))
    assert sum(sizes) == len(PATHS) * 1000 * 1000
    assert max(sizes) <= len(PATHS) * 1000 * 128


def test_the_chunk_of_a_scoring_pass_heeds_the_classes(make_grid):
    plan = Plan((), torch.zeros(256), 1)
    assert scoring_batch(make_grid(), plan, 3) == 1024, "as without"
    assert scoring_batch(make_grid(), plan, 1000) == 43  # 2^27 / (12 · 256 · 1000) = 43.7


# --- nothing waits for the device -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_training_reads_no_number_off_the_device_in_a_step(make_grid, splits, way, monkeypatch):
    """On CUDA each reading waits for all work before it: once a generation is enough."""
    read: list[str] = []
    for name in ("item", "tolist", "cpu"):
        original = getattr(Tensor, name)
        monkeypatch.setattr(
            Tensor, name, lambda self, name=name, original=original: read.append(name) or original(self)
        )
    evaluator = WAYS[way](make_grid, splits, replace(SETTINGS, weights=way, balance=False, steps=2))
    read.clear()
    counts = []
    for steps in (2, 12):
        evaluator.settings = replace(evaluator.settings, steps=steps)
        if way == "shared":
            evaluator.train(PATHS, 1)
        else:
            evaluator.known.clear()
            evaluator.train(PATHS, 1)
        counts.append(len(read))
        read.clear()
    assert counts[0] == counts[1], "as often for twelve steps as for two"
