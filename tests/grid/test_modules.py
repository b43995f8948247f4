"""Module kinds: one contract for all of them, and the vocabularies that layers offer."""

from __future__ import annotations

import math
from math import prod

import pytest
import torch
from torch import nn

from data_prep.errors import PathsearchError
from pathsearch.grid import modules
from pathsearch.grid.blueprint import Blueprint
from pathsearch.grid.modules import KINDS, build, initialise, normalise, register
from pathsearch.grid.vocabulary import MIXED_FIRST, MIXED_LATER, chain

MAP, WIDTH = (6, 4, 3), 10
PLACES = {"features": MAP}
ON_MAPS = ["bottleneck", "conv1x1", "conv3x3", "dilated", "osa", "pool", "separable"]
RESIZING = ["double", "strided"]
TO_MAPS = ["map"]  # at every position, so that their outputs are maps
ON_VECTORS = ["gated", "gelu", "linear", "normalised", "relu", "scale", "skip"]


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(kind: str, seed: int = 0) -> tuple[nn.Module, tuple[int, ...], tuple[int, ...]]:
    in_shape = (WIDTH,) if kind in ON_VECTORS else MAP
    to_maps = {**dict.fromkeys(TO_MAPS, (WIDTH, *MAP[1:])), **dict.fromkeys(RESIZING, (WIDTH, 2, 2))}
    out_shape = to_maps.get(kind, (WIDTH,))
    return build(f"{kind}-5", in_shape, out_shape, stream(seed)), in_shape, out_shape


# --- the contract of a kind ---------------------------------------------------------------------------------


def test_the_contract_covers_every_registered_kind():
    assert sorted(KINDS) == sorted(ON_MAPS + ON_VECTORS + RESIZING + TO_MAPS)


