"""Print a benchmark's rows, write them as JSON with the machine they were made on."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

OUT = Path("runs") / "benchmarks"


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
    }


def publish(name: str, rows: list[dict[str, Any]], notes: dict[str, Any] | None = None) -> None:
    """Print the rows as a table, then the notes, and write both to `runs/benchmarks/NAME.json`."""
    table = Table(title=f"{name} on {machine()['gpu'] or machine()['cpu']}, {machine()['threads']} threads")
    for key in rows[0]:
        table.add_column(key, justify="right")
    for row in rows:
        table.add_row(*(f"{value:,.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console(width=max(110, Console().width))
    console.print(table)
    for key, value in (notes or {}).items():
        console.print(f"{key}: {value:.3g}" if isinstance(value, float) else f"{key}: {value}")
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "rows": rows, "notes": notes or {}}, indent=2)
    (OUT / f"{name}.json").write_text(text + "\n")
