from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from data_prep.errors import CannotWrite, PathsearchError
from pathsearch.tensor_file import load_tensors, save_tensors

resource = pytest.importorskip("resource", reason="limits of POSIX")


def test_tensors_and_texts_come_back(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.zeros(0)}  # one is not contiguous
    save_tensors(tmp_path / "new" / "x.safetensors", tensors, {"note": "ü"})
    back, texts = load_tensors(tmp_path / "new" / "x.safetensors", "thing")
    assert texts == {"note": "ü"}
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_a_full_disk_is_one_line_with_the_files_name(tmp_path):
    file = tmp_path / "x.safetensors"
    save_tensors(file, {"a": torch.zeros(3)})
    whole = file.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(
            CannotWrite, match=r"x.safetensors: expected to be written, got .*free some space"
        ) as caught:
            save_tensors(file, {"a": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == whole
    assert [child.name for child in tmp_path.iterdir()] == ["x.safetensors"]


def test_permissions_are_those_that_the_umask_leaves(tmp_path):
    for mask, left in ((0o022, 0o644), (0o077, 0o600)):
        before = os.umask(mask)
        try:
            save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(3)})
        finally:
            os.umask(before)
        assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == left


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(PathsearchError, match=r"thing .*none: no such file; make it again"):
        load_tensors(tmp_path / "none", "thing")


def test_no_damage_gives_anything_but_one_line_or_the_tensors(tmp_path):
    file = tmp_path / "x.safetensors"
    save_tensors(file, {"a": torch.arange(12.0), "b": torch.ones(2, 2, dtype=torch.bfloat16)}, {"note": "text"})
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    said = []
    for _ in range(300):
        spoiled = bytearray(whole[: rng.integers(len(whole) + 1)] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, max(1, len(spoiled)), rng.integers(0, 4)):
            if place < len(spoiled):
                spoiled[place] = rng.integers(256)
        file.write_bytes(bytes(spoiled))
        try:
            load_tensors(file, "thing", "train it again")
        except PathsearchError as error:
            said.append(str(error))
    assert len(said) > 100
    assert all("\n" not in line and "train it again" in line for line in said)