@pytest.mark.parametrize("kind", KINDS)
def test_output_has_the_promised_shape(kind):
    module, in_shape, out_shape = make(kind)
    assert module(torch.randn(7, *in_shape, generator=stream())).shape == (7, *out_shape)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_does_not_see_the_rest_of_its_batch(kind):
    module, in_shape, _ = make(kind)
    x = torch.randn(7, *in_shape, generator=stream())
    together = module.train()(x)
    alone = torch.cat([module.eval()(one[None]) for one in x])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert list(module.buffers()) == []  # nothing that a forward pass could change


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_initialised_and_learns(kind):
    module, in_shape, _ = make(kind)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(math.nan)
    initialise(module, stream())
    assert all(parameter.isfinite().all() for parameter in module.parameters())
    x = torch.randn(5, *in_shape, generator=stream(1)).requires_grad_()
    module(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_depend_on_the_given_generator_only(kind):
    torch.manual_seed(1)
    first = make(kind)[0].state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again, other = make(kind)[0].state_dict(), make(kind, seed=1)[0].state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    if any(name.endswith("weight") for name in first) and kind != "scale":
        assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_of_noise_keeps_its_scale(kind):
    module, in_shape, _ = make(kind)
    with torch.no_grad():
        spread = module(torch.randn(500, *in_shape, generator=stream())).std().item()
    assert 0.05 < spread < 3  # neither dead nor exploding at the start


# --- single kinds -------------------------------------------------------------------------------------------


def test_initial_weights_are_lecun_uniform():
    weight = build("linear", (400,), (100,), stream())[1].weight  # type: ignore[index]
    bound = math.sqrt(3 / 400)  # variance bound² / 3 = 1 / fan-in
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.99 * bound
    assert weight.var().item() == pytest.approx(1 / 400, rel=0.02)


def test_fan_in_of_a_depthwise_convolution_is_its_window():
    depthwise = nn.Conv2d(8, 8, 5, groups=8)
    initialise(depthwise, stream())
    assert depthwise.weight.abs().max() <= math.sqrt(3 / 25)
    assert depthwise.weight.abs().max() > 0.9 * math.sqrt(3 / 25)
    assert depthwise.bias is not None
    assert not depthwise.bias.any()


@pytest.mark.parametrize(
    ("specification", "in_shape", "parameters"),
    [
        ("conv3x3-16", MAP, 6 * 16 * 9 + 16 + 16 * 12 * WIDTH + WIDTH),  # 12 positions are read out
        ("conv1x1-4", MAP, 6 * 4 + 4 + 4 * 12 * WIDTH + WIDTH),
        ("pool", MAP, 6 * WIDTH + WIDTH),
        ("pool-4", MAP, 6 * 4 + 4 * WIDTH + WIDTH),
        ("skip", (WIDTH,), 0),
        ("scale", (WIDTH,), WIDTH),
        ("linear", (WIDTH,), WIDTH * WIDTH + WIDTH),
        ("linear-4", (WIDTH,), WIDTH * 4 + 4 + 4 * WIDTH + WIDTH),
        ("gelu-16", (WIDTH,), WIDTH * 16 + 16 + 16 * WIDTH + WIDTH),
        ("gated-16", (WIDTH,), WIDTH * 32 + 32 + 16 * WIDTH + WIDTH),
        ("normalised-16", (WIDTH,), WIDTH * 16 + 16 + 2 * 16 + 16 * WIDTH + WIDTH),
    ],
)
def test_number_of_parameters_by_hand(specification, in_shape, parameters):
    module = build(specification, in_shape, (WIDTH,), stream())
    assert sum(p.numel() for p in module.parameters()) == parameters


def test_skip_is_the_input_and_scale_starts_as_it():
    x = torch.randn(3, WIDTH, generator=stream())
    assert torch.equal(build("skip", (WIDTH,), (WIDTH,), stream())(x), x)
    assert torch.equal(build("scale", (WIDTH,), (WIDTH,), stream())(x), x)
    maps = torch.randn(3, *MAP, generator=stream())
    assert torch.equal(build("skip", MAP, MAP, stream())(maps), maps)
    assert torch.equal(build("skip", MAP, (prod(MAP),), stream())(maps), maps.flatten(1))


def test_convolution_keeps_a_map_where_the_grid_asks_for_one():
    module = build("conv3x3-16", MAP, (16, 4, 3), stream())
    assert module(torch.zeros(2, *MAP)).shape == (2, 16, 4, 3)


def test_gated_by_hand():
    module = build("gated-1", (1,), (1,), stream())
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.weight.fill_(2.0)
    # Hidden units 2x and 2x; the second gates the first: 2x · sigmoid(2x); the last map doubles it. x = 0.5.
    assert module(torch.tensor([[0.5]])).item() == pytest.approx(2 * 1.0 / (1 + math.exp(-1.0)))


@pytest.mark.parametrize("shape", [(5,), (4, 3, 2)])
def test_normalise_makes_each_image_standard(shape):
    x = 3 + 7 * torch.randn(4, *shape, generator=stream())
    flat = normalise(x).flatten(1)
    torch.testing.assert_close(flat.mean(1), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(flat.var(1, correction=0), torch.ones(4), atol=1e-3, rtol=0)


# --- errors -------------------------------------------------------------------------------------------------


def test_unknown_kind_gets_the_nearest_name():
    with pytest.raises(PathsearchError, match=r"registered name, got 'conv3x2'; did you mean 'conv3x3'\?"):
        build("conv3x2-16", MAP, (WIDTH,), stream())


def test_kind_unlike_any_gets_the_list():
    with pytest.raises(PathsearchError, match=r"got 'transformer\?'; known kinds: conv3x3, .*normalised"):
        build("transformer?", MAP, (WIDTH,), stream())


@pytest.mark.parametrize("kind", ["skip", "scale"])
def test_kinds_that_cannot_change_the_shape_say_so(kind):
    message = rf"module kind {kind}: expected equal shapes, got \(10,\) and \(9,\)"
    with pytest.raises(PathsearchError, match=message):
        build(kind, (10,), (9,), stream())


@pytest.mark.parametrize("shapes", [((WIDTH,), (2, 4, 3)), (MAP, (WIDTH,)), (MAP, (2, 4, 4))])
def test_a_map_is_made_of_a_map_of_its_size(shapes):
    with pytest.raises(PathsearchError, match=r"module kind map: expected two maps .* of one size, got \("):
        build("map", *shapes, stream())


def test_a_map_is_one_linear_map_at_every_position():
    module, x = build("map", MAP, (2, *MAP[1:]), stream()), torch.randn(3, *MAP, generator=stream(1))
    weight, bias = module.state_dict()["weight"][..., 0, 0], module.state_dict()["bias"]
    bias += torch.tensor([1.0, -1.0])  # in place
    expected = torch.einsum("kc,bchw->bkhw", weight, x) + bias[:, None, None]
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-6)
    assert sum(p.numel() for p in module.parameters()) == 2 * 6 + 2


def test_convolution_refuses_a_map_of_another_size():
    with pytest.raises(PathsearchError, match=r"expected out_shape \(16, 4, 3\), got \(16, 2, 2\)"):
        build("conv3x3-16", MAP, (16, 2, 2), stream())


def test_a_kind_is_registered_once(monkeypatch):
    monkeypatch.setattr(modules, "KINDS", dict(KINDS))
    register("mine")(lambda in_shape, out_shape, size: nn.Identity())
    with pytest.raises(ValueError, match="module kind 'mine' is registered twice"):
        register("mine")(lambda in_shape, out_shape, size: nn.Identity())


def test_a_new_kind_needs_nothing_but_its_registration(monkeypatch):
    monkeypatch.setattr(modules, "KINDS", dict(KINDS))

    @register("doubled")
    def doubled(in_shape, out_shape, size):
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(in_shape), 2 * size), nn.Linear(2 * size, out_shape[0]))

    module = build("doubled-3", MAP, (WIDTH,), stream())
    assert module(torch.zeros(2, *MAP)).shape == (2, WIDTH)


