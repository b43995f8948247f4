"""What a run was made with: versions, processor, threads."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import TypedDict

import torch

from pathsearch.run.threads import GIVEN

LIBRARIES = ("torch", "torchvision", "deap", "numpy", "scikit-learn", "safetensors", "pandas", "pillow")


class Environment(TypedDict):
    """As `env.json` has it."""

    python: str
    system: str
    processor: str
    cores: int | None
    torch_threads: int
    threads_given: dict[str, str]
    cuda: str | None
    libraries: dict[str, str]


def environment() -> Environment:
    """What a run was made with: versions, processor, threads."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),  # at the start; steps may get fewer: see `threads`
        "threads_given": {name: os.environ[name] for name in GIVEN if name in os.environ},
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "libraries": {name: version(name) for name in LIBRARIES},
    }
