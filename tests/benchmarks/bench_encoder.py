"""The encoder's rate beside what a large matrix product reaches: floating-point operations a second, in one run.

    python -m tests.benchmarks.bench_encoder [--quick] [--encoder NAME …] [--image-size S …]

Images lie decoded in memory; decoding is overlapped in `features.encode`, and `cold and warm` shows what is left of it:
a folder of images through `encode` with an empty cache, and again with a full one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from data_prep.synthetic import write_synthetic_xrays
from data_prep.xray import prepare_pneumonia
from pathsearch.encoders.encoder import Encoder
from pathsearch.encoders.features import batch_size, encode
from pathsearch.run.settings import EncoderSettings
from tests.benchmarks.table import device, publish

SIDE = 2048  # of the square matrices


def matrix_rate(a: torch.Tensor, b: torch.Tensor) -> float:
    """Floating-point operations a second of one large product."""
    started = time.perf_counter()
    c = a @ b
    if c.is_cuda:
        torch.cuda.synchronize()
    return 2 * SIDE**3 / (time.perf_counter() - started)


def encoder_rate(encoder: Encoder, images: torch.Tensor, repeats: int) -> float:
    """Images a second; the copy of the features to the CPU counts."""
    started = time.perf_counter()
    for _ in range(repeats):
        encoder(images)
    return repeats * len(images) / (time.perf_counter() - started)


def operations(encoder: Encoder) -> float:
    """Floating-point operations of one image."""
    image = torch.zeros(1, 3, encoder.settings.image_size, encoder.settings.image_size, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter:
        encoder(image)
    return float(counter.get_total_flops())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    parser.add_argument("--encoder", nargs="+", default=["vgg16"])
    parser.add_argument("--image-size", nargs="+", type=int)
    asked = parser.parse_args()
    rows = []
    a, b = torch.randn(2, SIDE, SIDE).to(device())
    matrix_rate(a, b)
    for name in asked.encoder:
        for size in asked.image_size or ((64, 224) if asked.quick else (64, 128, 224)):
            encoder = Encoder(EncoderSettings(name, "random", size), device())
            half = Encoder(EncoderSettings(name, "random", size, precision="bfloat16"), device())
            images = torch.randint(256, (batch_size(size), 3, size, size), dtype=torch.uint8)
            alike = (
                F.cosine_similarity(encoder(images).flatten(1).float(), half(images).flatten(1).float()).min().item()
            )
            rates, halves, products = [], [], []
            for _ in range(3 if asked.quick else 7):
                products.append(matrix_rate(a, b))
                rates.append(encoder_rate(encoder, images, 1))
                halves.append(encoder_rate(half, images, 1))
            products.append(matrix_rate(a, b))
            each, product, rate = operations(encoder), statistics.median(products), statistics.median(rates)
            rows.append(
                {
                    "encoder": name,
                    "pixels": size,
                    "batch": len(images),
                    "images/s": rate,
                    "share of the matrix rate": rate * each / product,
                    "GFLOP an image": each / 1e9,
                    "encoder, GFLOP/s": rate * each / 1e9,
                    "matrix product, GFLOP/s": product / 1e9,
                    "bfloat16, times faster": statistics.median(halves) / rate,
                    "least cosine to float32": f"{alike:.5f}",
                }
            )
    publish("encoder", rows, notes=cold_and_warm(asked.encoder[0], 200 if asked.quick else 1000))


def cold_and_warm(name: str, n: int) -> dict[str, float]:
    """Seconds of `encode` for n images on disk, with nothing in the cache and with everything."""
    with tempfile.TemporaryDirectory() as scratch:
        raw, data = Path(scratch) / "raw", Path(scratch) / "data"
        write_synthetic_xrays(raw, n=n)
        task = prepare_pneumonia(raw, data, image_size=64)
        encoder = Encoder(EncoderSettings(name, "random", 64), device())
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            features = encode(task, encoder, data / "features")
            seconds.append(time.perf_counter() - started)
        size = sum(file.stat().st_size for file in (data / "features").rglob("*.npy"))
        n_all = len(features.views[0])
        in_memory = encoder_rate(encoder, torch.randint(256, (128, 3, 64, 64), dtype=torch.uint8), 4)
    return {
        f"cold start, {n_all} images at 64 px, s": seconds[0],
        "warm start, s": seconds[1],
        "cold start over the encoder's own time": seconds[0] * in_memory / n_all,
        "bytes on disk an image": size / n_all,
    }


if __name__ == "__main__":
    main()
