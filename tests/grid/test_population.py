"""The population pass: the outputs and gradients of a loop over the paths, for less work."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import BATCH, CLASSES, SHAPE, VOCABULARIES, converged, features, grid_of, populations
from torch import Tensor

from pathsearch.grid.blueprint import BLUEPRINTS
from pathsearch.grid.grid import Grid, dropout_masks, head_name
from pathsearch.grid.modules import KINDS
from pathsearch.grid.path import Path
from pathsearch.grid.population import forward, plan
from pathsearch.run.settings import GridSettings

HEAD = f"heads.{head_name('planted')}."


def masks_for(grid: Grid, rate: float) -> list[Tensor] | None:
    masks = dropout_masks(grid.shapes[1:], BATCH, rate, torch.Generator().manual_seed(1))
    return masks and [mask.double() for mask in masks]


def gradients(grid: Grid, loss: Tensor) -> dict[str, Tensor | None]:
    grid.zero_grad(set_to_none=True)
    loss.backward()
    return {name: None if p.grad is None else p.grad.clone() for name, p in grid.named_parameters()}


def loss_of(logits: Tensor) -> Tensor:  # (P, B, K) -> ()
    labels = torch.arange(BATCH) % CLASSES
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)))


def loop(grid: Grid, paths: Sequence[Path], x: Tensor, masks: list[Tensor] | None) -> Tensor:
    """The oracle: one path after another, as the networks that they are, but on the grid's own weights."""
    outputs = []
    for path in paths:
        network = grid.network(path, "planted")  # copies: its weights are put back under the grid's below
        for number, layer in enumerate(path.layers):
            for place, index in enumerate(layer):
                network.modules_of(number)[place] = grid.module(number, index)
        network.head = grid.heads["planted"]
        outputs.append(network(x, masks))
    return torch.stack(outputs)


def assert_same(name: str, got: Tensor | None, expected: Tensor | None, relative: float = 1e-5) -> None:
    assert (got is None) == (expected is None), f"{name}: only one of the two has a gradient"
    if got is not None and expected is not None:
        scale = expected.norm().item()
        wrong = (got - expected).norm().item()
        assert wrong <= relative * scale + 1e-12, f"{name}: relative difference {wrong / max(scale, 1e-300):.2e}"


def assert_same_gradients(
    got: dict[str, Tensor | None], expected: dict[str, Tensor | None], relative: float = 1e-5
) -> None:
    assert got.keys() == expected.keys()
    for name in expected:
        assert_same(name, got[name], expected[name], relative)


def assert_pass_equals_loop(
    grid: Grid, paths: Sequence[Path], rate: float = 0.0, relative: float = 1e-9
) -> dict[str, Tensor | None]:
    x, masks = features(), masks_for(grid, rate)
    expected = loop(grid, paths, x, masks)
    expected_gradients = gradients(grid, loss_of(expected))
    got = forward(grid, "planted", plan(paths), x, masks)
    assert got.shape == (len(paths), BATCH, CLASSES)
    for path, one, other in zip(paths, got, expected, strict=True):
        assert_same(str(path), one, other, relative)
    assert_same_gradients(gradients(grid, loss_of(got)), expected_gradients, relative)
    return expected_gradients


# --- the same as a loop -------------------------------------------------------------------------------------


def test_the_vocabularies_and_blueprints_hold_every_registered_kind():
    layers = [layer for v in VOCABULARIES for layer in grid_of(v).specifications]
    layers += [
        layer
        for name in ("ums-rep", "unet")
        for layer in BLUEPRINTS[name]({"pixels": (3, 32, 32)}, GridSettings()).specifications
    ]
    assert {kind.partition("-")[0] for layer in layers for kind in layer} == set(KINDS) - {"map"}  # a head's


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_every_module_gets_the_gradient_of_the_loop(vocabulary, rate):
    grid = grid_of(vocabulary)
    rng = random.Random(0)
    paths = [grid.space.random_path(rng) for _ in range(6)] + [grid.space.full_path()]
    found = assert_pass_equals_loop(grid, paths, rate)
    assert all(gradient is not None for gradient in found.values())  # the full path: no module is left out


@settings(max_examples=60)
@given(populations(), st.sampled_from([0.0, 0.3]))
def test_the_pass_equals_the_loop(case, rate):
    grid, paths = case
    assert_pass_equals_loop(grid, paths, rate)


def test_in_the_single_precision_of_the_search():
    grid = Grid(SHAPE, GridSettings(n_modules=10, width=8), seed=0)
    grid.add_head("planted", "linear", (CLASSES,))
    rng = random.Random(3)
    paths = [grid.space.random_path(rng) for _ in range(12)]
    x = features().float()
    expected = gradients(grid, loss_of(loop(grid, paths, x, None)))
    assert_same_gradients(gradients(grid, loss_of(forward(grid, "planted", plan(paths), x))), expected, 1e-4)


