"""What the router says to images of no task: the share answered "unknown", kind by kind.

    python -m tests.benchmarks.bench_unknown RUN RUN … [--data-dir data] [--split val] [--images 400]

The router is that of the finished runs, as they are. `--split val` is for choosing between routers, `--split test`
for the last word. Beside the foreign images stand the tasks' own ones, which should not be rejected, and what the
router of the other tasks alone says to them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from data_prep.manifest import load_task
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import batch_size
from pathsearch.encoders.pixels import make_encoder
from pathsearch.encoders.views import load_images
from pathsearch.experts.router import UNKNOWN, Router, Territory
from pathsearch.run.runs import Run
from tests.benchmarks.foreign import CHANGED, FOREIGN
from tests.benchmarks.table import publish


def maps_of(encoder: Encoder, images: np.ndarray) -> torch.Tensor:
    """Feature maps of (n, S, S, 3) uint8."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return torch.cat([encoder(part) for part in x.split(batch_size(encoder.settings.image_size))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="directories of finished runs on one encoder")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--images", type=int, default=400, help="of each kind")
    given = parser.parse_args()
    runs = [Run(folder) for folder in given.runs]
    encoder = make_encoder(runs[0].settings().encoder)
    size = encoder.settings.image_size
    territories = {run.settings().task: Territory.load(run.router_file) for run in runs}
    router = Router(territories)
    rng = np.random.default_rng(0)
    rows = []

    def ask(kind: str, maps: torch.Tensor, to: Router = router, of: str = "no task") -> None:
        sent, ratio = to.route(encoder.seen(maps))
        row = {"images": kind, "of": of, "n": len(sent), "unknown": float((sent == UNKNOWN).mean())}
        row |= {
            f"sent to {task}": int((sent == to.tasks.index(task)).sum()) if task in to.tasks else ""
            for task in territories
        }
        rows.append(row | {"median distance / threshold": float(np.median(ratio))})

    for kind, draw in FOREIGN.items():
        ask(kind, maps_of(encoder, draw(given.images, size, rng)))
    for run in runs:
        name = run.settings().task
        task = load_task(given.data_dir, name)
        files = [task.files()[row] for row in task.rows(given.split)]
        chosen = rng.permutation(len(files))[: given.images]
        own = load_images([files[i] for i in chosen], size).permute(0, 2, 3, 1).numpy()
        maps = maps_of(encoder, own)
        ask("as they are", maps, of=name)
        if len(territories) > 1:
            others = Router({other: one for other, one in territories.items() if other != name})
            ask("as they are, task left out", maps, others, of=name)
        for kind, change in CHANGED.items():
            ask(kind, maps_of(encoder, change(own)), of=name)
    publish("unknown", rows, notes={"split": given.split, "runs": ", ".join(run.name for run in runs)})


if __name__ == "__main__":
    main()
