"""One of every form of file, made once a test session by the product itself on small generated data."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
from command_world import start
from commands import run_here, stand_ins
from interrupted import Moment, command
from PIL import Image
from small_world import draw_blob, draw_stripes, scratch

from pathsearch.run.settings_file import settings_text

N = 48  # images of a prepared task
SIZE = 48  # pixels
ENCODER = ["--encoder", "squeezenet1_1", "--set", "encoder.map_size=2"]
RANDOM = ["--encoder-weights", "random"]
SMALL = {
    "grid": {"n_modules": 3, "max_active": 2, "width": 4},
    "search": {"population": 4, "generations": 2, "steps": 1, "warmup": 1, "batch_size": 16},
    "training": {"epochs": 1, "patience": 1, "batch_size": 16, "finalists": 1, "random_paths": 1},
}
SETTINGS = [f"--set={part}.{key}={value}" for part, own in SMALL.items() for key, value in own.items()]
DATA, RUNS = ["--data-dir", "data"], ["--runs-dir", "runs"]
EVOLVE = ["evolve", *ENCODER, *SETTINGS, "--device", "cpu"]
COMPARED = [one for one in SETTINGS if "random_paths" not in one]  # which has no effect in a comparison
COMPARE = ["compare", "--task", "blobs", "--seeds", "1", *ENCODER, *RANDOM, *COMPARED, "--device", "cpu", *DATA, *RUNS]
WEIGHTED = ("tensors", "archive")  # runs whose encoder came from a .safetensors and from a .pth file


def evolve(task: str, name: str, *more: str, encoder_weights: str = "random") -> list[str]:
    """The arguments that make a small run."""
    weights = ["--encoder-weights", encoder_weights]
    return [*EVOLVE, *weights, "--task", task, "--run-name", name, *DATA, *RUNS, *more]


@functools.cache
def world() -> Path:
    """The folder with everything; beside it, `pristine`, which nothing changes."""
    folder = scratch() / "soak" / "world"
    process = start(_make, str(folder))
    process.join(300)
    if process.exitcode != 0:
        process.kill()
        raise RuntimeError(f"the world could not be made: {(folder.parent / 'error').read_text()}")
    return folder


def pristine(folder: Path) -> Path:
    return folder.parent / "pristine"


def draw(folder: Path, n: int = 12, suffix: str = ".png", task: str = "blobs") -> Path:
    """A folder of class folders of images, the same at every call."""
    rng = np.random.default_rng(len(task))
    names = ["small", "large"] if task == "blobs" else ["flat", "rising", "falling"]
    for number in range(n):
        kind = number % len(names)
        file = folder / names[kind] / f"{number:04d}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = draw_blob(kind, rng, SIZE) if task == "blobs" else draw_stripes(kind, rng, SIZE)
        Image.fromarray(pixels).save(file)
    return folder


def _make(folder_name: str) -> None:
    folder = Path(folder_name)
    folder.mkdir(parents=True)
    os.chdir(folder)
    try:
        stand_ins()
        _sources(Path("sources"))
        _prepared_and_run()
        _halted()
        shutil.copytree(folder, pristine(folder))
    except BaseException as error:
        (folder.parent / "error").write_text(repr(error))
        raise


def must(*arguments: str) -> dict[str, object]:
    answer = run_here([*arguments, "--json"])
    if answer.code:
        raise RuntimeError(f"{' '.join(arguments)}: exit {answer.code}: {answer.err} {answer.fault}")
    return json.loads(answer.out)


def _sources(folder: Path) -> None:
    draw(folder / "folder")
    draw(folder / "jpeg", suffix=".jpeg")
    (folder / "folder" / "SOURCE.txt").write_text("generated\nCC0 1.0\n")
    _dicom(folder / "dicom")
    for kind, comma in (("csv", ","), ("tsv", "\t")):
        table = draw(folder / kind, 24)
        files = sorted(table.rglob("*.png"))
        splits = ["train", "train", "train", "val", "val", "test"] * 2
        rows = ["file,label,split,group"]
        rows += [f"{f.relative_to(table)},{f.parent.name},{splits[i % 12]},g{i}" for i, f in enumerate(files)]
        (table / f"table.{kind}").write_text("\n".join(rows).replace(",", comma) + "\n")
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 8), ("val", 4), ("test", 4)):
        arrays[f"{split}_images"] = np.stack([draw_blob(i % 2, rng, 28) for i in range(n)])
        arrays[f"{split}_labels"] = (np.arange(n) % 2)[:, None]
    np.savez_compressed(folder / "arrays.npz", **arrays)
    _records(folder / "records")
    _records(folder / "listed")
    files = sorted((folder / "listed").iterdir())
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (folder / "listed" / "SHA256SUMS").write_text("".join(lines))
    _x_rays(folder / "x-rays")
    (folder / "settings.txt").write_text("".join(f"{one.removeprefix('--set=')}\n" for one in SETTINGS))
    (folder / "settings.toml").write_text(settings_text())


def _dicom(folder: Path) -> None:
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    rng = np.random.default_rng(1)
    for number in range(10):
        name, kind = ("small", 0) if number % 2 else ("large", 1)
        data, meta = Dataset(), FileMetaDataset()
        meta.MediaStorageSOPClassUID = data.SOPClassUID = SecondaryCaptureImageStorage
        meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.UID(f"1.2.3.{number}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta = meta
        data.Rows = data.Columns = SIZE
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.WindowCenter, data.WindowWidth, data.RescaleSlope, data.RescaleIntercept = 2000, 4000, 1, 0
        data.PixelData = (draw_blob(kind, rng, SIZE).astype("<u2") * 16).tobytes()
        file = folder / name / f"{number:04d}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        data.save_as(file, enforce_file_format=True)


def _records(folder: Path) -> None:
    from data_prep.synthetic_ecg import write_synthetic_ecg

    write_synthetic_ecg(folder, n_records=4, seconds=12)


def _x_rays(folder: Path) -> None:
    rng = np.random.default_rng(2)
    for part, persons in (("train", range(1, 7)), ("val", range(7, 8)), ("test", range(1, 3))):
        for person in persons:
            for kind, name in (
                (0, f"NORMAL/IM-{person:04d}-0001.jpeg"),
                (1, f"PNEUMONIA/person{person}_virus_{person}.jpeg"),
            ):
                file = folder / part / name
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(draw_blob(kind, rng, SIZE)).save(file)


def _prepared_and_run() -> None:
    for task in ("blobs", "stripes"):
        raw = draw(Path("raw") / task, N, task=task)
        must("prepare", "folder", "--source", str(raw), "--name", task, "--image-size", str(SIZE), *DATA)
        must(*evolve(task, task))
    from pathsearch.encoders.encoder import Encoder
    from pathsearch.run.settings import EncoderSettings

    state = Encoder(EncoderSettings("squeezenet1_1", "random", SIZE, map_size=2)).state()
    import torch
    from safetensors.torch import save_file

    Path("weights").mkdir()
    save_file(state, "weights/trunk.safetensors")
    torch.save(state, "weights/trunk.pth")
    for name, suffix in zip(WEIGHTED, (".safetensors", ".pth"), strict=True):
        must(*evolve("blobs", name, encoder_weights=f"weights/trunk{suffix}"))
    must("joint-eval", "blobs", "stripes", *DATA, *RUNS)
    must("bundle", "blobs", "stripes", "--out", "bundle", "--with-encoder", *DATA, *RUNS)
    must(*COMPARE)
    shutil.rmtree("raw")
    for name in WEIGHTED:
        for file in [*Path("runs", name).glob("*.svg"), *Path("runs", name).glob("*.png")]:
            file.unlink()  # never looked at: fewer files to compare after each mutant


def _halted() -> None:
    """A run killed before its last files, and an encoding killed before its array was whole."""
    _killed(evolve("blobs", "halted"), "router.safetensors")
    cut = [*evolve("blobs", "cut"), "--data-dir", "cut"]
    shutil.copytree("data", "cut", ignore=shutil.ignore_patterns("features"))
    _killed(cut, "view0.npy")


def _killed(arguments: list[str], renamed_to: str) -> None:
    child = os.fork()
    if not child:
        command(arguments, ".", Moment(renamed_to=renamed_to))
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"{' '.join(arguments)}: was not killed at {renamed_to}: {status}")
