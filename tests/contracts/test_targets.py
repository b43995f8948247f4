"""Every target keeps the promises; targets that break one are seen."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pathsearch.targets import BoxTarget, ClassTarget, ImageTarget, MaskTarget

from target_contract import B, PROMISES, broken, check_target  # isort: skip


@pytest.mark.parametrize("k", [2, 5])
def test_classes_keep_every_promise(k):
    check_target(ClassTarget([f"class {i}" for i in range(k)]), torch.arange(B) % k)


def masks(n_names: int, size: int = 16) -> Tensor:
    """(B, size, size): a disc of each label, of another size and place in each image; some are empty."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    found = torch.zeros(B, size, size, dtype=torch.uint8)
    for image in range(B):
        for label in range(1, n_names):
            far = (y - size / 2 - image % 3) ** 2 + (x - size * label / n_names - image % 4) ** 2
            found[image][far < (image % 7) ** 2] = label
    return found


def without(truth: Tensor, nothing: float) -> Tensor:
    """The same, where every third image, and the first batch of five, has none."""
    found = truth.clone()
    found[::3] = found[:5] = nothing
    return found


@pytest.mark.parametrize("size", [8, 16], ids=["as fine as the map", "finer"])
@pytest.mark.parametrize("k", [2, 4])
def test_masks_keep_every_promise(k, size):
    target, truth = MaskTarget(["background", *"abc"[: k - 1]]), masks(k, size)
    check_target(target, truth)
    check_target(target, without(truth, 255))


def boxes() -> Tensor:
    """(B, 4): a box of another size and place in each image."""
    low = torch.rand(B, 2, generator=torch.Generator().manual_seed(0)) * 0.5
    return torch.cat([low, low + 0.1 + 0.3 * torch.rand(B, 2, generator=torch.Generator().manual_seed(1))], 1)


def test_boxes_keep_every_promise():
    check_target(BoxTarget(), boxes())
    check_target(BoxTarget(), without(boxes(), math.nan))


def pictures(channels: int, size: int = 16) -> Tensor:
    """(B, C, size, size): each image a ramp of its own, a disc and some noise."""
    stream = torch.Generator().manual_seed(0)
    ramps = torch.rand(B, channels, 1, 1, generator=stream) * torch.linspace(40, 200, size)
    discs = 50 * (masks(2, size)[:, None] == 1)
    noise = 10 * torch.rand(B, channels, size, size, generator=stream)
    return (ramps + discs + noise).clamp(0, 255).byte()


@pytest.mark.parametrize("names", [["grey"], ["red", "green", "blue"]])
@pytest.mark.parametrize("size", [8, 16], ids=["as fine as the map", "finer"])
def test_images_keep_every_promise(names, size):
    check_target(ImageTarget(names), pictures(len(names), size))


# --- promises that are broken are seen ------------------------------------------------------------------------------


class _Summed(ClassTarget):
    """Losses of all paths in one."""

    def loss(self, truth, balance=None, smoothing=0.0):
        plain = super().loss(truth, balance, smoothing)
        return lambda outputs, truth: plain(outputs, truth).mean().expand(len(outputs))


class _Shuffled(ClassTarget):
    """What it says depends on the batch that an image is in."""

    def said(self, outputs: Tensor, truth: Tensor):
        return {"log_p": (outputs - outputs.mean(0)).log_softmax(-1)}


class _Proud(ClassTarget):
    def error_of(self, measure, score, truth):
        return 0.0


class _Turned(ClassTarget):
    """Higher is worse."""

    def stopping(self, said, truth):
        return -super().stopping(said, truth)


class _Wide(ClassTarget):
    def each_quality(self, outputs, truth):
        return 2 * super().each_quality(outputs, truth)


class _Flat(ClassTarget):
    def head(self, shape):
        return "linear", (len(self.names) + 1,)

    def each_loss(self, outputs, truth):
        return super().each_loss(outputs[..., :-1], truth)[:, :1]


class _Everywhere(ClassTarget):
    """Images without a truth, here those of the first class, count in some number."""

    def known(self, truth):
        return truth > 0


class _Forgetful(MaskTarget):
    """Says less in full."""

    def said_in_full(self, outputs, truth):
        return {"loss": self.said(outputs, truth)["loss"]}


class _Learning(MaskTarget):
    """Learns from images without a truth as if they were empty."""

    def of_known(self, each, truth):
        return each