def test_modules_off_every_path_get_no_gradient():
    grid = grid_of("mixed")
    paths = [Path.parse("0+1|2|3"), Path.parse("0|2+4|3")]
    found = gradients(grid, loss_of(forward(grid, "planted", plan(paths), features())))
    used = {"layers.0.0.", "layers.0.1.", "layers.1.2.", "layers.1.4.", "layers.2.3.", HEAD}
    for name, gradient in found.items():
        assert (gradient is not None) == any(name.startswith(place) for place in used), name


def test_gradients_flow_through_frozen_modules():
    grid = Grid(SHAPE, GridSettings(n_modules=10, width=8), seed=0).double()
    grid.add_head("planted", "linear", (CLASSES,))
    grid.double().freeze(Path.parse("0|1|2"))
    paths = [Path.parse("0+1|1|2"), Path.parse("1|1|2+3")]
    found = assert_pass_equals_loop(grid, paths)
    assert found["layers.1.1.1.weight"] is None
    assert found["layers.0.1.body.0.weight"] is not None


def test_only_the_named_head_is_used():
    grid = Grid(SHAPE, GridSettings(n_modules=10, width=8), seed=0).double()
    grid.add_head("planted", "linear", (CLASSES,))
    grid.add_head("other", "linear", (2,))
    grid.double()
    found = gradients(grid, loss_of(forward(grid, "planted", plan([Path.parse("0|1|2")]), features())))
    assert all(gradient is None for name, gradient in found.items() if name.startswith(f"heads.{head_name('other')}."))


def test_paths_answer_in_the_order_they_were_given():
    grid, x = grid_of("mixed"), features()
    rng = random.Random(4)
    paths = [grid.space.random_path(rng) for _ in range(6)]
    order = [3, 0, 5, 5, 1]
    some = forward(grid, "planted", plan([paths[i] for i in order]), x)
    torch.testing.assert_close(some, forward(grid, "planted", plan(paths), x)[order])


def test_an_image_does_not_see_the_rest_of_its_batch():
    grid, x = grid_of("mixed"), features()
    population = plan(converged(grid, 5, 0))
    whole = forward(grid, "planted", population, x)
    parts = torch.cat([forward(grid, "planted", population, part) for part in x.split(2)], 1)
    torch.testing.assert_close(whole, parts)


# --- the tests of these tests -------------------------------------------------------------------------------


@pytest.fixture
def true_gradients() -> dict[str, Tensor | None]:
    grid = grid_of("mixed")
    return gradients(grid, loss_of(forward(grid, "planted", plan([Path.parse("1|1|7")]), features())))


def test_a_gradient_wrong_by_a_thousandth_is_rejected(true_gradients):
    assert_same_gradients(true_gradients, true_gradients)
    for name, gradient in true_gradients.items():
        if gradient is not None:
            with pytest.raises(AssertionError, match=rf"{name}: relative difference 1\.00e-03"):
                assert_same_gradients(true_gradients | {name: gradient * 1.001}, true_gradients)


def test_a_single_wrong_entry_is_rejected(true_gradients):
    wrong = true_gradients[f"{HEAD}1.weight"]
    assert wrong is not None
    wrong = wrong.clone()
    wrong[0, 0] += 1e-3 * wrong.norm()
    with pytest.raises(AssertionError, match=f"{HEAD}1.weight"):
        assert_same_gradients(true_gradients | {f"{HEAD}1.weight": wrong}, true_gradients)


def test_a_missing_and_a_superfluous_gradient_are_rejected(true_gradients):
    with pytest.raises(AssertionError, match="only one of the two has a gradient"):
        assert_same_gradients(true_gradients | {f"{HEAD}1.bias": None}, true_gradients)
    assert true_gradients["layers.0.0.2.weight"] is None
    with pytest.raises(AssertionError, match="only one of the two has a gradient"):
        assert_same_gradients(true_gradients | {"layers.0.0.2.weight": torch.zeros(3)}, true_gradients)


def test_a_pass_that_forgets_a_path_is_rejected(monkeypatch):
    grid = grid_of("mixed")
    paths = [Path.parse("0|1|2"), Path.parse("0|1|3"), Path.parse("4|1|3")]
    monkeypatch.setitem(globals(), "plan", lambda paths: plan_of_the_first_twice(paths))
    with pytest.raises(AssertionError, match=r"0\|1\|3: relative difference"):
        assert_pass_equals_loop(grid, paths)


def plan_of_the_first_twice(paths, plan=plan):
    return plan([paths[0], paths[0], *paths[2:]])
