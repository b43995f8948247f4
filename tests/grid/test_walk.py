"""One walk, three forms: a path's network, the population pass and copies say the same on any blueprint."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from blueprints import BATCH, CLASSES, STAGES, U, blueprints, grid_of, loop, paths_of, source
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError

from pathsearch.grid.blueprint import Blueprint, Layer
from pathsearch.grid.copies import Copies
from pathsearch.grid.grid import Grid, dropout_masks
from pathsearch.grid.path import Path
from pathsearch.grid.population import forward, plan
from pathsearch.grid.walk import resized, walk
from pathsearch.training.cost import Meter, multiply_adds


def masks_for(grid: Grid, rate: float | Tensor) -> list[Tensor] | None:
    masks = dropout_masks(grid.shapes[1:], BATCH, rate, torch.Generator().manual_seed(1))
    return masks and [mask.double() for mask in masks]


def loss_of(outputs: Tensor) -> Tensor:  # (P, B, K) -> ()
    truth = torch.arange(outputs.shape[1]) % CLASSES
    return F.cross_entropy(outputs.flatten(0, 1), truth.repeat(len(outputs)), reduction="sum")


def gradients(network: nn.Module, loss: Tensor) -> dict[str, Tensor | None]:
    network.zero_grad(set_to_none=True)
    loss.backward()
    return {name: None if p.grad is None else p.grad.clone() for name, p in network.named_parameters()}


def assert_same_gradients(got: dict[str, Tensor | None], expected: dict[str, Tensor | None]) -> None:
    assert {name for name, one in got.items() if one is None} == {n for n, one in expected.items() if one is None}
    for name, one in expected.items():
        if one is not None:
            torch.testing.assert_close(got[name], one, rtol=1e-8, atol=1e-10, msg=name)


def assert_pass_is_the_loop(grid: Grid, paths: Sequence[Path], rate: float) -> None:
    x, masks = source(grid.blueprint).requires_grad_(), masks_for(grid, rate)
    expected = loop(grid, paths, x, masks)
    of_loop = gradients(grid, loss_of(expected))
    x_gradient, x.grad = x.grad, None
    got = forward(grid, "planted", plan(paths, grid.blueprint), x, masks)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)
    assert_same_gradients(gradients(grid, loss_of(got)), of_loop)
    torch.testing.assert_close(x.grad, x_gradient, rtol=1e-8, atol=1e-10)


def assert_copies_are_alone(grid: Grid, paths: Sequence[Path], rate: float | Tensor) -> None:
    x, masks = source(grid.blueprint), masks_for(grid, rate)
    copies = Copies(grid, "planted", paths)
    outputs = copies(x, masks)
    loss_of(outputs).backward()
    for p, path in enumerate(paths):
        alone = grid.network(path, "planted")
        own_masks = masks and [mask if rate.ndim == 0 else mask[p] for mask in masks]
        own = alone(x, own_masks)
        torch.testing.assert_close(outputs[p], own, rtol=1e-9, atol=1e-10)
        loss_of(own[None]).backward()
        for number, layer in enumerate(path.layers):
            for index, module in zip(layer, alone.modules_of(number), strict=True):
                stack = next(s for s in copies.layers[number] if s.__dict__["template"] is grid.module(number, index))
                row = stack.owners.tolist().index(p)
                for place, parameter in enumerate(module.parameters()):
                    stacked = stack.get_parameter(f"stacked{place}").grad[row]
                    torch.testing.assert_close(stacked, parameter.grad, rtol=1e-7, atol=1e-9)


# --- the U ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_a_u_in_one_pass_is_its_paths_one_by_one(rate):
    grid = grid_of(U)
    assert_pass_is_the_loop(grid, [*paths_of(grid, 12), grid.space.full_path()], rate)


@pytest.mark.parametrize("rate", [torch.tensor(0.0), torch.tensor(0.3), torch.tensor([0.0, 0.25, 0.5, 0.0, 0.75])])
def test_copies_of_a_u_are_its_paths_one_by_one(rate):
    grid = grid_of(U)
    paths = paths_of(grid, 4)
    assert_copies_are_alone(grid, [*paths, paths[0]], rate)


def test_a_copy_alone():
    assert_copies_are_alone(grid_of(U), paths_of(grid_of(U), 1), torch.tensor(0.0))


def test_a_u_layer_by_layer():
    """The first module of each layer, written out."""
    grid = grid_of(U)
    x = source(U)
    fine, coarse = x[:, :192].view(-1, 3, 8, 8), x[:, 192:].view(-1, 5, 4, 4)

    def layer(number: int, *read: Tensor) -> Tensor:
        total = grid.module(number, 0)(torch.cat(read, 1))
        return F.layer_norm(total, total.shape[1:])

    def half(maps: Tensor) -> Tensor:
        return (maps[..., ::2, ::2] + maps[..., 1::2, ::2] + maps[..., ::2, 1::2] + maps[..., 1::2, 1::2]) / 4

    def double(maps: Tensor) -> Tensor:
        return maps.repeat_interleave(2, -1).repeat_interleave(2, -2)

    down1 = layer(0, fine)
    down2 = layer(1, half(down1))
    both = layer(2, coarse, half(fine))
    up1 = layer(3, double(down2), down1)
    up2 = layer(4, up1)
    expected = grid.heads["planted"](layer(5, up2, double(both)))
    torch.testing.assert_close(grid.network(Path.of([[0]] * 6), "planted")(x), expected)


def test_the_gradients_of_a_u_are_its_differences():
    # a path without ReLU, whose kink a difference may straddle
    network = grid_of(U).network(Path.parse("1+2|1+2|0+2|1+2|0+2|0+1"), "planted")
    x = source(U, 2).requires_grad_()
    torch.autograd.gradcheck(
        lambda x, *weights: network(x), (x, *network.parameters()), rtol=1e-5, atol=1e-8, fast_mode=True
    )


def test_a_wrong_gradient_is_found():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 1.001

    network = grid_of(U).network(Path.parse("1+2|1+2|0+2|1+2|0+2|0+1"), "planted")
    x = source(U, 2).requires_grad_()
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(lambda x: network(Wrong.apply(x)), (x,), rtol=1e-5, atol=1e-8, fast_mode=True)


def test_a_head_may_read_an_earlier_layer():
    early = Blueprint(
        STAGES,
        (
            Layer("a", ("fine",), (5,), ("pool", "conv1x1-2")),
            Layer("b", ("a",), (5,), ("relu", "skip")),
            Layer("c", ("a", "b"), (6,), ("linear", "relu")),
        ),
        "c",
    )
    assert_pass_is_the_loop(grid_of(early), paths_of(grid_of(early), 6), 0.2)


def test_an_image_does_not_see_the_rest_of_its_batch():
    grid, x = grid_of(U), source(U)
    whole = forward(grid, "planted", plan(paths_of(grid, 5), U), x)
    parts = [forward(grid, "planted", plan(paths_of(grid, 5), U), part) for part in x.split(3)]
    torch.testing.assert_close(whole, torch.cat(parts, 1))


def test_a_plan_for_another_blueprint_is_refused():
    grid = grid_of(U)
    with pytest.raises(ValueError, match="plan: expected one for this grid's blueprint, got one for another"):
        forward(grid, "planted", plan(paths_of(grid, 2)), source(U))


def test_a_network_needs_the_blueprint_of_its_layers():
    network = grid_of(U).network(Path.of([[0]] * 6), "planted")
    with pytest.raises(ValueError, match="expected the blueprint of its 5 layers"):
        type(network)(list(network.layers)[:5], network.head, U)
    with pytest.raises(ValueError, match="expected the blueprint of its 6 layers, got None"):
        type(network)(list(network.layers), network.head)


# --- any blueprint --------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(blueprints(), st.integers(0, 2**16), st.integers(1, 7), st.sampled_from([0.0, 0.3]))
def test_one_pass_is_the_loop_on_any_blueprint(blueprint, seed, n, rate):
    grid = grid_of(blueprint)
    paths = paths_of(grid, n, seed)
    assert_pass_is_the_loop(grid, [*paths, paths[0]], rate)


@settings(max_examples=25)
@given(blueprints(), st.integers(0, 2**16), st.integers(1, 4))
def test_copies_are_their_paths_on_any_blueprint(blueprint, seed, n):
    grid = grid_of(blueprint)
    assert_copies_are_alone(grid, paths_of(grid, n, seed), torch.tensor(0.2))


@settings(max_examples=60)
@given(blueprints(), st.integers(0, 2**16), st.integers(1, 8))
def test_every_distinct_pair_runs_once(blueprint, seed, n):
    """Rows of a layer's input are told apart by what is active in all layers that it depends on."""
    grid = grid_of(blueprint)
    paths = [*paths_of(grid, n, seed), *paths_of(grid, 1, seed)]
    behind: dict[str, set[int]] = {place: set() for place in blueprint.places}
    pairs: Counter[tuple[int, int]] = Counter()
    for number, layer in enumerate(blueprint.layers):
        before = set().union(*(behind[name] for name in layer.reads))
        histories = {(m, *(path.layers[n] for n in sorted(before))) for path in paths for m in path.layers[number]}
        pairs.update((number, history[0]) for history in histories)
        behind[layer.name] = before | {number}
    planned = plan(paths, blueprint)
    calls = {(number, module): n for number, one in enumerate(planned.layers) for module, n in one.calls}
    assert calls == dict(pairs)

    ran: Counter[tuple[int, int]] = Counter()
    hooks = [
        grid.module(number, m).register_forward_hook(
            lambda _, given, __, place=(number, m): ran.update({place: given[0].shape[0] // BATCH})
        )
        for number, kinds in enumerate(grid.specifications)
        for m in range(len(kinds))
    ]
    with torch.no_grad():
        forward(grid, "planted", planned, source(blueprint))
    for hook in hooks:
        hook.remove()
    assert ran == pairs, "no kind stands twice in a layer, so that no twins run as one"


# --- cost, places, sizes --------------------------------------------------------------------------------------------


def test_what_a_u_costs():
    grid = grid_of(U)
    meter = Meter(grid, "planted")
    first, second = Path.parse("0|0|0|0|0|0"), Path.parse("0|0|1|0|0|0")
    assert meter.path(first) == multiply_adds(grid.network(first, "planted"), grid.shapes[0])
    assert meter.together(plan([first, first], U)) == meter.path(first)
    both = meter.together(plan([first, second], U))
    assert both == meter.path(first) + meter.path(second) - sum(meter.modules[n][0] for n in (0, 1, 3, 4)), (
        "only the layer that reads both stages and what reads it run twice"
    )


def test_weights_go_back_to_their_places_and_ladders_fit():
    grid = grid_of(U)
    path = Path.parse("0+1|2|0|1|0+2|1")
    network = grid.network(path, "planted")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    grid.adopt(network, path, "planted")
    assert torch.equal(grid.network(path, "planted")(source(U)), network(source(U)))
    grid.freeze(path)
    assert not any(p.requires_grad for p in grid.network(path, "planted").layers.parameters())
    assert [len(one.layers) for one in grid.rungs(3)] == [6] * 3
    on_path = sum(p.numel() for p in network.parameters())
    assert grid.count_parameters(path, "planted") == on_path
    again = copy.deepcopy(network)
    assert torch.equal(again(source(U)), network(source(U)))


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        ((2, 2), [[0.0, 1.0], [2.0, 3.0]]),
        ((1, 1), [[1.5]]),
        ((4, 2), [[0.0, 1.0], [0.0, 1.0], [2.0, 3.0], [2.0, 3.0]]),
        ((1, 4), [[1.0, 1.0, 2.0, 2.0]]),
        ((3, 2), [[0.0, 1.0], [0.0, 1.0], [2.0, 3.0]]),
    ],
)
def test_maps_are_averaged_or_repeated(side, expected):
    maps = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    assert resized(maps, side)[0, 0].tolist() == expected


def test_maps_whose_sizes_do_not_divide():
    maps = torch.arange(3.0).view(1, 1, 1, 3)
    assert resized(maps, (1, 2)).flatten().tolist() == [0.5, 1.5]


def test_a_walk_lets_go_what_nothing_reads_any_more():
    import weakref

    chain = Blueprint.chain([(4,)] * 4, [["skip"]] * 3)
    alive: list[weakref.ref[Tensor]] = []

    def sums(number: int, read: Tensor) -> Tensor:
        if number == 2:
            assert alive[0]() is None, "the first layer's state is read by the second only"
        alive.append(weakref.ref(read) if number else weakref.ref(torch.zeros(1)))
        return read + 1

    with torch.no_grad():
        walk(chain, torch.zeros(2, 4), sums)