class _Broken(MaskTarget):
    """Of images without a truth the loss is not finite."""

    def each_loss(self, outputs, truth):
        return super().each_loss(outputs, truth).where(self.known(truth), torch.nan)


class _Counted(MaskTarget):
    """The error counts images without a truth."""

    def error_of(self, measure, score, truth):
        return super().error_of(measure, score, truth.clamp(max=1))


class _Vague(MaskTarget):
    """Takes a vector for a map."""

    def head(self, shape):
        return super().head(shape if len(shape) == 3 else (shape[0], 1, 1))


class _Square(MaskTarget):
    """Answers at the size of its map, whatever the image's."""

    def decoded(self, outputs, fixed, sizes):
        return super().decoded(outputs, fixed, [tuple(outputs.shape[-2:])] * len(sizes))


class _Neighbourly(MaskTarget):
    """An answer depends on the images beside it."""

    def decoded(self, outputs, fixed, sizes):
        return super().decoded(outputs - outputs.mean(0), fixed, sizes)


class _Still(MaskTarget):
    """The truth of one image moves with its neighbour's."""

    def warped(self, truth, warps):
        return super().warped(truth, warps[:1] * len(warps))


class _Sliding(MaskTarget):
    """The truth moves where the image stays."""

    def warped(self, truth, warps):
        return super().warped(truth, warps).roll(1, -1)


class _Leaving(BoxTarget):
    """Boxes that are not known are nowhere, so their loss is not finite."""

    def each_loss(self, outputs, truth):
        return super().each_loss(outputs, truth) + truth.sum(-1)


class _Unmoved(BoxTarget):
    """A box of an image that is mirrored stays, and is known where it was not."""

    def warped(self, truth, warps):
        return truth.nan_to_num(0.5)


class _Pixels(BoxTarget):
    """Boxes that are drawn lie far outside."""

    def shown(self, outputs, truth):
        return {name: 128 * part for name, part in super().shown(outputs, truth).items()}


class _Negative(ImageTarget):
    """A quality below 0."""

    def each_quality(self, outputs, truth):
        return super().each_quality(outputs, truth) - 1


@pytest.mark.parametrize(
    ("faulty", "truth", "promise"),
    [
        (_Leaving, without(boxes(), math.nan), "leaves_unknown_truth_out"),
        (_Unmoved, without(boxes(), math.nan), "warps_the_truth_of_each_image_by_itself"),
        (_Pixels, boxes(), "shows_what_its_form_needs"),
        (_Negative, pictures(1), "quality_lies_between_0_and_1"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_broken_promise_of_boxes_and_images_is_seen(faulty, truth, promise):
    assert promise in list(broken(faulty(), truth))


@pytest.mark.parametrize(
    ("faulty", "promise"),
    [
        (_Learning, "leaves_unknown_truth_out"),
        (_Broken, "leaves_unknown_truth_out"),
        (_Counted, "leaves_unknown_truth_out"),
        (_Forgetful, "says_a_row_an_image"),
        (_Vague, "has_the_shape_that_it_says"),
        (_Square, "answers_each_image_by_itself"),
        (_Neighbourly, "answers_each_image_by_itself"),
        (_Still, "warps_the_truth_of_each_image_by_itself"),
        (_Sliding, "warps_the_truth_of_each_image_by_itself"),
    ],
)
def test_a_broken_promise_of_maps_is_seen(faulty, promise):
    assert promise in list(broken(faulty(["background", "disc"]), without(masks(2), 255)))


@pytest.mark.parametrize(
    ("faulty", "promise"),
    [
        (_Summed, "loss_is_one_value_a_path_and_none_is_anothers"),
        (_Shuffled, "says_a_row_an_image"),
        (_Proud, "errors_are_errors"),
        (_Turned, "prefers_the_better_answer"),
        (_Wide, "quality_lies_between_0_and_1"),
        (_Everywhere, "leaves_unknown_truth_out"),
        (_Flat, "loss_is_one_value_a_path_and_none_is_anothers"),
    ],
)
def test_a_broken_promise_is_seen(faulty, promise):
    assert promise in list(broken(faulty(list("abc")), torch.arange(B) % 3))


def test_every_promise_is_one_by_name():
    assert len({promise.__name__ for promise in PROMISES}) == len(PROMISES)
