"""Small raw data in the real formats, and the folder with the real data where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.synthetic import write_synthetic_ecg
from data_prep.wfdb_files import write_record

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder `data` of the shared folder; the test is skipped where there is none."""
    shared = Path(os.environ.get("PATHSEARCH_SHARED", REPOSITORY.parent / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip("no real data: set PATHSEARCH_SHARED, or put shared/ beside the checkout")
    return shared / "data"


@pytest.fixture(scope="session")
def ecg_source(tmp_path_factory) -> Path:
    """Six generated records of 40 seconds, the last without MLII; read-only by convention."""
    folder = tmp_path_factory.mktemp("records")
    write_synthetic_ecg(folder, seconds=40)
    return folder


@pytest.fixture
def make_record(tmp_path):
    """Write one record with a spike at each mark; returns its folder."""

    def make(name="r1", channels=("MLII", "V1"), marks=((400, "A"), (800, "L"), (1200, "R")), n=2000, where="raw"):
        folder = tmp_path / where
        folder.mkdir(exist_ok=True)
        signals = {}
        for number, channel in enumerate(channels):
            signal = np.sin(np.arange(n) / (20 + 30 * number))
            for sample, _ in marks:
                if sample < n:
                    signal[sample] += 1 + number
            signals[channel] = signal
        write_record(folder, name, signals, 360, np.array([m[0] for m in marks]), [m[1] for m in marks])
        return folder

    return make


@pytest.fixture
def make_images(tmp_path):
    """Write small images `folder/name` for each given relative name; returns the folder."""

    def make(names, where="pictures", mode="L", size=(20, 16)):
        folder = tmp_path / where
        for number, name in enumerate(names):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, size, (number * 7) % 256 if mode == "L" else ((number * 7) % 256, 9, 99)).save(file)
        return folder

    return make


@pytest.fixture
def kaggle_names():
    """File names of a small folder in Kaggle's layout, five persons a class in train, two in test."""
    names = []
    for part, persons in (("train", range(1, 11)), ("val", (50,)), ("test", range(1, 4))):
        for person in persons:
            names.append(f"{part}/NORMAL/IM-{person:04d}-0001.jpeg")
            names += [f"{part}/PNEUMONIA/person{person}_{kind}_{person}.jpeg" for kind in ("bacteria", "virus")]
    return names


@pytest.fixture
def draw():
    """Write pictures of noise, no two alike, and their masks: a rectangle of level 255; returns (images, masks).

    A mask is missing where `mask(number)` gives None, and else what it gives.
    """

    def make(folder, names, mask=None, size=(24, 20)):
        folders = [folder / "images", folder / "masks"]
        for number, name in enumerate(names):
            rng = np.random.default_rng(number)
            pixels = np.kron(rng.integers(0, 256, (5, 6), dtype=np.uint8), np.ones((4, 4), np.uint8))
            lung = np.zeros((20, 24), np.uint8)
            lung[4:12, 4 : 12 + number % 5] = 255
            shown = mask(number) if mask else lung
            for inner, one in zip(folders, (pixels[: size[1], : size[0]], shown), strict=True):
                if one is not None:
                    file = inner / Path(name).with_suffix(".png") if inner is folders[1] else inner / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(one).save(file)
        return tuple(folders)

    return make
