"""Which few fixed numbers of an image tell tasks apart where there is no trunk: what a router of pixels should see.

    python -m tests.benchmarks.bench_routing TASK TASK … [--data-dir data] [--size 64] [--images 400]

Question, as it stood before the first run: a network that reads pixels has no maps whose mean over positions could tell
its task. Of the `VIEWS` below, which is the simplest that sends images of several tasks to their own and calls
photographs, textures, noise and blank images unknown?

Every view gets the same router: fitted on all training images of each task, its threshold such that 1 % of one half of
the validation images lie beyond, and asked about the other half. No test image is read. Tasks: beats drawn as images,
and chest X-rays of two tasks (pneumonia, lungs), which look alike and are the hard pair.

Rule, fixed before the first run. A view is good enough if, beside the best view of each column,

- images sent to their own task, of those that were sent anywhere: at most 0.5 points fewer, in the worst task;
- own images answered unknown: at most 3 % in every task, or at most 1 point more than the best view's worst;
- foreign images answered unknown: at most 2 points fewer, as the mean over the six kinds.

Of the good ones the one with the fewest numbers wins, for the router keeps a square of them for each task, and a task
may have few images; of two with as many, the one that needs no drawn filters. If none is good enough, the view with
most foreign images unknown among those that hold the first two lines wins. Inverted images and turned ones are shown
and decide nothing: an X-ray upside down may as well be answered as not.

Second question, after the first table and before the second run. The rule chose a thumbnail with filters, 0.815 of the
foreign images unknown (64 px), but no blank image among them: contrast 0 lies a few spreads below the mean, in one
direction of many. And colour thumbnails, unknown 0.88, send eight of ten lungs to pneumonia: three equal channels leave
most directions without a spread, which then decide. So: do logarithms of contrasts, where 0 is far off, and colour as
few numbers of its own, mend both? The same rule over the views of both rounds (those of the second are named `log`),
with one more line:

- blank images answered unknown: at least 95 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from data_prep.manifest import load_task
from pathsearch.encoders.views import load_images
from pathsearch.experts.router import UNKNOWN, Router, Territory
from pathsearch.targets import target_of
from tests.benchmarks.foreign import CHANGED, FOREIGN
from tests.benchmarks.table import publish

View = Callable[[Tensor], Tensor]  # (B, 3, S, S) uint8 to (B, n) float32


def grey(images: Tensor) -> Tensor:
    """(B, 1, S, S) the mean of the channels."""
    return images.float().mean(1, keepdim=True)


def thumbnail(side: int, colour: bool = False) -> View:
    """The image averaged to `side` positions a side."""
    return lambda x: F.adaptive_avg_pool2d(x.float() if colour else grey(x), side).flatten(1)


def blocks(side: int, colour: bool = False) -> View:
    """Mean and spread within each of side × side blocks."""

    def view(images: Tensor) -> Tensor:
        x = images.float() if colour else grey(images)
        mean = F.adaptive_avg_pool2d(x, side)
        square = F.adaptive_avg_pool2d(x.double().square(), side)
        spread = (square - mean.double().square()).clamp_min(0).sqrt()
        return torch.cat([mean, spread.float()], 1).flatten(1)

    return view


def convolved(side: int, filters: int = 32, at: int = 32) -> View:
    """The image at `at` pixels a side, drawn 5 × 5 filters of mean 0 over it, their sizes averaged to side × side."""
    kernels = torch.randn(filters, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    kernels = kernels - kernels.mean((2, 3), keepdim=True)

    def view(images: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(images.float(), at)
        return F.adaptive_avg_pool2d(F.conv2d(x, kernels).abs(), side).flatten(1)

    return view


def joined(*views: View) -> View:
    """Several one after another."""
    return lambda images: torch.cat([view(images) for view in views], 1)


VIEWS: dict[str, View] = {
    "3 channel means": thumbnail(1, colour=True),
    "thumbnail 8, grey": thumbnail(8),
    "thumbnail 8, colour (as before)": thumbnail(8, colour=True),
    "thumbnail 16, grey": thumbnail(16),
    "mean and spread, 4 × 4 blocks, grey": blocks(4),
    "mean and spread, 8 × 8 blocks, grey": blocks(8),
    "mean and spread, 4 × 4 blocks, colour": blocks(4, colour=True),
    "mean and spread, 8 × 8 blocks, colour": blocks(8, colour=True),
    "32 filters, mean": convolved(1),
    "32 filters, 2 × 2": convolved(2),
    "32 filters, 4 × 4": convolved(4),
    "thumbnail 8, grey, and 32 filters": joined(thumbnail(8), convolved(1)),
}


def log(view: View) -> View:
    """Logarithm of 1 and what a view has, which is not negative."""
    return lambda images: view(images).log1p()


def spreads(side: int) -> View:
    """Spread of the grey image within each of side × side blocks."""
    whole = blocks(side)
    return lambda images: whole(images)[:, side**2 :]


def tint(images: Tensor) -> Tensor:
    """(B, 2) mean difference of red and green, and of green and blue, without sign."""
    x = images.float()
    return (x[:, :2] - x[:, 1:]).abs().mean((2, 3))


VIEWS |= {
    "log spread, 4 × 4 blocks": log(spreads(4)),
    "log 32 filters, mean": log(convolved(1)),
    "log 32 filters, 2 × 2": log(convolved(2)),
    "thumbnail 4, log spread 4 × 4, log tint": joined(thumbnail(4), log(spreads(4)), log(tint)),
    "thumbnail 8, log spread 2 × 2, log tint": joined(thumbnail(8), log(spreads(2)), log(tint)),
    "thumbnail 8, log spread 4 × 4, log tint": joined(thumbnail(8), log(spreads(4)), log(tint)),
    "thumbnail 8, log spread 8 × 8, log tint": joined(thumbnail(8), log(spreads(8)), log(tint)),
    "thumbnail 8, log 32 filters": joined(thumbnail(8), log(convolved(1))),
    "thumbnail 4, log 32 filters 2 × 2": joined(thumbnail(4), log(convolved(2))),
    "thumbnail 8, log 32 filters 2 × 2": joined(thumbnail(8), log(convolved(2))),
}
Images = dict[str, Tensor]


def seen(view: View, images: Tensor) -> Tensor:
    return torch.cat([view(part) for part in images.split(256)])


def asked(view: View, train: dict[str, tuple[Tensor, Tensor]], halves: dict[str, tuple[Tensor, Tensor]],
          foreign: Images) -> dict[str, float | int]:  # fmt: skip
    """A row of the table: what a router that has this view says."""
    router = Router(
        {
            name: Territory.fit(seen(view, images), strata, seen(view, halves[name][0]))
            for name, (images, strata) in train.items()
        }
    )
    row: dict[str, float | int] = {"numbers": seen(view, next(iter(foreign.values()))[:1]).shape[1]}
    for number, name in enumerate(router.tasks):
        sent, _ = router.route(seen(view, halves[name][1]))
        known = sent[sent != UNKNOWN]
        row[f"{name} own"] = float((known == number).mean()) if len(known) else float("nan")
        row[f"{name} unknown"] = float((sent == UNKNOWN).mean())
    kinds = {kind: router.route(seen(view, images))[0] == UNKNOWN for kind, images in foreign.items()}
    row["foreign unknown"] = float(np.mean([kinds[kind].mean() for kind in FOREIGN]))
    row |= {kind: float(kinds[kind].mean()) for kind in FOREIGN}
    for change, apply in CHANGED.items():
        changed = [router.route(seen(view, _changed(apply, second)))[0] == UNKNOWN for _, second in halves.values()]
        row[change] = float(np.mean([one.mean() for one in changed]))
    return row


def _changed(apply: Callable[[np.ndarray], np.ndarray], images: Tensor) -> Tensor:
    turned = apply(images.permute(0, 2, 3, 1).numpy())
    return torch.from_numpy(np.ascontiguousarray(turned)).permute(0, 3, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", help="names of prepared tasks")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--size", type=int, default=64, help="pixels a side that the router's images have")
    parser.add_argument("--images", type=int, default=400, help="of each foreign kind")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    train, halves = {}, {}
    for name in given.tasks:
        task = load_task(given.data_dir, name)
        files = task.files()
        strata = torch.from_numpy((target := target_of(task)).strata(target.truth(task, "train")))
        train[name] = load_images([files[row] for row in task.rows("train")], given.size), strata
        rows = rng.permutation(task.rows("val"))
        own = load_images([files[row] for row in rows], given.size)
        halves[name] = own[: len(own) // 2], own[len(own) // 2 :][: given.images]
    foreign = {
        kind: torch.from_numpy(draw(given.images, given.size, rng)).permute(0, 3, 1, 2)
        for kind, draw in FOREIGN.items()
    }
    rows = [{"view": name, **asked(view, train, halves, foreign)} for name, view in VIEWS.items()]
    publish(f"routing-{given.size}", rows, notes={"tasks": ", ".join(given.tasks), "split": "val"})


if __name__ == "__main__":
    main()
