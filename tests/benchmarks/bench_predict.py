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
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pathsearch.config import EncoderSettings, GridSettings
from pathsearch.encoder import Encoder
from pathsearch.expert import Expert, ExpertFacts
from pathsearch.features import Standardiser, batch_size
from pathsearch.grid import Grid
from pathsearch.model import Model
from pathsearch.pictures import Preparation, image_files
from pathsearch.predict import Predictor
from pathsearch.router import Router, Territory, pooled
from tests.benchmarks.table import device, publish

TASKS = ("first", "second")


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
        grid.add_head(task, 3)
        path = grid.space.random_path(random.Random(seed))
        kinds = [[grid.specifications[n][i] for i in layer] for n, layer in enumerate(path.layers)]
        shapes = [list(shape) for shape in grid.shapes]
        facts = ExpertFacts(task, ["a", "b", "c"], str(path), kinds, shapes, encoder.identity, None, "random", seed)
        experts[task] = Expert(facts, grid.network(path, task), Standardiser.fit(maps.numpy(), np.arange(64)))
        here = Territory.fit(pooled(maps), torch.arange(64) % 3, pooled(maps))
        territories[task] = replace(here, threshold=float("inf"))  # every image is answered: the dearer case
    model = Model(encoder, experts, Router(territories))
    return Predictor(model, Preparation((settings.image_size,), grey=True))


def peak() -> float:
    """Largest resident memory so far, MiB."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="400 images instead of 2,000")
    parser.add_argument("--encoder", default="squeezenet1_1")
    parser.add_argument("--image-size", type=int, default=224)
    given = parser.parse_args()
    n, slices = (400, 4) if given.quick else (2000, 10)
    predictor = made_up(EncoderSettings(given.encoder, "random", given.image_size))
    encoder, size = predictor.model.encoder, batch_size(given.image_size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder, n, given.image_size)
        files = list(image_files([name], ()))
        decoded = torch.stack([predictor.pixels(file) for file in files[: 2 * size]])
        seconds, rows, after_first = {"encoder": 0.0, "predict": 0.0}, [], 0.0
        list(predictor.stream(files[: 2 * size]))  # both warm
        for number, part in enumerate(np.array_split(np.arange(n), slices)):
            started = time.perf_counter()
            for start in range(0, len(part), size):
                at = start % (2 * size)
                encoder(decoded[at : at + min(size, len(part) - start)])
            between = time.perf_counter()
            answered = sum(1 for _ in predictor.stream(files[i] for i in part))
            ended = time.perf_counter()
            assert answered == len(part)
            own, ours = between - started, ended - between
            seconds["encoder"] += own
            seconds["predict"] += ours
            after_first = after_first or peak()
            rows.append({"slice": number, "encoder, images/s": answered / own, "predict, images/s": answered / ours})
        before_long = peak()
        assert sum(1 for _ in predictor.stream(files)) == n  # once more, the folder in one stream
    rows.append({"slice": "all", **{f"{key}, images/s": n / seconds[key] for key in seconds}})
    notes = {
        "images": n,
        "predict over encoder": seconds["encoder"] / seconds["predict"],
        "peak memory after the first slice, MiB": after_first,
        "growth over the other slices, MiB": before_long - after_first,
        "growth over the folder in one stream, MiB": peak() - before_long,
    }
    publish(f"predict-{given.encoder}-{given.image_size}", rows, notes)


if __name__ == "__main__":
    main()
