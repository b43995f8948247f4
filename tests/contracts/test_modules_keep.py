"""Every module kind of the package keeps the promises; kinds that break one are seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pathsearch.grid.modules import KINDS, built_in
from pathsearch.grid.vocabulary import MIXED_FIRST, MIXED_LATER

from module_contract import PROMISES, broken, check_module  # isort: skip

MAP, VECTOR = (6, 3, 3), (8,)
ALONE = {"skip", "scale"}  # their input has the size of their output
RESIZING = ("strided", "double")  # from a map to one of another size


@pytest.mark.parametrize("specification", sorted({*MIXED_FIRST, "conv3x3-4"}))
def test_kinds_on_maps_keep_every_promise(specification):
    check_module(specification, MAP, VECTOR)


@pytest.mark.parametrize("specification", sorted({*MIXED_LATER, "relu"}))
def test_kinds_on_vectors_keep_every_promise(specification):
    check_module(specification, VECTOR, VECTOR)
    if specification not in ALONE:
        check_module(specification, (2, 2, 2), VECTOR)


@pytest.mark.parametrize("specification", sorted(one for one in MIXED_FIRST if not one.startswith("pool")))
def test_kinds_that_keep_positions_keep_every_promise_from_map_to_map(specification):
    kind, _, size = specification.partition("-")
    channels = int(size) * (2 if kind == "bottleneck" else 1)  # which goes up again
    check_module(specification, MAP, (channels, *MAP[1:]))


@pytest.mark.parametrize("specification", RESIZING)
@pytest.mark.parametrize("out_shape", [(4, 6, 6), (4, 3, 3), (5, 2, 2)])
def test_kinds_with_a_stride_keep_every_promise(specification, out_shape):
    check_module(specification, (3, 6, 6), out_shape)


def test_kinds_with_a_stride_refuse_what_no_stride_makes():
    for out_shape in [(4, 4, 4), (4, 3, 2), (4, 12, 12), (8,)]:
        assert list(broken("double", (3, 6, 6), out_shape)) == [promise.__name__ for promise in PROMISES], out_shape


def test_the_dense_head_keeps_every_promise():
    check_module("map", MAP, (4, *MAP[1:]))


def test_the_input_itself_may_be_a_map():
    check_module("skip", MAP, MAP)


def test_kinds_of_vectors_refuse_to_put_out_maps():
    for specification in {one for one in (*MIXED_LATER, "relu", "pool") if one != "skip"}:
        assert list(broken(specification, MAP, MAP)) == [promise.__name__ for promise in PROMISES], specification


def test_no_kind_is_left_out():
    tried = {one.partition("-")[0] for one in (*MIXED_FIRST, *MIXED_LATER, "relu", "map", *RESIZING)}
    assert tried == built_in()


class _Linear(nn.Module):
    """Keeps every promise; each of those below breaks one."""

    def __init__(self, in_shape, out_shape, size):
        super().__init__()
        self.linear = nn.Linear(in_shape[0], out_shape[0])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.linear(x)
        return found


class _Infinite(_Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 0


class _Centred(_Linear):
    """Looks at the other images of its batch."""

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found - found.mean(0)


class _Noisy(_Linear):
    """Draws at every pass."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(())


class _Idle(_Linear):
    """Has weights that nothing reads."""

    def __init__(self, in_shape, out_shape, size):
        super().__init__(in_shape, out_shape, size)
        self.spare = nn.Linear(2, 2)


class _Dead(_Linear):
    """Reads its weights, but learns nothing by them."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0 + x


class _Counting(_Linear):
    """Remembers."""

    def __init__(self, in_shape, out_shape, size):
        super().__init__(in_shape, out_shape, size)
        self.register_buffer("seen", torch.zeros(1))


class _Global(_Linear):
    """Draws from everybody's generator."""

    def __init__(self, in_shape, out_shape, size):
        super().__init__(in_shape, out_shape, size)
        self.scale = nn.Parameter(torch.ones(out_shape[0]))

    def draw(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.scale)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class _Constant(_Global):
    """Weights that no seed changes."""

    def __init__(self, in_shape, out_shape, size):
        nn.Module.__init__(self)
        self.scale = nn.Parameter(torch.ones(out_shape[0]))

    def draw(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            self.scale.copy_(torch.arange(len(self.scale)) + 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class _Aside(_Global):
    """Draws a number that is no parameter: neither its twins nor its file know it."""

    factor = 1.0

    def draw(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.scale)
        self.factor = torch.rand((), generator=generator).item()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.factor


FAULTS = [
    (_Infinite, "puts_out_its_shape"),
    (_Global, "is_drawn_from_its_generator_alone"),
    (_Constant, "is_drawn_from_its_generator_alone"),
    (_Counting, "has_no_buffers"),
    (_Centred, "answers_each_image_by_itself"),
    (_Noisy, "answers_each_image_by_itself"),
    (_Idle, "learns_with_all_its_weights"),
    (_Dead, "learns_with_all_its_weights"),
    (_Aside, "is_the_same_alone_beside_twins_and_as_copies"),
    (_Aside, "is_saved_and_loaded"),
]


@pytest.mark.parametrize(("kind", "promise"), FAULTS)
def test_a_broken_promise_is_seen(kind, promise, monkeypatch):
    monkeypatch.setitem(KINDS, "faulty", kind)
    assert promise in list(broken("faulty", VECTOR, VECTOR))


def test_every_promise_can_be_broken_and_none_is_without_need(monkeypatch):
    assert {promise for _, promise in FAULTS} == {promise.__name__ for promise in PROMISES}
    monkeypatch.setitem(KINDS, "sound", _Linear)
    assert list(broken("sound", VECTOR, VECTOR)) == []
