"""Networks from pixels down and up again: one blueprint for every target, in all three forms of a network."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch
from blueprints import grid_of, loop, paths_of, source

from data_prep.errors import PathsearchError
from pathsearch.grid import population
from pathsearch.grid.blueprint import Blueprint, Layer
from pathsearch.grid.copies import Copies
from pathsearch.grid.grid import Grid, count
from pathsearch.grid.path import Path
from pathsearch.grid.vocabulary import blueprint_of
from pathsearch.run.settings import GridSettings

SETTINGS = GridSettings(modules="ums-rep", n_modules=2, max_active=2)
NAMES = ("ums-rep", "unet")


STAGES = {"stage1": (512, 2, 2), "stage2": (256, 5, 5), "stage3": (64, 11, 11)}


def upon(name: str, places: dict[str, tuple[int, ...]] = STAGES) -> Blueprint:
    """On an encoder's stages."""
    return blueprint_of(places, replace(SETTINGS, modules=name))


def made(name: str, side: int = 32) -> Blueprint:
    return blueprint_of({"pixels": (3, side, side)}, replace(SETTINGS, modules=name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["mask", "class"])
@pytest.mark.parametrize("on", ["pixels", "stages"])
def test_the_pass_and_the_copies_are_the_loop(name, kind, on):
    grid = grid_of((made(name, 16) if on == "pixels" else upon(name)).ending(kind))
    paths, x = paths_of(grid, 4), source(grid.blueprint, 2)
    expected = loop(grid, paths, x, None)
    found = population.forward(grid, "planted", population.plan(paths, grid.blueprint), x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(Copies(grid, "planted", paths)(x), expected)


@pytest.mark.parametrize("name", NAMES)
def test_each_target_has_what_leads_to_its_head(name):
    whole = made(name)
    assert whole.ending("mask").layers[-1].out_shape[1:] == (32, 32)
    assert whole.ending("class").layers[-1].name == "pooled"
    assert whole.ending("box").layers[-1].name == "placed"
    down = {kind: [one for one in whole.ending(kind).layers if one.name.startswith("down")] for kind in ("mask", "box")}
    assert down["mask"] == down["box"]
    assert {one.name for one in whole.ending("class").layers} == {*(one.name for one in down["mask"]), "pooled"}
    for kind in ("mask", "class"):  # layers that two targets share begin with the same weights
        weights = Grid(whole.ending(kind), SETTINGS, 3).module(0, 1).state_dict()
        assert all(map(torch.equal, weights.values(), Grid(whole, SETTINGS, 3).module(0, 1).state_dict().values()))


def test_stages_stand_for_layers_down():
    masks = {name: upon(name).ending("mask") for name in NAMES}
    assert [layer.reads for layer in masks["unet"].layers] == [("stage1", "stage2"), ("up1", "stage3")]
    assert [layer.reads for layer in masks["ums-rep"].layers] == [("stage1",), ("up1",)]
    for one in masks.values():
        assert [layer.out_shape for layer in one.layers] == [(64, 5, 5), (16, 11, 11)]
    for kind, name in (("class", "pooled"), ("box", "placed")):
        assert [(layer.name, layer.reads) for layer in upon("unet").ending(kind).layers] == [(name, ("stage1",))]
    alone = upon("unet", {"stage1": (64, 4, 4)}).ending("mask")
    assert [(layer.reads, layer.out_shape) for layer in alone.layers] == [(("stage1",), (16, 4, 4))]


def test_a_chain_ends_alike_for_every_target():
    chain = Blueprint.chain([(4,), (4,), (4,)], [["linear"], ["relu"]])
    assert chain.ending("mask") == chain


def test_sizes_are_those_of_the_paper():
    alone = replace(SETTINGS, n_modules=1, max_active=1)
    network = Grid(blueprint_of({"pixels": (3, 128, 128)}, alone).ending("image"), alone, 0)
    assert count(network) == pytest.approx(800_067, rel=0.03)  # table 4 of Zamzmi et al. 2021


def test_files_say_strides_and_heads():
    for name in NAMES:
        for one in (made(name), made(name).ending("mask"), made(name).ending("class"), upon(name)):
            again = Blueprint.of(one.shapes, one.specifications, json.loads(json.dumps(one.wiring)))
            assert again == one
            path = Path.of([[1]] * len(one.layers))
            assert [layer.at for layer in one.along(path).layers] == [layer.at for layer in one.layers]


def test_a_strided_layer_sees_twice_its_size():
    assert made("ums-rep").in_shapes[:2] == ((3, 32, 32), (32, 16, 16))
    assert made("unet").in_shapes[:2] == ((3, 32, 32), (16, 32, 32))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"features": (512,)}, "expected the image's pixels as one map, or an encoder's stages"),
        ({"pixels": (3, 32, 32), "more": (3, 32, 32)}, "give --encoder pixels, or --set encoder.sizes=own"),
        ({"pixels": (3, 70, 64)}, "expected sides that are multiples of 16, got 70x64; give --encoder pixels and "),
    ],
)
def test_what_it_cannot_stand_on_is_refused(places, message):
    with pytest.raises(PathsearchError, match=re.escape(message)):
        blueprint_of(places, SETTINGS)


@pytest.mark.parametrize("at", [(4,), (4, 0), (4, 4, 4), (4.0, 4)])
def test_a_size_that_is_none_is_refused(at):
    with pytest.raises(PathsearchError, match=r"blueprint layer 'a': expected `at` as \(height, width\)"):
        Blueprint({"x": (3, 8, 8)}, (Layer("a", ("x",), (4, 4, 4), ("strided",), at),))


def test_a_head_on_no_layer_is_refused():
    with pytest.raises(PathsearchError, match="blueprint head: expected one of a; got 'b'"):
        Blueprint({"x": (3, 8, 8)}, (Layer("a", ("x",), (4,), ("pool",)),), heads={"class": "b"})
