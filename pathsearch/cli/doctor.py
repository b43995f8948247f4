"""What is installed, which device, weights and data are in reach, and what to do about the rest."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import PathsearchError
from data_prep.manifest import load_task, prepared_tasks


class Finding(NamedTuple):
    """One thing looked at."""

    what: str
    ok: bool
    found: str
    advice: str = ""
    fatal: bool = False  # nothing works until this is mended


def examine(data_dir: Path, runs_dir: Path) -> list[Finding]:
    """Look at everything that `pathsearch` needs; never raises, never downloads."""
    return [*_software(), *_weights(), *_data(data_dir), _runs(runs_dir), _disk(data_dir)]


def _software() -> list[Finding]:
    found = [Finding("python", True, f"{platform.python_version()} on {platform.system()}, {os.cpu_count()} cores")]
    for name in ("torch", "torchvision"):
        try:
            found.append(Finding(name, True, version(name)))
        except PackageNotFoundError:
            found.append(Finding(name, False, "not installed", "pip install torch torchvision", fatal=True))
    try:
        import torch
        from torchvision import models  # noqa: F401 (the import is the test)
    except (ImportError, RuntimeError) as error:
        advice = "in a fresh virtual environment: pip install torch torchvision, so that pip chooses both together"
        return [*found, Finding("torch + vision", False, f"do not fit each other: {error}", advice, fatal=True)]
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"cpu, {torch.get_num_threads()} threads"
    advice = "" if cuda else "fine for small data: 64 px images encode at some 80 a second on two cores"
    return [*found, Finding("device", True, device, advice)]


def _weights() -> list[Finding]:
    try:
        import torch
        from torchvision import models
    except (ImportError, RuntimeError):
        return []
    url = models.VGG16_Weights.IMAGENET1K_V1.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if file.exists():
        return [Finding("vgg16 ImageNet", True, str(file))]
    advice = (
        f"downloaded (528 MB) at the first use of --encoder-weights imagenet; offline: put the file from {url} there, "
        "or use --encoder-weights random or FILE"
    )
    return [Finding("vgg16 ImageNet", False, f"not at {file}", advice)]


def _data(data_dir: Path) -> list[Finding]:
    names = prepared_tasks(data_dir)
    if not names:
        advice = "pathsearch prepare ecg --source physionet, or pathsearch prepare folder --source DIR --name NAME"
        return [Finding("tasks", False, f"none prepared in {data_dir}", advice)]
    found = []
    for name in names:
        try:
            task = load_task(data_dir, name)
            found.append(
                Finding(f"task {name}", True, f"{len(task.table)} images, {', '.join(task.classes or task.targets)}")
            )
        except PathsearchError as error:
            found.append(Finding(f"task {name}", False, str(error), "prepare it again with --overwrite"))
    return found


def _runs(runs_dir: Path) -> Finding:
    try:
        from pathsearch.run.runs import is_comparison, is_joint
    except (ImportError, RuntimeError):
        return Finding("runs", False, "not looked into without torch")
    kept = {file.parent for name in ("config.json", "SHA256SUMS") for file in runs_dir.glob(f"*/{name}")}
    folders = sorted({*kept, *filter(is_joint, filter(Path.is_dir, runs_dir.glob("*")))})
    unfinished: dict[str, list[str]] = {"the same command and --resume": [], "the same command": []}
    damaged = []
    for folder in folders:
        try:
            if not _verified(folder):
                how = "the same command" if is_comparison(folder) else "the same command and --resume"
                unfinished[how].append(folder.name)
        except PathsearchError as error:
            damaged.append(str(error))
    advice = [f"unfinished: {', '.join(names)}; go on with {how}" for how, names in unfinished.items() if names]
    return Finding("runs", not advice + damaged, f"{len(folders)} in {runs_dir}", "; ".join([*advice, *damaged]))


def _verified(folder: Path) -> bool:
    """Whether a run, comparison or joint evaluation is finished; raises `PathsearchError` if it is damaged."""
    from pathsearch.experts import joint
    from pathsearch.run.runs import Run, is_comparison, is_joint, read_json
    from pathsearch.search import comparison

    run = Run(folder)
    if is_comparison(folder):
        done = comparison.Comparison(folder).finished
        if done:
            comparison.read(folder)
        else:
            read_json(run.config_file)
        return done
    if is_joint(folder) and not run.config_file.exists():
        joint.read(folder)
        return True
    run.settings()  # of a finished run, all files are verified
    return run.finished


def _disk(data_dir: Path) -> Finding:
    there = next(folder for folder in (data_dir.absolute(), *data_dir.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**30
    advice = "" if free > 5 else "features of 10,000 images at 224 px take 0.5 GB a view"
    return Finding("free disk", free > 1, f"{free:.0f} GiB", advice)
