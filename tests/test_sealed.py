"""Sealed files: the same values back, only by their owner, and never changed."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from small_world import refused

from data_prep.errors import PathsearchError
from pathsearch.sealed import load_sealed, owner_of, save_sealed

STATE = {"population": ["0|1|2"], "log": [{"best": 0.1 + 0.2}], "stopped": None}


@pytest.fixture
def file(tmp_path) -> Path:
    save_sealed(tmp_path / "s.safetensors", "me", STATE, tensors())
    return tmp_path / "s.safetensors"


def tensors() -> dict[str, torch.Tensor]:
    return {
        "a": torch.arange(6.0).reshape(3, 2).T,
        "step": torch.tensor(3.0),
        "bits": torch.tensor([1, 2], dtype=torch.uint8),
        "none": torch.zeros(0, 2),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) and a[n].dtype == b[n].dtype for n in a)


def test_values_and_tensors_come_back_as_they_were(file):
    state, found = load_sealed(file, "me", "start again")
    assert state == STATE
    assert same(found, tensors())


def test_what_belongs_to_others_is_refused(file):
    with refused("belongs to other settings, data, encoder or earlier experts; start again"):
        load_sealed(file, "you", "start again")


def test_owners_differ_by_every_value():
    owners = [owner_of({"a": 1, "b": 2}, "x"), owner_of({"a": 1, "b": 3}, "x"), owner_of({"a": 1, "b": 2}, "y")]
    assert len(set(owners)) == 3
    assert owner_of({"b": 2, "a": 1}, "x") == owners[0]


def rewritten(file: Path, change: Any) -> None:
    """Change tensors or note of a sealed file, and leave its digest."""
    with safe_open(file, "pt") as opened:
        note = json.loads(opened.metadata()["pathsearch"])
        found = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    change(found, note)
    save_file(found, file, metadata={"pathsearch": json.dumps(note)})


@pytest.mark.parametrize(
    "change",
    [
        lambda found, note: found.update(b=found.pop("a")),
        lambda found, note: found.pop("step"),
        lambda found, note: found["bits"].__setitem__(0, 3),
        lambda found, note: found.update(a=found["a"].reshape(3, 2)),
        lambda found, note: found.update(bits=found["bits"].view(torch.int8)),
        lambda found, note: note["state"]["log"][0].update(best=0.3),
        lambda found, note: note.update(owner="you"),
        lambda found, note: note.pop("sha256"),
        lambda found, note: note.pop("owner"),
    ],
    ids=["renamed", "gone", "changed", "reshaped", "another type", "state", "owner", "no digest", "no owner"],
)
def test_any_change_is_refused(file, change):
    rewritten(file, lambda found, note: None)
    load_sealed(file, "me", "start again")
    rewritten(file, change)
    with refused("checkpoint .*s.safetensors: damaged, or written by an earlier version; start again"):
        load_sealed(file, "me", "start again")


def test_a_checkpoint_of_an_earlier_version_is_refused(file):
    save_file(tensors() | {"a": torch.ones(1)}, file, metadata={"state": json.dumps(STATE)})
    with refused("damaged, or written by an earlier version; start again"):
        load_sealed(file, "me", "start again")


def test_bits_flipped_anywhere_change_nothing_unseen(file):
    content, rng, seen = file.read_bytes(), random.Random(0), 0
    for _ in range(400):
        changed = bytearray(content)
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(changed)
        try:
            state, found = load_sealed(file, "me", "start again")
        except PathsearchError:
            seen += 1
        else:  # such as another way to write the same letter
            assert state == STATE
            assert same(found, tensors())
    assert seen > 380
