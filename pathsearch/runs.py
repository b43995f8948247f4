"""The run directory: settings before work starts, a checkpoint every generation, files whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.whole_files import appears_whole, write_json, write_text
from pathsearch.config import RunSettings

LIBRARIES = ("torch", "torchvision", "deap", "numpy", "scikit-learn", "safetensors", "pandas", "pillow")


class Run:
    """One directory with everything a search produced; the only place that knows its files' names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_file = folder / "config.json"
        self.lock_file = folder / ".lock"
        self.checkpoint_file = folder / "checkpoint" / "generation.safetensors"
        self.log_file = folder / "log.csv"
        self.training_file = folder / "training.csv"
        self.path_file = folder / "path.json"
        self.expert_file = folder / "expert.safetensors"
        self.router_file = folder / "router.safetensors"
        self.report_file = folder / "report.json"

    @property
    def name(self) -> str:
        """The directory's name, as printed and as given on the command line."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the report, which is written last, is there."""
        return self.report_file.is_file()

    def open(self, settings: RunSettings, *, resume: bool, overwrite: bool) -> None:
        """Make the directory, or go back into it, and write `config.json` and `env.json`.

        Raises:
            PathsearchError: the directory is taken, or `resume` finds other settings in it.
        """
        if self.config_file.exists() and not overwrite:
            if not resume:
                state = "a finished run" if self.finished else "an unfinished run"
                raise PathsearchError(
                    f"run {self.folder} already holds {state}; go on with --resume, start again with --overwrite, "
                    "or give another --run-name, --seed or --runs-dir"
                )
            self._check_same(settings)
            return
        if overwrite:
            self._clear()
        write_json(self.config_file, settings.to_dict())
        write_json(self.folder / "env.json", environment())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out while the block runs; a killed process leaves no lock behind."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.lock_file, timeout=0):
                yield
        except Timeout:
            raise PathsearchError(
                f"run {self.name}: another process is at work in it; wait for it, or give another --run-name or --seed"
            ) from None

    def _check_same(self, settings: RunSettings) -> None:
        before, now = self.settings().to_dict(), settings.to_dict()
        for key, value in _flat(now).items():
            if _flat(before).get(key) != value:
                remedy = "put the old weights back" if key == "encoder_key" else "give the options it was started with"
                raise PathsearchError(
                    f"--resume {self.name}: {key} was {_flat(before).get(key)!r}, now {value!r}; "
                    f"{remedy}, or --overwrite"
                )

    def _clear(self) -> None:
        for file in [
            self.report_file,
            *self.folder.glob("*"),
            self.checkpoint_file,
        ]:  # unfinished from the first step
            if file.is_file() and file != self.lock_file:
                file.unlink()

    def settings(self) -> RunSettings:
        """The settings that the run was started with."""
        return RunSettings.from_dict(read_json(self.config_file))

    def report(self) -> dict[str, Any]:
        """The finished run's report."""
        return read_json(self.report_file)

    def save_checkpoint(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Save a generation in one file, so that a kill at any moment leaves the last whole one."""
        flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with appears_whole(self.checkpoint_file) as part:
            save_file(flat, part, metadata={"state": json.dumps(state)})

    def load_checkpoint(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """The last saved generation, or None if there is none."""
        if not self.checkpoint_file.exists():
            return None
        try:
            with safe_open(self.checkpoint_file, "pt") as opened:
                state = json.loads(opened.metadata()["state"])
                return state, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise PathsearchError(
                f"checkpoint {self.checkpoint_file}: cannot be read ({error}); start the run again with --overwrite"
            ) from None


def write_table(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of equal keys as CSV, whole; floats in full, so that equal runs give equal files."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(file, text.getvalue())


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file; one clear line if it is missing or damaged."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PathsearchError(f"{file}: no such file; is {file.parent} a run that was started?") from None
    except (OSError, ValueError) as error:
        raise PathsearchError(f"{file}: not readable as JSON ({error}); make the run again") from None
    if not isinstance(value, dict):
        raise PathsearchError(f"{file}: expected a JSON object, got {type(value).__name__}; make the run again")
    return value


def find_run(runs_dir: Path, name: str) -> Run:
    """The run called `name` under `runs_dir`, or at the path `name`."""
    for folder in (runs_dir / name, Path(name)):
        if (folder / "config.json").is_file() and not is_comparison(folder):
            return Run(folder)
    there = ", ".join(run.name for run in all_runs(runs_dir)) or "none"
    raise PathsearchError(f"run {name}: not found in {runs_dir}; runs there: {there}")


def all_runs(runs_dir: Path) -> list[Run]:
    """Every task run under `runs_dir`, finished or not, by name."""
    return [Run(file.parent) for file in sorted(runs_dir.glob("*/config.json")) if not is_comparison(file.parent)]


def is_comparison(folder: Path) -> bool:
    """Whether a directory is that of `pathsearch compare`, which is no run of one task's path."""
    return (folder / "parts").is_dir()


def newest_finished(runs_dir: Path) -> list[Run]:
    """The newest finished run of each task that shares an encoder with the newest finished run of all."""
    finished = sorted(
        (run for run in all_runs(runs_dir) if run.finished),
        key=lambda run: run.report_file.stat().st_mtime,
        reverse=True,
    )
    if not finished:
        raise PathsearchError(f"no finished run in {runs_dir}; make one with `pathsearch evolve --task NAME`")
    reports = [run.report() for run in finished]
    shared = reports[0]["encoder"]["key"]
    newest: dict[str, Run] = {}
    for run, report in zip(finished, reports, strict=True):
        if report["encoder"]["key"] == shared:
            newest.setdefault(report["task"], run)
    return [newest[task] for task in sorted(newest)]


def joint_report(runs: Sequence[Run]) -> dict[str, Any] | None:
    """The newest joint evaluation, beside them, of exactly these runs as they are; None if there is none."""
    names = {run.report()["task"]: run.name for run in runs}
    made = max(run.report_file.stat().st_mtime for run in runs)
    files = {file for run in runs for file in run.folder.absolute().parent.glob("joint-*/report.json")}
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        if file.stat().st_mtime >= made and (report := read_json(file)).get("runs") == names:
            return report
    return None


def environment() -> dict[str, Any]:
    """What a run was made with: versions, processor, threads."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