# --- vocabularies -------------------------------------------------------------------------------------------


def test_mixed_vocabulary():
    made = chain("mixed", 3, 10, PLACES, WIDTH)
    assert made.shapes == [MAP, (WIDTH,), (WIDTH,), (WIDTH,)]
    assert [layer.reads for layer in made.layers] == [("features",), ("layer1",), ("layer2",)]
    kinds = made.specifications
    assert kinds == [list(MIXED_FIRST), list(MIXED_LATER), list(MIXED_LATER)]
    assert all(len(set(layer)) == 10 for layer in kinds)  # a choice means something


def test_vocabulary_starts_again_when_the_layer_is_longer():
    kinds = chain("mixed", 2, 13, PLACES, WIDTH).specifications
    assert kinds[0] == [*MIXED_FIRST, *MIXED_FIRST[:3]]
    assert kinds[1] == [*MIXED_LATER, *MIXED_LATER[:3]]


def test_paper_vocabulary_is_identical_modules():
    made = chain("paper", 3, 4, PLACES, WIDTH)
    assert made.shapes == [MAP, (16, 4, 3), (WIDTH,), (WIDTH,)]
    assert made.specifications == [["conv3x3-16"] * 4, ["relu"] * 4, ["relu"] * 4]


def test_paper_vocabulary_of_one_layer_ends_in_a_vector():
    assert chain("paper", 1, 2, PLACES, WIDTH) == Blueprint.chain([MAP, (WIDTH,)], [["conv3x3-16"] * 2])


def test_mixed_vocabulary_spans_sizes():
    def sizes(layer: tuple[str, ...], in_shape: tuple[int, ...]) -> list[int]:
        built = [build(kind, in_shape, (64,), stream()) for kind in layer]
        return sorted(sum(p.numel() for p in module.parameters()) for module in built)

    first, later = sizes(MIXED_FIRST, (64, 4, 4)), sizes(MIXED_LATER, (64,))
    assert first[-1] > 50 * first[0]
    assert later[0] == 0
    assert later[-1] > 50 * later[1]


def test_unknown_vocabulary_is_refused():
    with pytest.raises(
        PathsearchError, match=r"blueprint: expected one of mixed, paper, .*; got 'papers'; did you mean 'paper'"
    ):
        chain("papers", 3, 10, PLACES, WIDTH)
