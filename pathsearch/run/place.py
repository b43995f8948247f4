"""Where a command works: the cache that it fills, the device it computes on, and who hears of its progress."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pathsearch.run.teller import Silent, Teller


@dataclass(frozen=True)
class Place:
    """None of it decides a result."""

    cache_dir: Path  # of encoded features
    device: torch.device = torch.device("cpu")  # noqa: RUF009 (immutable) of encoders, grids and networks
    tell: Teller = Silent()  # noqa: RUF009 (it has no state)
