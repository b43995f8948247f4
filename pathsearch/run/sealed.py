"""Tensors and plain values in one file that says whose they are and holds a digest of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_prep.errors import PathsearchError
from pathsearch.run.tensor_file import load_tensors, save_tensors


def owner_of(*values: Any) -> str:
    """A digest of plain values, such as settings: what a sealed file belongs to."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def save_sealed(file: Path, owner: str, state: Any, tensors: Mapping[str, Tensor]) -> None:
    """Write plain values and tensors whole, in one file, so that a kill at any moment leaves the last whole one."""
    note = {"owner": owner, "state": state, "sha256": _digest(owner, state, tensors)}
    save_tensors(file, tensors, {"pathsearch": json.dumps(note)})


def load_sealed(file: Path, owner: str, remedy: str, what: str = "checkpoint") -> tuple[Any, dict[str, Tensor]]:
    """What `save_sealed` wrote.

    Args:
        file: is there.
        owner: whose it must be.
        remedy: what to do about a file that is not, for the message.
        what: the word for it in messages.

    Raises:
        PathsearchError: the file is damaged, of an earlier version, or belongs to others.
    """
    tensors, texts = load_tensors(file, what, remedy)
    try:
        note = json.loads(texts["pathsearch"])
        found, state, sha256 = note["owner"], note["state"], note["sha256"]
        intact = sha256 == _digest(found, state, tensors)
    except (KeyError, TypeError, ValueError, RecursionError):
        intact = False
    if not intact:
        raise PathsearchError(f"{what} {file}: damaged, or written by an earlier version; {remedy}")
    if found != owner:
        raise PathsearchError(f"{what} {file}: belongs to other settings, data, encoder or earlier experts; {remedy}")
    return state, tensors


def _digest(owner: Any, state: Any, tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(json.dumps([owner, state]).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
