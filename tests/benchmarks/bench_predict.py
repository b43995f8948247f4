"""The rate of `predict` on a folder against the encoder's own, and whether memory grows with the folder.

    python -m tests.benchmarks.bench_predict [--quick] [--encoder NAME] [--image-size S]

The encoder's own rate is that of calling it on batches that lie decoded in memory. The two take turns, in slices of
the same folder, so that a machine whose speed drifts slows both. Each image of the folder is a grey PNG at the size
of a prepared task. Weights and paths are random: no answer means anything here, every step is done.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import batch_size
from pathsearch.encoders.pooled import pooled
from pathsearch.encoders.split import Standardiser
from pathsearch.experts.expert import Expert, ExpertFacts
from pathsearch.experts.model import Model
from pathsearch.experts.pictures import Preparation, image_files
from pathsearch.experts.predict import Predictor
from pathsearch.experts.router import Router, Territory
from pathsearch.grid.grid import Grid
from pathsearch.run.settings import EncoderSettings, GridSettings
from tests.benchmarks.table import device, publish

TASKS = ("first", "second")
SLICE = 100  # images between two turns


def draw(folder: Path, n: int, size: int) -> None:
    """Write n smooth grey images with a little noise: PNGs of the size that X-rays have."""
    rng = np.random.default_rng(0)
    for number in range(n):
        coarse = Image.fromarray(rng.integers(256, size=(size // 16, size // 16), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = np.clip(smooth + rng.normal(0, 3, (size, size)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:05d}.png")


def made_up(settings: EncoderSettings) -> Predictor:
    """A predictor of two tasks that nobody trained."""
    encoder = Encoder(settings, device())
    images = torch.randint(256, (64, 3, settings.image_size, settings.image_size), dtype=torch.uint8)
    maps = torch.cat([encoder(part) for part in images.split(16)])
    experts, territories = {}, {}
    for seed, task in enumerate(TASKS):
        grid = Grid(encoder.feature_shape, GridSettings(), seed)
        grid.add_head(task, "linear", (3,))
        path = grid.space.random_path(random.Random(seed))
        kinds = [[grid.specifications[n][i] for i in layer] for n, layer in enumerate(path.layers)]
        shapes = [list(shape) for shape in grid.shapes]
        facts = ExpertFacts(task, ["a", "b", "c"], str(path), kinds, shapes, encoder.identity, None, "random", seed)
        experts[task] = Expert(facts, grid.network(path, task), Standardiser.fit(maps.numpy(), np.arange(64)))
        here = Territory.fit(pooled(maps), torch.arange(64) % 3, pooled(maps))
        territories[task] = replace(here, threshold=float("inf"))  # every image is answered: the dearer case
    model = Model(encoder, experts, Router(territories))
    return Predictor(model, Preparation((settings.image_size,), grey=True))


def resident() -> float:
    """Resident memory now, MiB; where the system does not tell, the largest so far."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock and of all processors."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="400 images instead of 2,000")
    parser.add_argument("--encoder", default="squeezenet1_1")
    parser.add_argument("--image-size", type=int, default=224)
    given = parser.parse_args()
    n = 400 if given.quick else 2000
    predictor = made_up(EncoderSettings(given.encoder, "random", given.image_size))
    encoder, size = predictor.model.encoder, batch_size(given.image_size)
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), n, given.image_size)
        files = list(image_files([name], ()))
        decoded = torch.stack([predictor.pixels(file) for file in files[: 2 * size]])

        def encode(part: list[Path]) -> None:
            for start in range(0, len(part), size):
                at = start % (2 * size)
                encoder(decoded[at : at + min(size, len(part) - start)])

        def predict(part: list[Path]) -> None:
            assert sum(1 for _ in predictor.stream(part)) == len(part)

        encode(files[:size]), predict(files[: 2 * size])  # both warm
        rows = []
        for number, at in enumerate(range(0, n, SLICE)):
            part, took = files[at : at + SLICE], {}
            for work in (encode, predict) if number % 2 else (predict, encode):
                took[work.__name__] = timed(lambda work=work, part=part: work(part))
            (own, own_cpu), (ours, ours_cpu) = took["encode"], took["predict"]
            rows.append(
                {
                    "slice": number,
                    "encoder, images/s": len(part) / own,
                    "predict, images/s": len(part) / ours,
                    "predict over encoder": own / ours,
                    "in processor time": own_cpu / ours_cpu,
                }
            )
        memory = []
        for number, _ in enumerate(predictor.stream(image_files([name], ()))):  # once more, as one stream
            if number % SLICE == SLICE - 1:
                memory.append(resident())
    rates = {key: len(rows) / sum(1 / row[key] for row in rows) for key in list(rows[0])[1:3]}
    notes = {
        "images": n,
        **rates,
        "predict over encoder, all images": rates["predict, images/s"] / rates["encoder, images/s"],
        "predict over encoder, median of slices": statistics.median(row["predict over encoder"] for row in rows),
        "in processor time, median of slices": statistics.median(row["in processor time"] for row in rows),
        "resident memory at a quarter of one stream, MiB": memory[len(memory) // 4],
        "most it grew from there to the end, MiB": max(memory[len(memory) // 4 :]) - memory[len(memory) // 4],
    }
    publish(f"predict-{given.encoder}-{given.image_size}", rows, notes)


if __name__ == "__main__":
    main()
