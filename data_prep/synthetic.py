"""Generated raw data in the real formats, for the demo and the tests: no download, no patients."""

from __future__ import annotations

from data_prep.synthetic_ecg import write_synthetic_ecg
from data_prep.synthetic_xray import write_synthetic_xrays

__all__ = ["write_synthetic_ecg", "write_synthetic_xrays"]
