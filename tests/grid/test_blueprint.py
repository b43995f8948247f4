"""Blueprints: what a layer's modules see, what cannot be, and what is left of one in a file."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace

import pytest
import torch
from blueprints import STAGES, U, blueprints, grid_of, in_shape, paths_of, source
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from data_prep.errors import PathsearchError
from pathsearch.grid import blueprint as module
from pathsearch.grid.blueprint import BLUEPRINTS, Blueprint, Layer, register
from pathsearch.grid.grid import Grid, PathNetwork
from pathsearch.grid.path import Path
from pathsearch.grid.vocabulary import VOCABULARIES, blueprint_of, chain, check_vocabulary, refuse_idle_sizes
from pathsearch.run.settings import GridSettings


def layer(name: str = "a", reads: tuple[str, ...] = ("fine",), out: tuple[int, ...] = (4,)) -> Layer:
    return Layer(name, reads, out, ("pool",))


def refused(message: str):
    return pytest.raises(PathsearchError, match=re.escape(message))


# --- shapes ---------------------------------------------------------------------------------------------------------


def test_what_the_layers_of_a_u_see():
    assert U.in_shapes == ((3, 8, 8), (6, 4, 4), (8, 4, 4), (14, 8, 8), (6, 8, 8), (14, 8, 8))
    assert U.sides == ((8, 8), (4, 4), (4, 4), (8, 8), (8, 8), (8, 8))
    assert U.shapes == [(3 * 64 + 5 * 16,), (6, 8, 8), (8, 4, 4), (8, 4, 4), (6, 8, 8), (6, 8, 8), (7,)]
    assert U.links == ((None,), (0,), (None, None), (1, 0), (3,), (4, 2))
    assert (U.head, U.end, U.head_shape, U.positions) == ("out", 5, (7,), 64)


def test_with_a_vector_among_it_all_is_flattened():
    made = Blueprint(STAGES, (layer(), Layer("b", ("a", "coarse"), (4,), ("linear",))))
    assert made.in_shapes == ((3, 8, 8), (4 + 5 * 16,))
    assert made.sides == ((8, 8), None)


@given(blueprints())
def test_shapes_follow_the_rule(made):
    known = dict(made.places)
    for one, found in zip(made.layers, made.in_shapes, strict=True):
        assert found == in_shape([known[name] for name in one.reads], one.out_shape)
        known[one.name] = one.out_shape


def test_heads_read_the_last_layer_or_a_named_one():
    layers = (layer("a"), layer("b", ("a",)))
    assert Blueprint(STAGES, layers).head == "b"
    two = Blueprint(STAGES, (*layers, layer("c", ("a", "b"))), "c")
    assert two.head_shape == (4,)
    with refused("blueprint layer 'b': expected a later layer or the head to read it, got none"):
        Blueprint(STAGES, layers, head="a")


def test_nothing_is_kept_that_nothing_reads_any_more():
    assert [sorted(one) for one in U.spent] == [
        [],
        [],
        ["coarse", "fine"],
        ["down1", "down2"],
        ["up1"],
        ["both", "up2"],
    ]


def test_one_tensor_is_cut_into_places():
    x = torch.arange(2 * 272.0).view(2, 272)
    cut = U.cut(x)
    assert torch.equal(cut["fine"], x[:, :192].view(2, 3, 8, 8))
    assert torch.equal(cut["coarse"], x[:, 192:].view(2, 5, 4, 4))
    alone = Blueprint({"fine": (3, 8, 8)}, (layer(),))
    maps = torch.zeros(2, 3, 8, 8)
    assert alone.cut(maps)["fine"] is maps
    assert alone.shapes[0] == (3, 8, 8)


# --- what can be walked first -----------------------------------------------------------------------------------------


def test_a_u_is_parted_before_what_learns():
    first, rest = U.parted({"down1", "down2", "up2"})
    assert [layer.name for layer in first.layers] == ["down1", "down2"], "up2 reads up1, which learns"
    assert first.heads == {"down1": "down1", "down2": "down2"}
    assert list(rest.places) == ["fine", "coarse", "down1", "down2"]
    assert [layer.name for layer in rest.layers] == ["both", "up1", "up2", "out"]
    assert rest.head == "out"
    assert U.parted({"up1"}) == (None, U)
    assert U.parted([layer.name for layer in U.layers])[1] is None


@given(blueprints(), st.sets(st.integers(0, 4)))
def test_the_parts_of_a_network_say_what_the_whole_says(made, numbers):
    grid = grid_of(made)
    path = paths_of(grid, 1)[0]
    x, whole = source(made), grid.network(path, "planted")
    own = {layer.name: list(whole.modules_of(number)) for number, layer in enumerate(made.layers)}
    first, rest = whole.blueprint.parted({f"layer{number}" for number in numbers})
    assert len(first.layers if first else ()) + len(rest.layers if rest else ()) == len(made.layers)
    known = made.cut(x)
    if first:
        known |= PathNetwork([own[layer.name] for layer in first.layers], nn.Identity(), first).states(x)
    if rest:
        read = [known[name] for name in rest.places]
        read = read[0] if len(read) == 1 else torch.cat([one.flatten(1) for one in read], 1)
        found = PathNetwork([own[layer.name] for layer in rest.layers], whole.head, rest)(read)
    else:
        found = whole.head(known[made.head])
    assert torch.equal(found, whole(x))


# --- what cannot be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "blueprint: expected at least one layer, got none; add a Layer"),
        ([layer(), layer()], "blueprint layer 'a': expected a name that no place and no earlier layer has; rename it"),
        ([layer("fine")], "blueprint layer 'fine': expected a name that no place and no earlier layer has"),
        ([layer("")], "blueprint layer '': expected a name"),
        (
            [layer(reads=())],
            "blueprint layer 'a': expected places or layers to read, each once, got []; there are fine",
        ),
        ([layer(reads=("fine", "fine"))], "each once, got ['fine', 'fine']; there are fine, coarse"),
        (
            [layer(reads=("fin",))],
            "blueprint layer 'a': expected to read one of fine, coarse; got 'fin'; did you mean ",
        ),
        ([layer(reads=("x",))], "expected to read one of fine, coarse; got 'x'; name one of these"),
        ([layer(reads=("b",)), layer("b")], "blueprint layer 'a': reads 'b', which is not before it; read one of fine"),
        ([layer(reads=("a",))], "blueprint layer 'a': reads 'a', which is not before it"),
        ([layer(out=(0,))], "blueprint layer 'a': expected a shape (width,) or (channels, height, width), each at lea"),
        ([layer(out=(4, 2))], "each at least 1, got (4, 2); give one without the batch"),
        ([layer(out=(4, 2, -1))], "got (4, 2, -1)"),
        ([layer(out=(2.0,))], "got (2.0,)"),
        ([Layer("a", ("fine",), (4,), ())], "blueprint layer 'a': expected at least one module, got none"),
        ([layer(), layer("b")], "blueprint layer 'a': expected a later layer or the head to read it, got none"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(layers, message):
    with refused(message) as caught:
        Blueprint(STAGES, tuple(layers))
    assert "\n" not in str(caught.value)


def test_places_and_heads_that_cannot_be():
    with refused("blueprint: expected at least one place of the source, got none; name one"):
        Blueprint({}, (layer(),))
    with refused("blueprint place 'fine': expected a shape (width,) or (channels, height, width)"):
        Blueprint({"fine": (3, 8)}, (layer(),))
    for head in ("x", "fine"):
        with refused(f"blueprint head: expected one of a; got {head!r}; name a layer"):
            Blueprint(STAGES, (layer(),), head)


@pytest.mark.parametrize(
    ("kind", "reads", "out", "message"),
    [
        ("linear", ("fine",), (4, 8, 8), "module kind 'linear': expected an output of shape (2, 4, 8, 8)"),
        ("pool", ("fine",), (4, 8, 8), "module kind 'pool': "),
        ("conv3x3-4", ("fine",), (5, 8, 8), "module on a map: expected out_shape (4, 8, 8), got (5, 8, 8)"),
        ("conv3x3-4", ("v",), (4,), "module on a map: expected in_shape (channels, height, width), got (7,)"),
        ("pool", ("v",), (4,), "module kind pool: expected in_shape (channels, height, width), got (7,)"),
        ("skip", ("fine", "coarse"), (3, 8, 8), "module kind skip: expected equal shapes, got (8, 8, 8)"),
        ("skip", ("v",), (7, 1, 1), "module kind 'skip': expected an output of shape (2, 7, 1, 1)"),
    ],
)
def test_a_module_that_does_not_fit_its_layer_is_named(kind, reads, out, message):
    made = Blueprint({**STAGES, "v": (7,)}, (Layer("a", reads, out, (kind,)),))
    with refused(message):
        Grid(made, GridSettings(), 0)


def test_a_grid_has_as_many_modules_in_every_layer():
    made = Blueprint(STAGES, (layer(), Layer("b", ("a",), (4,), ("linear", "relu"))))
    with refused("expected as many modules in every layer of a grid, got [1, 2]; let the shorter ones start again"):
        Grid(made, GridSettings(), 0)
    assert Grid(U, GridSettings(max_active=9, n_modules=9), 0).space == replace(Grid(U, GridSettings(), 0).space)


# --- names and files ------------------------------------------------------------------------------------------------


@pytest.fixture
def forgotten():
    before = dict(BLUEPRINTS)
    yield
    BLUEPRINTS.clear()
    BLUEPRINTS.update(before)


@pytest.mark.usefixtures("forgotten")
def test_a_maker_is_called_by_its_name():
    asked = []

    @register("u")
    def u(places, settings):
        asked.append((places, settings))
        return replace(U, places=places)

    settings = GridSettings(modules="u", plugins=("x.py=0",))
    assert blueprint_of(STAGES, settings) == U
    assert Grid(STAGES, settings, 0).blueprint == U
    assert asked == [(STAGES, settings)], "once in a process"
    assert blueprint_of(STAGES, replace(settings, width=9)) == U
    assert len(asked) == 2
    check_vocabulary("u")
    with pytest.raises(ValueError, match="blueprint 'u' is registered twice"):
        register("u")(u)
    register("mixed")(u)
    with refused("blueprint: 'mixed' names both a vocabulary and a blueprint; rename the plug-in's"):
        blueprint_of(STAGES, GridSettings())
    with refused("blueprint: expected one of mixed, paper, ums-rep, unet, u; got 'v'"):
        check_vocabulary("v")


@pytest.mark.usefixtures("forgotten")
def test_a_size_that_a_maker_does_not_ask_for_is_refused():
    @register("u")
    def u(places, settings):
        return replace(U, places=places)

    @register("three")
    def three(places, settings):
        if settings.n_modules == 10:
            raise ZeroDivisionError
        kinds = ("pool",) * min(settings.n_modules, 3)
        return Blueprint(places, (Layer("one", tuple(places), (settings.width,), kinds),))

    def check(name, source=STAGES, **sizes):
        refuse_idle_sizes(source, GridSettings(modules=name, plugins=("x.py=0",), **sizes))

    check("u")
    check("u", max_active=2)
    for size in ("n_layers", "n_modules", "width"):
        with refused(f"grid.{size}: 7 has no effect, since the maker of blueprint 'u' does not ask for it; leave out"):
            check("u", **{size: 7})
    check("three", n_modules=4, width=7)
    with refused("grid.n_layers: 7 has no effect"):
        check("three", n_modules=4, n_layers=7)
    check("mixed", {"features": (8, 2, 2)}, n_layers=7, n_modules=7, width=7)


@pytest.mark.usefixtures("forgotten")
def test_stages_at_their_own_sizes_are_nothing_to_a_vocabulary_of_ones_own(monkeypatch):
    """Settings know the chains of the package by name; those of a plug-in are known here."""
    monkeypatch.setitem(VOCABULARIES, "mine", VOCABULARIES["mixed"])
    of = GridSettings(modules="mine", plugins=("x.py=0",))
    with refused("encoder.sizes: own has no effect with 'mine', since the first layer of a chain brings all that it"):
        refuse_idle_sizes(STAGES, of)
    refuse_idle_sizes({"features": (8, 2, 2)}, of)


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([("pool",)], "blueprint 'odd': expected a Blueprint from its maker, got [('pool',)]; return one"),
        (U, "blueprint 'odd': expected the places {'features': (8, 2, 2)} that its maker was given, got {'fine'"),
    ],
)
def test_a_maker_that_errs_is_named(made, message):
    register("odd")(lambda places, settings: made)
    with refused(message):
        blueprint_of((8, 2, 2), GridSettings(modules="odd", plugins=("x.py=0",)))


def test_the_example_in_the_docstring(forgotten):
    example = "\n".join(line[4:] for line in str(module.__doc__).split("\n") if line.startswith("    "))
    exec(example, {})
    grid = Grid((8, 4, 4), GridSettings(modules="hourglass", plugins=("x.py=0",)), 0)
    grid.add_head("t", "linear", (2,))
    assert grid.network(Path.parse("0|1|0+1"), "t")(torch.zeros(3, 8, 4, 4)).shape == (3, 2)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_chain_needs_no_wiring(name):
    made = chain(name, 3, 4, {"features": (8, 2, 2)}, 6)
    assert made == Blueprint.chain(made.shapes, made.specifications)
    assert made.wiring is None
    assert chain(name, 3, 4, {"pixels": (8, 2, 2)}, 6).wiring is not None


def test_a_chain_on_several_places_reads_them_all_first():
    made = chain("mixed", 2, 4, STAGES, 6)
    assert [one.reads for one in made.layers] == [("fine", "coarse"), ("layer1",)]
    assert made.in_shapes == ((8, 8, 8), (6,))


@given(blueprints())
def test_a_file_says_all_of_it(made):
    along = made.along(Path.of([[0, 2]] * len(made.layers)))
    assert along.specifications == [[kinds[0], *kinds[2:3]] for kinds in made.specifications]
    for one in (made, along):
        again = Blueprint.of(one.shapes, one.specifications, json.loads(json.dumps(one.wiring, sort_keys=True)))
        assert (again, list(again.places)) == (one, list(one.places))
        assert copy.deepcopy(one) == one
