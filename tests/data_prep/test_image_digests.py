from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from data_prep import image_digests
from data_prep.errors import BadData
from data_prep.folder import prepare_folder
from data_prep.image_digests import LIST
from data_prep.manifest import load_task


@pytest.fixture
def task(tmp_path):
    """Sixteen noisy images of two classes."""
    rng = np.random.default_rng(0)
    for number in range(16):
        file = tmp_path / "raw" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).save(file)
    return prepare_folder(tmp_path / "raw", tmp_path / "data", name="pets", image_size=12)


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "cache" / "verified.json"


@pytest.fixture
def hashed(monkeypatch):
    """The files that were read for their digest."""
    files = []
    real = image_digests._digest
    monkeypatch.setattr(image_digests, "_digest", lambda file: files.append(file) or real(file))
    return files


@pytest.fixture
def at_rest(monkeypatch):
    """As if the images had been prepared some seconds ago."""
    real = time.time_ns
    monkeypatch.setattr(image_digests.time, "time_ns", lambda: real() + 3 * image_digests.SETTLED)


def test_images_of_two_classes_that_changed_places_are_refused(task, memory, at_rest):
    task.verify_images(memory)
    files = dict(zip(task.table["label"], task.files(), strict=True))
    first, other = sorted(files.values(), key=task.files().index)
    swap = first.with_suffix(".tmp")
    first.rename(swap)
    other.rename(first)
    swap.rename(other)
    again = load_task(task.task_dir.parent, "pets")  # its digest and labels are still those of the preparation
    assert again.fingerprint == task.fingerprint
    for given in (memory, None):
        with pytest.raises(BadData, match="expected the image that was prepared") as caught:
            again.verify_images(given)
        assert str(caught.value).startswith(f"{first} (and 1 more): ")
        assert "\n" not in str(caught.value)


def test_one_bit_is_seen_though_size_and_time_stay(task, memory, at_rest):
    task.verify_images(memory)
    file = task.files()[5]
    before, data = file.stat(), bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(BadData, match=rf"{file.name}: expected the image that was prepared"):
        task.verify_images(memory)


def test_files_that_did_not_change_are_not_read_again(task, memory, hashed, at_rest):
    task.verify_images(memory)
    assert sorted(hashed) == sorted(task.files())
    hashed.clear()
    task.verify_images(memory)
    assert hashed == []
    os.utime(task.files()[2])
    task.verify_images(memory)
    assert hashed == task.files()[2:3], "touched: read again, and right"


def test_files_that_are_quite_new_are_not_remembered(task, memory, hashed):
    for file in task.files():
        os.utime(file)
    task.verify_images(memory)
    hashed.clear()
    task.verify_images(memory)
    assert sorted(hashed) == sorted(task.files()), "they may have changed in the tick in which they were read"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "", lambda text: text[: len(text) // 2], lambda text: "[]", lambda text: "7", lambda text: "{}",
        lambda text: "[" * 100_000, lambda text: json.dumps({**json.loads(text), "verified": 3}),
        lambda text: json.dumps({**json.loads(text), "verified": [None]}),
        lambda text: json.dumps({**json.loads(text), "images_sha256": "0" * 64}),
        lambda text: text.replace("1", "2"),
    ],
)  # fmt: skip
def test_a_damaged_memory_costs_time_and_nothing_else(task, memory, hashed, at_rest, damage):
    task.verify_images(memory)
    whole = memory.read_text()
    memory.write_text(damage(whole))
    hashed.clear()
    task.verify_images(memory)
    assert hashed
    assert memory.read_text() == whole
    task.files()[0].write_bytes(b"other")
    memory.write_text(damage(whole))
    with pytest.raises(BadData):
        task.verify_images(memory)


def test_a_task_without_the_list_is_checked_as_a_whole(task, memory, at_rest):
    (task.task_dir / LIST).unlink()
    task.verify_images(memory)
    task.verify_images(memory)
    task.files()[3].write_bytes(task.files()[4].read_bytes())
    with pytest.raises(BadData, match=r"pets: expected the images that were prepared, got others"):
        task.verify_images(memory)


def test_a_list_that_was_edited_vouches_for_nothing(task):
    lines = (task.task_dir / LIST).read_text().splitlines(keepends=True)
    file = task.files()[0]
    file.write_bytes(task.files()[1].read_bytes())
    (task.task_dir / LIST).write_text("".join([lines[1][:64] + lines[0][64:], *lines[1:]]))
    with pytest.raises(BadData, match="expected the images that were prepared, got others"):
        task.verify_images()


def test_a_missing_image_is_named(task):
    task.files()[3].unlink()
    with pytest.raises(BadData, match=r"expected a prepared image, got No such file"):
        task.verify_images()


def test_the_list_is_that_of_sha256sum(task):
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum")
    subprocess.run(["sha256sum", "--check", "--strict", LIST], cwd=task.task_dir, check=True, capture_output=True)


def test_a_cache_that_cannot_be_written_is_no_obstacle(task, tmp_path, at_rest):
    (tmp_path / "file").write_text("")
    task.verify_images(tmp_path / "file" / "verified.json")
