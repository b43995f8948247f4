"""What every target must do: call `check_target` with one of yours; each promise is checked on its own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from pathsearch.grid import modules
from pathsearch.targets.target import Target

SHAPE, P, B = (6,), 3, 24  # what the head reads, paths, images


def check_target(target: Target, truth: Tensor) -> None:
    """All promises, for the truth of B images (B, …); raises what the first broken one says."""
    assert len(truth) == B
    for promise in PROMISES:
        promise(target, truth)


def outputs(target: Target, n: int = P) -> Tensor:
    """(P, B, …) of untrained heads."""
    head, out_shape = target.head(SHAPE)
    x = torch.randn(B, *SHAPE, generator=torch.Generator().manual_seed(1))
    made = [modules.build(head, SHAPE, out_shape, torch.Generator().manual_seed(i)) for i in range(n)]
    return torch.stack([one(x) for one in made])


def has_the_shape_that_it_says(target: Target, truth: Tensor) -> None:
    assert tuple(outputs(target).shape) == (P, B, *target.head(SHAPE)[1])


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
    torch.testing.assert_close(each.mean(1), loss, rtol=1e-5, atol=1e-6)


def quality_lies_between_0_and_1(target: Target, truth: Tensor) -> None:
    each = target.each_quality(outputs(target), truth)
    assert each.shape == (P, B)
    assert ((each >= 0) & (each <= 1)).all()


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
    fixed = target.fix("argmax", after, truth)
    assert target.quality(after, truth, fixed).mean() > target.quality(before, truth, fixed).mean()
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
    assert found["n"] == B
    first = target.measures[0]
    low, high = found["ci95"][first]
    assert low <= found[first] <= high
    other = target.assess(target.said(given[order], truth[order]), truth[order], None, None)
    assert other[first] == pytest.approx(found[first])
    grouped = target.assess(target.said(given, truth), truth, None, np.array([str(i // 4) for i in range(B)]))
    assert grouped["intervals"]["groups"] == B // 4
    assert all(rate in found for rate in (*target.rates, *target.summed))
    empty = target.assess(target.said(given[:0], truth[:0]), truth[:0], None, None)
    assert empty["n"] == 0
    assert empty[first] is None


def cuts_by_strata(target: Target, truth: Tensor) -> None:
    assert target.strata(truth).shape == (B,)


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
    cuts_by_strata,
)


def broken(target: Target, truth: Tensor) -> Iterator[str]:
    """The promises that a target breaks, by name."""
    for promise in PROMISES:
        try:
            promise(target, truth)
        except Exception:
            yield promise.__name__
