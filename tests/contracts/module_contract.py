"""What every module kind must do: call `check_module` with the name of one of yours, `KIND` or `KIND-SIZE`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from pathsearch.grid import modules
from pathsearch.grid.copies import Stack
from pathsearch.grid.modules import Shape
from pathsearch.grid.population import together

B = 5  # images


def check_module(specification: str, in_shape: Shape, out_shape: Shape) -> None:
    """All promises, between these shapes; raises what the first broken one says."""
    for promise in PROMISES:
        promise(specification, in_shape, out_shape)


def made(specification: str, in_shape: Shape, out_shape: Shape, seed: int = 0) -> nn.Module:
    return modules.build(specification, in_shape, out_shape, torch.Generator().manual_seed(seed))


def images(in_shape: Shape, n: int = B) -> Tensor:
    return torch.randn(n, *in_shape, generator=torch.Generator().manual_seed(7))


def puts_out_its_shape(specification: str, in_shape: Shape, out_shape: Shape) -> None:
    found = made(specification, in_shape, out_shape)(images(in_shape))
    assert tuple(found.shape) == (B, *out_shape)
    assert torch.isfinite(found).all()


def is_drawn_from_its_generator_alone(specification: str, in_shape: Shape, out_shape: Shape) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = made(specification, in_shape, out_shape)
        torch.manual_seed(2)
        same, other = made(specification, in_shape, out_shape), made(specification, in_shape, out_shape, seed=1)
    weights = [list(module.state_dict().values()) for module in (one, same, other)]
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    drawn = [a for a in weights[0] if a.unique().numel() > 1]  # zeros and ones are drawn by nobody
    assert not drawn or not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


def has_no_buffers(specification: str, in_shape: Shape, out_shape: Shape) -> None:
    assert [name for name, _ in made(specification, in_shape, out_shape).named_buffers()] == []


def answers_each_image_by_itself(specification: str, in_shape: Shape, out_shape: Shape) -> None:
    module, x = made(specification, in_shape, out_shape), images(in_shape)
    alone = torch.cat([module(one[None]) for one in x])
    torch.testing.assert_close(module(x), alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module(x), module(x), rtol=0, atol=0)


def learns_with_all_its_weights(specification: str, in_shape: Shape, out_shape: Shape) -> None:
    module = made(specification, in_shape, out_shape)
    if not list(module.parameters()):
        return  # there is nothing to learn
    (module(images(in_shape, 64)) * images(out_shape, 64)).sum().backward()
    for name, weight in module.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def is_the_same_alone_beside_twins_and_as_copies(specification: str, in_shape: Shape, out_shape: Shape) -> None:
    x, several = images(in_shape), [made(specification, in_shape, out_shape, seed) for seed in range(3)]
    alone = [module(x) for module in several]
    for one, other in zip(together(several, x), alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    copies = Stack(several[0], range(2), torch.device("cpu"))(x, shared=True)
    for one in copies:
        torch.testing.assert_close(one, alone[0], rtol=1e-4, atol=1e-5)


def is_saved_and_loaded(specification: str, in_shape: Shape, out_shape: Shape) -> None:
    module, other = made(specification, in_shape, out_shape), made(specification, in_shape, out_shape, seed=1)
    other.load_state_dict(module.state_dict())
    x = images(in_shape)
    assert torch.equal(other(x), module(x))
    assert torch.equal(copy.deepcopy(module)(x), module(x))


PROMISES: tuple[Callable[[str, Shape, Shape], None], ...] = (
    puts_out_its_shape,
    is_drawn_from_its_generator_alone,
    has_no_buffers,
    answers_each_image_by_itself,
    learns_with_all_its_weights,
    is_the_same_alone_beside_twins_and_as_copies,
    is_saved_and_loaded,
)


def broken(specification: str, in_shape: Shape, out_shape: Shape) -> Iterator[str]:
    """The promises that a module kind breaks, by name."""
    for promise in PROMISES:
        try:
            promise(specification, in_shape, out_shape)
        except Exception:
            yield promise.__name__
