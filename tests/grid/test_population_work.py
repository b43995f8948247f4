"""The population pass does less work than a loop: every distinct (input, module) pair runs once."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import BATCH, converged, features, grid_of, populations

from pathsearch.grid import population
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path
from pathsearch.grid.population import activations, forward, parts, plan, together

# --- less work ----------------------------------------------------------------------------------------------


def distinct_pairs(paths: Sequence[Path]) -> Counter[tuple[int, int]]:
    """Brute force: for each (layer, module), the number of different histories of layers that reach it."""
    pairs = {(n, m, path.layers[:n]) for path in paths for n, layer in enumerate(path.layers) for m in layer}
    return Counter((n, m) for n, m, _ in pairs)


def measured_work(grid: Grid, paths: Sequence[Path]) -> Counter[tuple[int, int]]:
    """Images that each module was really run on, in batches; the modules count for themselves."""
    seen: Counter[tuple[int, int]] = Counter()
    place_of = {grid.module(n, m): (n, m) for n in range(len(grid.layers)) for m in range(grid.settings.n_modules)}
    hooks = []
    real = population.together

    def note_together(twins, x):  # one operation for several modules: each of them runs on x once
        images, rest = divmod(len(x), BATCH)
        assert rest == 0
        for module in twins:
            assert place_of[module] not in seen, "a module runs once a pass"
            seen[place_of[module]] += images
        return real(twins, x)

    for n in range(len(grid.layers)):
        for m in range(grid.settings.n_modules):

            def note(module, inputs, output, place=(n, m)):
                if torch._C._functorch.is_batchedtensor(output):
                    return  # it stands for all twins: `note_together` has counted them
                images, rest = divmod(len(inputs[0]), BATCH)
                assert rest == 0
                assert place not in seen, "a module runs once a pass"
                seen[place] += images

            hooks.append(grid.module(n, m).register_forward_hook(note))
    try:
        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(population, "together", note_together)
            forward(grid, "planted", plan(paths), features())
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@settings(max_examples=60)
@given(populations())
def test_every_distinct_pair_runs_exactly_once(case):
    grid, paths = case
    assert measured_work(grid, paths) == distinct_pairs(paths)


def test_work_by_hand():
    paths = [Path.parse(text) for text in ("0+1|2|3", "0+1|2+4|3", "0|2|3", "0+1|2|3")]
    # Layer 0: modules 0 and 1 on the images. Layer 1: 2 on the sums {0+1} and {0}, 4 on {0+1}.
    # Layer 2: 3 on {0+1|2}, {0+1|2+4}, {0|2}. The fourth path costs nothing.
    assert distinct_pairs(paths) == {(0, 0): 1, (0, 1): 1, (1, 2): 2, (1, 4): 1, (2, 3): 3}
    assert plan(paths).sums.tolist() == [0, 1, 2, 0]
    assert plan(paths).widest == 6  # the last layer's 3 pairs and 3 sums


@settings(max_examples=60)
@given(populations())
def test_widest_is_the_most_pairs_and_sums_of_a_layer(case):
    grid, paths = case
    pairs = distinct_pairs(paths)
    per_layer = [
        sum(k for (n, _), k in pairs.items() if n == layer) + len({path.layers[: layer + 1] for path in paths})
        for layer in range(len(grid.layers))
    ]
    assert plan(paths).widest == max(per_layer)


def test_twins_on_one_input_run_as_one_operation():
    grid = grid_of("paper")
    convolutions = 0

    def count(*_: object) -> None:
        nonlocal convolutions
        convolutions += 1

    hooks = [grid.module(0, m).register_forward_hook(count) for m in range(10)]
    forward(grid, "planted", plan([Path.parse("0+3+7|1|2"), Path.parse("1+9|1|2")]), features())
    for hook in hooks:
        hook.remove()
    assert convolutions == 1


def test_twins_without_weights_are_one():
    skips = [torch.nn.Flatten(), torch.nn.Flatten()]
    one, other = together(skips, features())
    assert torch.equal(one, features().flatten(1))
    assert torch.equal(one, other)


def test_a_converged_population_costs_less():
    grid = grid_of("mixed")
    rng = random.Random(0)
    spread = [grid.space.random_path(rng) for _ in range(64)]
    late = converged(grid, 64, 0)
    cost = {name: measured_work(grid, paths).total() for name, paths in [("spread", spread), ("late", late)]}
    per_path = sum(len(layer) for path in spread for layer in path.layers)
    assert cost["late"] < cost["spread"] / 2
    assert cost["spread"] < per_path  # even a random one shares its first layers
    assert measured_work(grid, [spread[0]] * 64) == measured_work(grid, [spread[0]])


def test_a_plan_can_be_moved():
    grid, paths = grid_of("mixed"), converged(grid_of("mixed"), 5, 1)
    moved = plan(paths).to(torch.device("cpu"))
    assert torch.equal(forward(grid, "planted", moved, features()), forward(grid, "planted", plan(paths), features()))
    elsewhere = plan(paths).to(torch.device("meta"))
    assert elsewhere.sums.device.type == "meta"
    tensors = [t for layer in elsewhere.layers for t in (layer.inputs, layer.terms, layer.starts)]
    assert all(tensor is None or tensor.device.type == "meta" for tensor in tensors)


# --- in parts -------------------------------------------------------------------------------------------------


@given(populations(), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_parts_hold_every_path_once_and_keep_within_the_bound(drawn, share):
    grid, paths = drawn
    whole = plan(paths, grid.blueprint)
    most = int(share * activations(whole, grid.blueprint))
    found = parts(paths, whole, grid.blueprint, most)
    assert sum(n for n, _ in found) == len(paths)
    single = max(activations(plan([path], grid.blueprint), grid.blueprint) for path in paths)
    assert all(activations(own, grid.blueprint) <= max(most, single) for _, own in found)
    outputs = [torch.cat([forward(grid, "planted", own, features()) for own in some]) for some in
               ([whole], [own for _, own in found])]  # fmt: skip
    rows = [sorted(map(tuple, one.flatten(1).round(decimals=9).tolist())) for one in outputs]
    assert torch.allclose(*map(torch.tensor, rows))


def test_all_are_one_part_where_they_fit():
    grid = grid_of("mixed")
    paths = converged(grid, 9, 0)
    whole = plan(paths, grid.blueprint)
    assert parts(paths, whole, grid.blueprint, activations(whole, grid.blueprint)) == [(9, whole)]


def test_activations_by_hand():
    grid = grid_of("mixed")
    path = Path.parse("0+1|2|3")
    shapes = [math.prod(shape) for shape in grid.shapes[1:]]
    found = activations(plan([path], grid.blueprint), grid.blueprint)
    assert found == (2 + 1) * shapes[0] + 2 * shapes[1] + 2 * shapes[2]
    assert activations(plan([path, path], grid.blueprint), grid.blueprint) == found
