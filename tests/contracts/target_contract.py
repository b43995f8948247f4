"""What every target must do: call `check_target` with one of yours; each promise is checked on its own.

Every promise holds for truth that some of the images lack, too: call it again with such a one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.warp import Warp
from pathsearch.grid import modules
from pathsearch.targets.target import Target

VECTOR, MAP = (6,), (6, 8, 8)  # what the head reads
P, B = 3, 24  # paths, images


def check_target(target: Target, truth: Tensor) -> None:
    """All promises, for the truth of B images (B, …); raises what the first broken one says."""
    assert len(truth) == B
    for promise in PROMISES:
        promise(target, truth)


def read_by(target: Target) -> tuple[int, ...]:
    """The shape that its head reads here."""
    return MAP if target.reads_maps else VECTOR


def outputs(target: Target, n: int = P) -> Tensor:
    """(P, B, …) of untrained heads."""
    shape = read_by(target)
    head, out_shape = target.head(shape)
    x = torch.randn(B, *shape, generator=torch.Generator().manual_seed(1))
    made = [modules.build(head, shape, out_shape, torch.Generator().manual_seed(i)) for i in range(n)]
    return torch.stack([one(x) for one in made])


def refusal(target: Target) -> str:
    """What it says to a vector, as one line; nothing if it takes it."""
    try:
        target.head(VECTOR)
    except PathsearchError as error:
        return "" if "\n" in str(error) else str(error)
    return ""


def has_the_shape_that_it_says(target: Target, truth: Tensor) -> None:
    shape = read_by(target)
    assert tuple(outputs(target).shape) == (P, B, *target.head(shape)[1])
    assert target.held(shape, truth) >= math.prod(target.head(shape)[1])
    if target.reads_maps:
        assert "blueprint" in refusal(target), "a vector is no map, and the line says what to take instead"


def loss_is_one_value_a_path_and_none_is_anothers(target: Target, truth: Tensor) -> None:
    given = outputs(target).detach().requires_grad_()
    loss = target.loss(truth)(given, truth)
    assert loss.shape == (P,)
    assert torch.isfinite(loss).all()
    (gradient,) = torch.autograd.grad(loss[0], given)
    assert gradient[0].abs().sum() > 0, "a path learns from its own loss"
    assert not gradient[1:].any(), "and from no other's"
    alone = torch.stack([target.loss(truth)(one[None], truth)[0] for one in given])
    torch.testing.assert_close(loss, alone, rtol=1e-5, atol=1e-6)
    each = target.each_loss(given, truth)
    assert each.shape == (P, B)
    torch.testing.assert_close(each[:, target.known(truth)].mean(1), loss, rtol=1e-5, atol=1e-6)


def quality_lies_between_0_and_1(target: Target, truth: Tensor) -> None:
    given = outputs(target)
    for each in (target.each_quality(given, truth), *(target.each_score(one, given, truth) for one in target.measures)):
        assert each.shape == (P, B)
        assert ((each >= 0) & (each <= 1)).all()
    torch.testing.assert_close(target.each_quality(given, truth), target.each_score(target.measures[0], given, truth))


def reads_batches_as_the_whole(target: Target, truth: Tensor) -> None:
    given = outputs(target).detach()
    for measure in target.measures:
        whole, parts = target.reading(measure), target.reading(measure)
        whole.add(given, truth)
        for i in range(0, B, 5):
            parts.add(given[:, i : i + 5], truth[i : i + 5])
        for one, other in zip(target.fitnesses([whole], measure), target.fitnesses([parts], measure), strict=True):
            assert one == pytest.approx(other, abs=1e-5)
            assert 0 <= one.score <= 1
            assert math.isfinite(one.log_likelihood)


def scores_one_network_as_a_path_of_many(target: Target, truth: Tensor) -> None:
    given = outputs(target).detach()
    for measure in target.measures:
        reading = target.reading(measure)
        reading.add(given, truth)
        many = target.fitnesses([reading], measure)
        for one, fitness in zip(given, many, strict=True):
            assert target.fitness(measure, target.said(one, truth), truth) == pytest.approx(fitness, abs=1e-5)


def says_a_row_an_image(target: Target, truth: Tensor) -> None:
    given = outputs(target, 1)[0].detach()
    whole = target.said(given, truth)
    parts = [target.said(given[i : i + 5], truth[i : i + 5]) for i in range(0, B, 5)]
    assert whole
    for name, rows in whole.items():
        assert len(rows) == B
        torch.testing.assert_close(torch.cat([part[name] for part in parts]), rows)
    assert math.isfinite(target.stopping(whole, truth))
    full = target.said_in_full(given, truth)
    assert all(len(rows) == B for rows in full.values())
    assert all(torch.equal(full[name], rows) for name, rows in whole.items()), "in full means more, not else"


def prefers_the_better_answer(target: Target, truth: Tensor) -> None:
    """A few hundred steps on these images: loss falls, score, stopping and quality rise."""
    given = outputs(target, 1).detach().requires_grad_()
    before, optimiser = target.said(given.detach()[0], truth), torch.optim.Adam([given], 0.05)
    loss = target.loss(truth)
    for _ in range(400):
        optimiser.zero_grad()
        loss(given, truth).sum().backward()
        optimiser.step()
    after, first = target.said(given.detach()[0], truth), target.measures[0]
    assert target.fitness(first, after, truth) > target.fitness(first, before, truth)
    assert target.stopping(after, truth) > target.stopping(before, truth)
    fixed, known = target.fix("argmax", after, truth), target.known(truth).numpy()
    better, worse = (target.quality(said, truth, fixed)[known].mean() for said in (after, before))
    assert better > worse
    assert target.blind(truth) <= target.fitness(first, after, truth).score
    row = target.paired(first, truth, (after, fixed), (before, fixed), None)
    assert row["difference"] > 0
    assert row["p"] < 0.05, "and a test shows it"


def errors_are_errors(target: Target, truth: Tensor) -> None:
    said = [target.said(one, truth) for one in outputs(target).detach()]
    for measure in target.measures:
        own, gaps = target.errors(measure, said, truth, None)
        assert len(own) == len(gaps) == P
        assert min(own) > 0
        assert min(gaps) > 0, "no error is 0: few images say little"
        assert 0 < target.error_of(measure, 1.0, truth) < 1


def assesses_in_plain_values_whatever_the_order(target: Target, truth: Tensor) -> None:
    given, order = outputs(target, 1)[0].detach(), torch.randperm(B, generator=torch.Generator().manual_seed(2))
    found = target.assess(target.said(given, truth), truth, None, None)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    known = target.known(truth).numpy()
    assert found["n"] == known.sum()
    first = target.measures[0]
    low, high = found["ci95"][first]
    assert low <= found[first] <= high
    other = target.assess(target.said(given[order], truth[order]), truth[order], None, None)
    assert other[first] == pytest.approx(found[first])
    groups = np.array([str(i // 4) for i in range(B)])
    grouped = target.assess(target.said(given, truth), truth, None, groups)
    assert grouped["intervals"]["groups"] == len(set(groups[known]))
    full = target.assess(target.said_in_full(given, truth), truth, None, groups)
    assert json.loads(json.dumps(full, allow_nan=False)) == full
    assert all(rate in found for rate in (*target.rates, *target.summed))
    empty = target.assess(target.said(given[:0], truth[:0]), truth[:0], None, None)
    assert empty["n"] == 0
    assert empty[first] is None


def leaves_unknown_truth_out(target: Target, truth: Tensor) -> None:
    """Every number is that of the images whose truth is known, alone."""
    known, given = target.known(truth), outputs(target).detach().requires_grad_()
    assert known.shape == (B,)
    assert known.dtype == torch.bool
    assert known.any()
    some, own = given[:, known], truth[known]
    for each in (target.each_loss(given, truth), target.each_quality(given, truth)):
        assert torch.isfinite(each).all()
    loss = target.loss(truth)(given, truth)
    torch.testing.assert_close(loss, target.loss(own)(some, own), rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(loss.sum(), given)
    assert torch.isfinite(gradient).all()
    assert not gradient[:, ~known].any(), "nothing is learned from what is not known"
    every, part = ([target.said(one, of) for one in what.detach()] for what, of in ((given, truth), (some, own)))
    groups = np.array([str(i // 4) for i in range(B)])
    for measure in target.measures:
        readings = [target.reading(measure) for _ in range(2)]
        for reading, what, of in zip(readings, (given, some), (truth, own), strict=True):
            reading.add(what.detach(), of)
        first, second = (target.fitnesses([reading], measure) for reading in readings)
        for one, other in zip(first, second, strict=True):
            assert one == pytest.approx(other, abs=1e-6)
        assert target.fitness(measure, every[0], truth) == pytest.approx(target.fitness(measure, part[0], own))
        for one, other in zip(
            target.errors(measure, every, truth, groups),
            target.errors(measure, part, own, groups[known]),
            strict=True,
        ):
            assert one == pytest.approx(other)
        assert target.error_of(measure, 0.5, truth) == pytest.approx(target.error_of(measure, 0.5, own))
        both = [((of[0], None), (of[1], None)) for of in (every, part)]
        row = target.paired(measure, truth, *both[0], groups)
        assert row == pytest.approx(target.paired(measure, own, *both[1], groups[known]))
    assert target.stopping(every[0], truth) == pytest.approx(target.stopping(part[0], own))
    found, alone = target.assess(every[0], truth, None, groups), target.assess(part[0], own, None, groups[known])
    assert found.pop("without_truth", 0) == int((~known).sum())
    assert alone.pop("without_truth", 0) == 0
    assert flat(found) == pytest.approx(flat(alone), nan_ok=True)
    assert target.blind(truth) == pytest.approx(target.blind(own))


def flat(found: object, name: str = "") -> dict[str, float]:
    """The numbers of nested fields."""
    if isinstance(found, (dict, list, tuple)):
        pairs = found.items() if isinstance(found, dict) else enumerate(found)
        return {key: value for at, one in pairs for key, value in flat(one, f"{name}.{at}").items()}
    return {name: found} if isinstance(found, (int, float)) else {}


def warps_the_truth_of_each_image_by_itself(target: Target, truth: Tensor) -> None:
    still, turned = (
        [Warp()] * B,
        [Warp(flip=i % 2 == 0, scale=1 + 0.1 * (i % 3), angle=5.0 * (i % 5)) for i in range(B)],
    )
    torch.testing.assert_close(target.warped(truth, still), truth, rtol=1e-5, atol=1e-6, equal_nan=True)
    mirrored = target.warped(target.warped(truth, [Warp(flip=True)] * B), [Warp(flip=True)] * B)
    torch.testing.assert_close(mirrored, truth, rtol=1e-5, atol=1e-6, equal_nan=True)
    found = target.warped(truth, turned)
    assert found.shape == truth.shape
    assert found.dtype == truth.dtype
    assert not target.known(found)[~target.known(truth)].any(), "what is not known stays so"
    alone = torch.cat([target.warped(truth[i : i + 1], turned[i : i + 1]) for i in range(B)])
    torch.testing.assert_close(found, alone, equal_nan=True)


def answers_each_image_by_itself(target: Target, truth: Tensor) -> None:
    """Where it says how outputs become answers: one an image, at that image's size, whatever the batch."""
    if not target.answers():
        return
    given = outputs(target, 1)[0].detach()
    sizes = [(5 + i % 3, 9 - i % 4) for i in range(B)]
    whole = list(target.decoded(given, None, sizes))
    assert len(whole) == B
    alone = [next(target.decoded(given[i : i + 1], None, sizes[i : i + 1])) for i in range(B)]
    for one, other, (width, height) in zip(whole, alone, sizes, strict=True):
        for picture, again in ((one.mask, other.mask), (one.image, other.image)):
            assert (picture is None) == (again is None)
            if picture is not None:
                assert picture.dtype == np.uint8
                assert picture.shape[:2] == (height, width)
                assert np.array_equal(picture, again)
        assert {"class": one.label, "mask": one.mask, "box": one.box, "image": one.image}[target.gives] is not None
        assert one.label is None or one.probability == one.probabilities[one.label]
        assert one.probabilities == pytest.approx(other.probabilities)
        if one.box is not None:
            assert one.box == pytest.approx(other.box)
            assert 0 <= one.box[0] <= one.box[2] <= width
            assert 0 <= one.box[1] <= one.box[3] <= height
        if one.mask is not None:
            counted = {name: int((one.mask == k).sum()) for k, name in enumerate(target.names) if k}
            assert {name: area.pixels for name, area in one.areas.items()} == counted
            assert all(area.share == area.pixels / (width * height) for area in one.areas.values())
    name, said = target.graphed(given, None)
    assert name
    assert len(said) == B


