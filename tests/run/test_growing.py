"""An interrupted encoding: whatever is done to what it left, the end is the clean encoding; a full disk is one line."""

from __future__ import annotations

import errno
import itertools
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from small_world import SIZE, prepare, refused

from data_prep.errors import PathsearchError
from data_prep.manifest import Task
from pathsearch.encoders import features
from pathsearch.encoders.features import encode
from pathsearch.encoders.pooled import pooled
from pathsearch.run.growing import growing
from pathsearch.run.settings import EncoderSettings

N = 30  # images of the task
MUTANTS = int(os.environ.get("PATHSEARCH_MUTANTS", "60"))  # of each form


class Stub:
    """Quick stand-in for an encoder: an image's features are its pixels, averaged. Stops after some batches."""

    key, parts, feature_shape, dtype = "stub", (3,), (3, 4, 4), np.float16
    places = MappingProxyType({"features": (3, 4, 4)})
    sees = staticmethod(pooled)
    settings = EncoderSettings("squeezenet1_1", "random", SIZE)

    def __init__(self, stop_after: int = -1) -> None:
        self.stop_after, self.images = stop_after, 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if self.stop_after == 0:
            raise KeyboardInterrupt
        self.stop_after -= 1
        self.images += len(images)
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).half()


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> Task:
    return prepare(tmp_path_factory.mktemp("data"), "blobs", N)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Batches of 4 images, a save after every second one."""
    monkeypatch.setattr(features, "batch_size", lambda image_size: 4)
    monkeypatch.setattr(features, "CHUNK_BATCHES", 2)


def run(task: Task, cache: Path, stop_after: int = -1) -> features.Features:
    return encode(task, Stub(stop_after), cache)  # type: ignore[arg-type]


def interrupted(task: Task, cache: Path) -> Path:
    """The folder of an encoding that stopped in its 6th batch, 16 rows safe, beside a digest of an earlier array."""
    with pytest.raises(KeyboardInterrupt):
        run(task, cache, 5)
    (part,) = cache.glob("*/view0.part")
    part.with_suffix(".sha256").write_text("0" * 64 + "\n")
    return part.parent


# --- damage -----------------------------------------------------------------------------------------------------------


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def blank(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content))
    length = min(rng.randrange(1, 200), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def splice(content: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:a] + content[b:] if rng.random() < 0.5 else content[:b] + content[a:b] + content[b:]


def noise(content: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(300))


NUMBERS = [b"100", b"16", b"-1", b"1e400", b"NaN", b"[]", b"{}", b"null", b'"16"', b"[16]", b"[[[[", b"\xff\xfe", b""]


def number(content: bytes, rng: random.Random) -> bytes:
    return rng.choice(NUMBERS)


DAMAGE: list[Callable[[bytes, random.Random], bytes]] = [cut, flip, blank, splice, noise, number]


@pytest.fixture
def quick(monkeypatch):
    """No waiting for the disk: nothing here is killed."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.mark.parametrize("suffix", [".part", ".rows", ".sha256"])
def test_whatever_is_damaged_the_end_is_the_clean_encoding(task, tmp_path, quick, suffix):
    clean = np.array(run(task, tmp_path / "clean").views[0])
    left = interrupted(task, tmp_path / "left")
    rng = random.Random(int(os.environ.get("PATHSEARCH_MUTANT_SEED", "0")))
    content = (left / f"view0{suffix}").read_bytes()
    for number_of_mutant in range(MUTANTS):
        damage = rng.choice(DAMAGE)
        cache = tmp_path / "damaged"
        shutil.copytree(left.parent, cache)
        (cache / left.name / f"view0{suffix}").write_bytes(damage(content, rng))
        found = run(task, cache)
        assert np.array_equal(found.views[0], clean), (number_of_mutant, damage.__name__)
        assert run(task, cache).encoded == 0, "and it is vouched for"
        shutil.rmtree(cache)


def test_several_files_damaged_at_once(task, tmp_path, quick):
    clean = np.array(run(task, tmp_path / "clean").views[0])
    left = interrupted(task, tmp_path / "left")
    rng = random.Random(1)
    for _ in range(MUTANTS):
        cache = tmp_path / "damaged"
        shutil.copytree(left.parent, cache)
        for file in (cache / left.name).glob("view0.*"):
            choice = rng.random()
            if choice < 0.2:
                file.unlink()
            elif choice < 0.8:
                file.write_bytes(rng.choice(DAMAGE)(file.read_bytes(), rng))
        assert np.array_equal(run(task, cache).views[0], clean)
        shutil.rmtree(cache)


def test_damage_costs_only_what_comes_after_it(task, tmp_path):
    left = interrupted(task, tmp_path / "left")
    part = left / "view0.part"
    whole = part.read_bytes()
    row = 2 * 3 * 4 * 4
    head = len(whole) - N * row
    for place, again in ((0, N - 8), (7, N - 8), (8, N - 8), (15, N - 8), (16, N - 16), (29, N - 16)):
        damaged = bytearray(whole)
        damaged[head + place * row] ^= 1
        cache = tmp_path / str(place)
        shutil.copytree(left.parent, cache)
        (cache / left.name / "view0.part").write_bytes(damaged)
        trunk = Stub()
        encode(task, trunk, cache)  # type: ignore[arg-type]
        assert trunk.images == (N if place < 8 else again), place


# --- a full disk ------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_line_before_any_image_is_encoded(task, tmp_path, monkeypatch):
    def full(handle: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    trunk = Stub()
    with refused(
        r"features .*view0\.part: expected a disk with room for 3,008 bytes, got [\d,]+ bytes free; make room"
    ):
        encode(task, trunk, tmp_path)  # type: ignore[arg-type]
    assert trunk.images == 0
    monkeypatch.undo()
    run(task, tmp_path)


def test_a_disk_that_fills_at_any_moment_is_one_line_and_nothing_wrong(task, tmp_path, monkeypatch):
    """Where room cannot be reserved: whichever write is the first that finds none."""
    clean = np.array(run(task, tmp_path / "clean").views[0])
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    told = []
    for moment in range(1, 30):
        calls = itertools.count(1)

        def full(handle: int, last: int = moment, calls: Iterator[int] = calls) -> None:
            if next(calls) >= last:
                raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                run(task, tmp_path / str(moment))
            except PathsearchError as error:
                told.append(str(error))
        assert np.array_equal(run(task, tmp_path / str(moment)).views[0], clean)
    assert 10 < len(told) < 29, "it filled at every moment, and in the end never"
    assert all(re.search("expected (a disk with room for|to be written, got No space left)", one) for one in told)
    assert not any("\n" in one for one in told)
    assert any("view0.part: expected a disk with room for 3,008 bytes" in one for one in told)


def test_a_file_system_without_reservation_is_no_obstacle(task, tmp_path, monkeypatch):
    def unable(handle: int, start: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    clean = np.array(run(task, tmp_path / "clean").views[0])
    monkeypatch.setattr(os, "posix_fallocate", unable, raising=False)
    assert np.array_equal(run(task, tmp_path / "other").views[0], clean)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small disk needs root and mount ({made.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_on_a_disk_that_is_too_small(small_disk):
    with (
        refused(r"features .*big.part: expected a disk with room for 1,000,128 bytes, got [\d,]+ bytes free"),
        growing(small_disk / "big.npy", (500_000,)),
    ):
        raise AssertionError("not reached")
    assert not (small_disk / "big.npy").exists()
    with growing(small_disk / "fits.npy", (100, 500)) as array:  # the failed one gave its room back
        array.append(np.ones((100, 500)))
    assert np.load(small_disk / "fits.npy").sum() == 50_000
