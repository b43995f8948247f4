"""Every module kind of the package keeps the promises; kinds that break one are seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pathsearch.grid.modules import BUILT_IN, KINDS
from pathsearch.grid.vocabulary import MIXED_FIRST, MIXED_LATER

from module_contract import broken, check_module  # isort: skip

MAP, VECTOR = (6, 3, 3), (8,)
ALONE = {"skip", "scale"}  # their input has the size of their output


@pytest.mark.parametrize("specification", sorted({*MIXED_FIRST, "conv3x3-4"}))
def test_kinds_on_maps_keep_every_promise(specification):
    check_module(specification, MAP, VECTOR)


@pytest.mark.parametrize("specification", sorted({*MIXED_LATER, "relu"}))
def test_kinds_on_vectors_keep_every_promise(specification):
    check_module(specification, VECTOR, VECTOR)
    if specification not in ALONE:
        check_module(specification, (2, 2, 2), VECTOR)


def test_no_kind_is_left_out():
    tried = {one.partition("-")[0] for one in (*MIXED_FIRST, *MIXED_LATER, "relu")}
    assert tried == BUILT_IN


class _Centred(nn.Module):
    """Looks at the other images of its batch."""

    def __init__(self, in_shape, out_shape, size):
        super().__init__()
        self.linear = nn.Linear(in_shape[0], out_shape[0])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.linear(x)
        return found - found.mean(0)


class _Idle(_Centred):
    """Has weights that nothing reads."""

    def __init__(self, in_shape, out_shape, size):
        super().__init__(in_shape, out_shape, size)
        self.spare = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.linear(x)
        return found


class _Counting(_Idle):
    """Remembers."""

    def __init__(self, in_shape, out_shape, size):
        super().__init__(in_shape, out_shape, size)
        self.register_buffer("seen", torch.zeros(1))


@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        (_Centred, "answers_each_image_by_itself"),
        (_Idle, "learns_with_all_its_weights"),
        (_Counting, "has_no_buffers"),
    ],
)
def test_a_broken_promise_is_seen(kind, promise, monkeypatch):
    monkeypatch.setitem(KINDS, "faulty", kind)
    found = list(broken("faulty", VECTOR, VECTOR))
    assert found[0] == promise or promise in found
