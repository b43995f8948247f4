"""One pass over a population against the usual loop over its paths: same minibatch, same gradients, one run.

    python -m tests.benchmarks.bench_population [--quick]

The two ways take turns, so that a machine whose speed drifts slows both; what is printed is the ratio of
their median times. A path-step is the forward and backward pass of one path on one minibatch, and the step of the
optimiser that follows it: one for each path in the loop, as public PathNet code does it, one for all in the pass. The
column "without update" leaves that step out on both sides. "arithmetic" is the loop's floating-point operations over
the pass's: what sharing alone can give where both run at the processor's rate.

Populations: random paths as the search draws them (1 to 3 modules a layer), the same with 3 modules in every layer
(PathNet's fixed N), and converged ones.
"""

from __future__ import annotations

import argparse
import copy
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from pathsearch.grid import population
from pathsearch.grid.grid import Grid
from pathsearch.grid.path import Path, mutate
from pathsearch.run.settings import GridSettings
from pathsearch.training.optimisers import adamw
from tests.benchmarks.table import device, publish

BATCH, CLASSES, TASK, RATE = 64, 3, "bench", 1e-3
FEATURES = (512, 2, 2)  # VGG-16 at 64 px


def random_population(grid: Grid, size: int, rng: random.Random) -> list[Path]:
    return [grid.space.random_path(rng) for _ in range(size)]


def full_population(grid: Grid, size: int, rng: random.Random) -> list[Path]:
    """Random paths with as many modules in every layer as there may be."""
    space = grid.space
    return [
        Path(tuple(tuple(sorted(rng.sample(range(space.n_modules), space.max_active))) for _ in range(space.n_layers)))
        for _ in range(size)
    ]


def converged_population(grid: Grid, size: int, rng: random.Random) -> list[Path]:
    """Mutants of one path, as at the end of a search: each one to three mutations away."""
    start, paths = grid.space.random_path(rng), []
    for _ in range(size):
        path = start
        for _ in range(rng.randint(1, 3)):
            path = mutate(path, grid.space, rng)
        paths.append(path)
    return paths


def one_pass(grid: Grid, paths: list[Path], x: torch.Tensor, labels: torch.Tensor, update: bool) -> Callable[[], None]:
    plan = population.plan(paths).to(x.device)
    optimiser = adamw(grid.parameters(), RATE, 0.0)

    def step() -> None:
        grid.zero_grad(set_to_none=True)
        logits = population.forward(grid, TASK, plan, x)
        F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(paths))).backward()
        if update:
            optimiser.step()
        synchronise(x)

    return step


def loop(grid: Grid, paths: list[Path], x: torch.Tensor, labels: torch.Tensor, update: bool) -> Callable[[], None]:
    """Each path through the whole network on its own, on the shared weights."""
    head = grid.heads[TASK]
    optimiser = adamw(grid.parameters(), RATE, 0.0)

    def step() -> None:
        grid.zero_grad(set_to_none=True)
        for path in paths:
            h = x
            for number, layer in enumerate(path.layers):
                total = grid.module(number, layer[0])(h)
                for index in layer[1:]:
                    total = total + grid.module(number, index)(h)
                h = F.layer_norm(total, total.shape[1:])
            (F.cross_entropy(head(h), labels) / len(paths)).backward()
            if update:
                optimiser.step()  # of the parameters that have a gradient: those on the path
                grid.zero_grad(set_to_none=True)
        synchronise(x)

    return step


def synchronise(x: torch.Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()


def operations(step: Callable[[], None]) -> int:
    """Floating-point operations of one call."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def in_turn(ways: Sequence[Callable[[], None]], rounds: int) -> list[float]:
    """Median seconds of each way, taking turns after one round that is not counted."""
    times: list[list[float]] = [[] for _ in ways]
    for count in range(rounds + 1):
        for run, kept in zip(ways, times, strict=True):
            started = time.perf_counter()
            run()
            if count:
                kept.append(time.perf_counter() - started)
    return [statistics.median(kept) for kept in times]


DRAWS = (("random", random_population), ("three active", full_population), ("converged", converged_population))
WAYS = ((one_pass, True), (loop, True), (one_pass, False), (loop, False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    quick = parser.parse_args().quick
    sizes = (8, 64) if quick else (1, 8, 32, 64, 128, 256)
    rows = []
    for vocabulary in ("paper", "mixed"):
        for kind, draw in DRAWS:
            for size in sizes:
                rng = random.Random(size)
                grid = Grid(FEATURES, GridSettings(modules=vocabulary), 0).to(device())
                grid.add_head(TASK, "linear", (CLASSES,))
                grid.to(device())
                paths = draw(grid, size, rng)
                x = torch.randn(BATCH, *FEATURES, generator=torch.Generator().manual_seed(0)).to(device())
                labels = torch.arange(BATCH).remainder(CLASSES).to(device())
                rounds = 3 if quick else max(3, min(15, 600 // size))
                grids = [copy.deepcopy(grid) for _ in range(4)]  # updates of one way must not steer another
                ways = [make(g, paths, x, labels, u) for g, (make, u) in zip(grids, WAYS, strict=True)]
                own, usual, own_gradient, usual_gradient = in_turn(ways, rounds)
                arithmetic = operations(ways[3]) / operations(ways[2])
                rows.append(
                    {
                        "modules": vocabulary,
                        "population": kind,
                        "P": size,
                        "ratio": usual / own,
                        "without update": usual_gradient / own_gradient,
                        "arithmetic": arithmetic,
                        "one pass, path-steps/s": size / own,
                        "loop, path-steps/s": size / usual,
                        "one pass, ms": 1e3 * own,
                    }
                )
    publish("population", rows, notes=growth(rows))


def growth(rows: list[dict]) -> dict[str, float]:
    """Exponent of the one pass's cost in P between 8 and the largest, for each vocabulary and population."""
    found = {}
    for key in dict.fromkeys((row["modules"], row["population"]) for row in rows):
        own = {row["P"]: row["one pass, ms"] for row in rows if (row["modules"], row["population"]) == key}
        large = max(own)
        found[f"growth {' '.join(key)}, 8 to {large}"] = math.log(own[large] / own[8]) / math.log(large / 8)
    return found


if __name__ == "__main__":
    main()
