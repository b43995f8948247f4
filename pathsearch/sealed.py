"""Tensors and plain values in one file that says whose they are and holds a digest of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from data_prep.errors import PathsearchError
from data_prep.whole_files import appears_whole


def owner_of(*values: Any) -> str:
    """A digest of plain values, such as settings: what a sealed file belongs to."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def save_sealed(file: Path, owner: str, state: Any, tensors: Mapping[str, Tensor]) -> None:
    """Write plain values and tensors whole, in one file, so that a kill at any moment leaves the last whole one."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    note = {"owner": owner, "state": state, "sha256": _digest(owner, state, flat)}
    with appears_whole(file) as part:
        save_file(flat, part, metadata={"pathsearch": json.dumps(note)})


def load_sealed(file: Path, owner: str, remedy: str) -> tuple[Any, dict[str, Tensor]]:
    """What `save_sealed` wrote.

    Args:
        file: is there.
        owner: whose it must be.
        remedy: what to do about a file that is not, for the message.

    Raises:
        PathsearchError: the file is damaged, of an earlier version, or belongs to others.
    """
    try:
        with safe_open(file, "pt") as opened:
            note = json.loads(opened.metadata()["pathsearch"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
        found, state, sha256 = note["owner"], note["state"], note["sha256"]
        if sha256 != _digest(found, state, tensors):
            raise ValueError("its content and its digest differ")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise PathsearchError(
            f"{file}: damaged, or written by another version ({type(error).__name__}: {error}); {remedy}"
        ) from None
    if found != owner:
        raise PathsearchError(
            f"{file}: belongs to other settings, other data, another encoder or other earlier experts; {remedy}"
        )
    return state, tensors


def _digest(owner: Any, state: Any, tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256(json.dumps([owner, state]).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
