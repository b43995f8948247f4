"""One epoch of a last training, alone or together, where not every image has a truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from benches import bench
from trained import SETTINGS

from pathsearch.grid.path import Path
from pathsearch.run.together_settings import TogetherSettings
from pathsearch.targets.boxes import BoxTarget
from pathsearch.training.course import Course, Pupil
from pathsearch.training.strategies import LossWeights

STILL = replace(SETTINGS, learning_rate=0.0, dropout=0.0, balance=False, batch_size=16)  # nothing moves
PATH = Path.parse("0|1|0")


def boxed(splits, known):
    """Training images of which only some have a box, and validation images that all have one."""
    boxes = [torch.tensor([0.2, 0.2, 0.6, 0.7]).repeat(len(split), 1) for split in splits]
    boxes[0][~torch.isin(torch.arange(len(boxes[0])), torch.tensor(known))] = torch.nan
    return [replace(split, truth=own) for split, own in zip(splits, boxes, strict=True)]


def pupils(splits, known, together):
    """Classes, and boxes of which few are known."""
    kinds = bench(splits, last=STILL, task="kinds")
    boxes = replace(bench(splits, last=STILL, task="boxes"), target=BoxTarget())
    boxes = boxes.on(*boxed(splits, known))
    found = []
    for one in (kinds, boxes):
        one = replace(one, settings=replace(one.settings, together=together))
        grid = one.grid()
        found.append(Pupil(one, grid.network(PATH, one.task), grid.shapes[1:]))
    return found


@pytest.mark.parametrize("strategy", ["joint", "alternating"])
def test_minibatches_without_a_truth_count_in_no_loss(splits, monkeypatch, strategy):
    weighed = []
    original = LossWeights.forward

    def watched(self, losses, whose):
        weighed.append(tuple(whose))
        return original(self, losses, whose)

    monkeypatch.setattr(LossWeights, "forward", watched)
    both = pupils(splits, [3], TogetherSettings(strategy, loss_weights="learned"))
    kinds, boxes = Course(both, 1).epoch().lessons
    bench, network, _ = both[1]
    x, truth = bench.training.batch(torch.tensor([3])), bench.training.truth[[3]]
    with torch.no_grad():
        expected = bench.target.each_loss(network.eval()(x)[None], truth).item()
    assert boxes.loss == pytest.approx(expected, rel=1e-5)
    assert kinds.loss > 0
    assert sum(0 in whose for whose in weighed) == 15  # of 16 images each
    assert sum(1 in whose for whose in weighed) == 1, "a learned weight would grow with every loss of nothing"