def cuts_by_strata(target: Target, truth: Tensor) -> None:
    assert target.strata(truth).shape == (B,)


def shows_what_its_form_needs(target: Target, truth: Tensor) -> None:
    found = target.shown(outputs(target, 1)[0].detach(), truth)
    if target.shows is None:
        assert not found, "nobody draws it"
        return
    parts = {name: found[name] for name in ("truth", "answer")}
    for part in parts.values():
        assert part.device.type == "cpu"
        assert part.shape == parts["truth"].shape
        if target.shows == "boxes":
            assert part.shape == (B, 4)
            assert ((part >= 0) & (part <= 1)).all()
        else:
            assert part.dtype == torch.uint8
            assert part.ndim == {"outlines": 3, "pictures": 4}[target.shows]
    backwards = target.shown(outputs(target, 1)[0].detach().flip(0), truth.flip(0))
    assert all(torch.equal(backwards[name].flip(0), part) for name, part in parts.items()), "each image by itself"


PROMISES: tuple[Callable[[Target, Tensor], None], ...] = (
    has_the_shape_that_it_says,
    loss_is_one_value_a_path_and_none_is_anothers,
    quality_lies_between_0_and_1,
    reads_batches_as_the_whole,
    scores_one_network_as_a_path_of_many,
    says_a_row_an_image,
    prefers_the_better_answer,
    errors_are_errors,
    assesses_in_plain_values_whatever_the_order,
    leaves_unknown_truth_out,
    warps_the_truth_of_each_image_by_itself,
    cuts_by_strata,
    answers_each_image_by_itself,
    shows_what_its_form_needs,
)


def broken(target: Target, truth: Tensor) -> Iterator[str]:
    """The promises that a target breaks, by name."""
    for promise in PROMISES:
        try:
            promise(target, truth)
        except Exception:
            yield promise.__name__
