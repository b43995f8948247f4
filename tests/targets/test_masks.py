"""The mask target: what it says of masks that are known by hand, and of images that have none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small_world import refused
from torch import Tensor

from data_prep.warp import Warp
from pathsearch.targets import MaskTarget, make_target, target_of

LUNG, ORGANS = ["background", "lung"], ["background", "lung", "heart"]


def sure(labels: Tensor, k: int) -> Tensor:
    """Outputs (B, K or 1, H, W) of a network that is sure of these labels (B, H, W)."""
    if k == 2:
        return 20.0 * (2 * labels[:, None].float() - 1)
    return 20.0 * torch.nn.functional.one_hot(labels.long(), k).movedim(-1, 1).float()


def quadrants() -> Tensor:
    """(4, 8, 8): a quarter, the upper half, nothing, and no mask."""
    truth = torch.zeros(4, 8, 8, dtype=torch.uint8)
    truth[0, :4, :4] = truth[1, :4] = 1
    truth[3] = 255
    return truth


def fake(**given: Any) -> Any:
    """A task with truth in memory."""
    return SimpleNamespace(name="lungs", target="mask", classes=("a", "b"), **given)


# --- what is asked --------------------------------------------------------------------------------------------------


def test_its_names_are_those_of_the_masks():
    task = fake(mask_names=tuple(ORGANS), masks=lambda split: quadrants().numpy())
    for target in (target_of(task), target_of(task, "mask")):
        assert type(target) is MaskTarget
        assert target.names == tuple(ORGANS)
    assert target_of(task, "class").names == ("a", "b")
    assert torch.equal(target.truth(task, "test"), quadrants())
    with refused("^target mask: expected the background's name and at least one more, got \\['background'\\]"):
        make_target("mask", ["background"])


def test_heads():
    assert MaskTarget(LUNG).head((8, 4, 6)) == ("map", (1, 4, 6))
    assert MaskTarget(ORGANS).head((8, 4, 6)) == ("map", (3, 4, 6))
    with refused("^target mask: expected the blueprint to end in a map .*, got \\(64,\\); .*--blueprint unet$"):
        MaskTarget(LUNG).head((64,))
    assert MaskTarget(LUNG).held((8, 4, 4), quadrants()) == 64, "at the size of the truth"
    assert MaskTarget(ORGANS).held((8, 16, 16), quadrants()) == 3 * 256, "or of the map, if that is larger"


def test_where_there_is_no_mask_nothing_is_known():
    target, truth = MaskTarget(LUNG), quadrants()
    assert target.known(truth).tolist() == [True, True, True, False]
    assert target.strata(truth).tolist() == [0, 0, 0, 0], "not knowing is no kind of image"
    with refused("^target mask: expected training images that have a truth, got none among 1; prepare"):
        target.loss(truth[3:])
    said = target.said(sure(truth[3:], 2), truth[3:])
    with refused("^target mask: expected validation images that have a truth, got none among 1; prepare"):
        target.stopping(said, truth[3:])
    reading = target.reading("dice")
    reading.add(sure(truth[3:], 2)[None], truth[3:])
    with refused("^target mask: expected validation images that have a truth"):
        target.fitnesses([reading], "dice")
    assert target.assess(said, truth[3:], None, None)["n"] == 0


def test_truth_moves_with_its_image():
    truth = torch.zeros(3, 8, 8, dtype=torch.uint8)
    truth[:, 1:3, 0:2] = 2
    truth[2] = 255
    found = MaskTarget(ORGANS).warped(truth, [Warp(), Warp(flip=True), Warp(flip=True)])
    assert torch.equal(found[0], truth[0])
    assert torch.equal(found[1], truth[1].flip(1))
    assert torch.equal(found[2], truth[2])
    turned = MaskTarget(ORGANS).warped(truth[:1], [Warp(angle=17, scale=1.3)])
    assert set(turned.unique().tolist()) == {0, 2}, "no label in between"


# --- golden values --------------------------------------------------------------------------------------------------


def test_measures_by_hand():
    """Said is the upper left quarter of each image: 16 of 64 pixels."""
    target, truth = MaskTarget(LUNG), quadrants()
    answer = truth[:1].expand(4, -1, -1)
    said = target.said_in_full(sure(answer, 2), truth)
    assert said["counts"][:3].tolist() == [[[16, 0, 0, 48]], [[16, 0, 16, 32]], [[0, 16, 0, 48]]]
    found = target.assess(said, truth, None, None)
    assert (found["n"], found["without_truth"]) == (3, 1)
    assert found["dice"] == pytest.approx((1 + 2 * 16 / 48 + 0) / 3)
    assert found["iou"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["pixel_accuracy"] == pytest.approx((1 + 48 / 64 + 48 / 64) / 3)
    assert found["mcc"] == pytest.approx((1 + 16 * 32 / (16 * 32 * 48 * 32) ** 0.5 + 0) / 3)
    # to the half's outline: its right end is 4 pixels from the quarter's; the 95 % quantile lies between 3 and 4
    far = said["hausdorff95"][:3, 0].tolist()
    assert (far[0], far[2]) == (0, pytest.approx(128**0.5)), "the diagonal where nothing was to be found"
    assert 3 < far[1] <= 4
    assert found["hausdorff95"] == pytest.approx(sum(far) / 3)
    assert found["undefined"] == {}
    assert found["sd"]["dice"] == pytest.approx(np.std([1, 2 / 3, 0], ddof=1))
    for name in ("dice", "iou", "pixel_accuracy", "mcc", "hausdorff95"):
        low, high = found["ci95"][name]
        assert low <= found[name] <= high
    assert "labels" not in found
    assert target.assess(target.said(sure(answer, 2), truth), truth, None, None)["hausdorff95"] is None


def test_each_label_has_its_own_numbers():
    target = MaskTarget(ORGANS)
    truth = torch.zeros(2, 8, 8, dtype=torch.uint8)
    truth[:, :4, :4], truth[0, 4:, 4:] = 1, 2
    answer = truth.clone()
    answer[0, 4:, 4:6] = 0  # half of the heart is missed
    said = target.said_in_full(sure(answer, 3), truth)
    found = target.assess(said, truth, None, np.array(["a", "a"]))
    assert found["labels"]["lung"]["dice"] == 1
    assert found["labels"]["heart"]["dice"] == pytest.approx((2 / 3 + 1) / 2), "one that is not there was not said"
    assert found["labels"]["heart"]["hausdorff95"] == pytest.approx(said["hausdorff95"][0, 1].item() / 2)
    assert found["dice"] == pytest.approx((1 + 2 / 3 + 1 + 1) / 4)
    assert found["pixel_accuracy"] == pytest.approx((56 / 64 + 1) / 2)
    assert found["intervals"]["groups"] == 1
    assert target.quality(said, truth, None).tolist() == pytest.approx([(1 + 2 / 3) / 2, 1])


def test_misses_never_make_the_distance_better():
    """Every third answer of twelve is blank: the more of them, the larger the mean, over all images and all labels."""
    for names in (LUNG, ORGANS):
        target, truth = MaskTarget(names), torch.zeros(12, 8, 8, dtype=torch.uint8)
        truth[:, 1:4, 1:4], truth[:, 5:7, 5:7] = 1, len(names) - 1
        found = []
        for every in (12, 3, 2):
            answer = truth.clone()
            answer[::every, 5:7, 5:7] = 0
            if names == LUNG:
                answer[::every] = 0
            found.append(target.assess(target.said_in_full(sure(answer, len(names)), truth), truth, None, None))
        assert found[0]["hausdorff95"] < found[1]["hausdorff95"] < found[2]["hausdorff95"]
        worst = 128**0.5 / (len(names) - 1)
        assert [one["hausdorff95"] for one in found] == pytest.approx([worst / 12, worst / 3, worst / 2])


def test_scores_agree_with_what_is_kept():
    target, truth = MaskTarget(ORGANS), torch.randint(3, (6, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    outputs = torch.randn(2, 6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for measure in ("dice", "iou"):
        each = target.each_score(measure, outputs, truth)
        for path in range(2):
            said = target.said(outputs[path], truth)
            assert each[path].tolist() == pytest.approx(target.score(measure, said, truth, None).tolist())
            assert target.fitness(measure, said, truth).score == pytest.approx(each[path].mean().item())
    assert (target.each_score("dice", outputs, truth) >= target.each_score("iou", outputs, truth)).all()
    assert target.measure("iou") == "iou"
    assert target.measure("accuracy") == "dice", "who asks for no measure gets the first"


def test_a_search_for_iou_is_compared_by_iou():
    target, truth = MaskTarget(LUNG), torch.zeros(12, 8, 8, dtype=torch.uint8)
    truth[:, :4] = 1
    good, bad = truth.clone(), truth.clone()
    bad[:, 2:4] = 0
    both = [(target.said(sure(answer, 2), truth), None) for answer in (good, bad)]
    row = target.paired("iou", truth, *both, None)
    assert (row["measure"], row["own"], row["other"]) == ("iou", 1, 0.5)
    row = target.paired("accuracy", truth, *both, None)
    assert (row["measure"], row["other"]) == ("dice", pytest.approx(2 / 3))


def test_a_coarse_map_answers_too():
    """2 × 2 positions, the upper two sure: at 8 × 8 the zero of the logits lies half way, below the fourth row."""
    target, truth = MaskTarget(LUNG), quadrants()[1:2]
    coarse = sure(torch.tensor([[[1, 1], [0, 0]]]), 2)
    assert target.said(coarse, truth)["counts"].tolist() == [[[32, 0, 0, 32]]]
    assert target.each_quality(coarse[None], truth).item() == 1
    given = coarse.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(target.loss(truth)(given[None], truth).sum(), given)
    assert (gradient != 0).all(), "each position learns"


# --- what only masks have -------------------------------------------------------------------------------------------


def test_the_best_constant_mask():
    target, truth = MaskTarget(LUNG), quadrants()
    # the half: Dice 2·16/48, 1, 0; the quarter: 1, 2/3, 0; all: 2·16/80, 2·32/96, 0; nothing: 0, 0, 1
    assert target.blind(truth) == pytest.approx((2 / 3 + 1) / 3)
    assert target.blind(torch.zeros(3, 4, 4, dtype=torch.uint8)) == 1
    assert target.blind(truth[3:]) == 0, "nothing is known"
    several = torch.zeros(2, 4, 4, dtype=torch.uint8)
    several[:, :2], several[:, 2:] = 1, 2
    assert MaskTarget(ORGANS).blind(several) == 1


def test_a_mask_that_takes_no_network_is_found_on_training_images_alone():
    target, training = MaskTarget(LUNG), torch.zeros(3, 8, 8, dtype=torch.uint8)
    training[:, :4], training[2] = 1, 255
    truth = quadrants()
    name, says = target.without_network(training, pictures=False)
    found = target.assess_answered(says(torch.empty(4, 0), truth), truth, None, None, np.ones(4, bool))
    assert name == "the best constant mask"
    assert found["dice"] == pytest.approx((2 * 16 / 48 + 1 + 0) / 3)
    assert found["hausdorff95"] > 0


def test_a_report_has_dice_against_the_sizes():
    target = MaskTarget(LUNG)
    truth = torch.zeros(8, 8, 8, dtype=torch.uint8)
    for image in range(8):
        truth[image, :, : image + 1] = 1
    truth[7] = 255
    answer = torch.zeros_like(truth)
    answer[:, :, :4] = 1
    found = target.more(fake(), {"test": target.said(sure(answer, 2), truth)}, {"test": truth}, None)
    dices = [2 * min(i + 1, 4) / (i + 1 + 4) for i in range(7)]
    assert found["against_size"] == {
        "measure": "dice",
        "n": 7,
        "size": pytest.approx([(i + 1) / 8 for i in range(7)]),
        "value": pytest.approx(dices),
    }


def test_what_is_drawn_of_it():
    """Background where there is no truth; a coarse answer comes at the size of the truth."""
    target, truth = MaskTarget(ORGANS), quadrants()
    said = torch.tensor([[[0, 2], [1, 0]]]).expand(4, 2, 2)
    found = target.shown(sure(said, 3), truth)
    assert torch.equal(found["truth"][:3], truth[:3])
    assert not found["truth"][3].any()
    assert found["answer"].shape == truth.shape
    assert found["answer"].dtype == torch.uint8
    assert found["answer"][0, ::7, ::7].tolist() == [[0, 2], [1, 0]]
