"""One seed, many named random streams; nothing here or elsewhere reads a global generator."""

from __future__ import annotations

import hashlib
import random

import torch


def derive(seed: int, *names: object) -> int:
    """Return the 63-bit seed of the stream called `names` under `seed`; streams do not overlap in practice."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(seed: int, *names: object) -> torch.Generator:
    """Return a CPU generator for initialisation, data order or dropout masks."""
    return torch.Generator().manual_seed(derive(seed, *names))


def python_stream(seed: int, *names: object) -> random.Random:
    """Return a generator for the search's operators (DEAP works on the standard library's `random`)."""
    return random.Random(derive(seed, *names))
