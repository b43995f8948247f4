"""One mutant of a file: its form, the seed and its number decide the damage, on every machine."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from random import Random

from array_mutations import NPY, NPZ, PTH, TENSORS
from byte_mutations import BYTES, Damaged, Mutation
from image_mutations import DICOM, JPEG, PNG
from json_mutations import JSON
from text_mutations import LINES, TABLE
from wfdb_mutations import ATR

STRUCTURE: dict[str, Sequence[Mutation]] = {
    **{
        ".json": JSON,
        ".csv": TABLE,
        ".tsv": TABLE,
        ".txt": LINES,
        ".toml": LINES,
        ".md": LINES,
        ".html": LINES,
        ".svg": LINES,
    },
    **{".sha256": LINES, ".rows": LINES, ".hea": LINES, "SHA256SUMS": LINES, ".safetensors": TENSORS},
    **{".npy": NPY, ".part": NPY, ".npz": NPZ, ".pth": PTH, ".png": PNG, ".jpeg": JPEG, ".dcm": DICOM, ".atr": ATR},
}
QUICK, LONG = 60, 1000
TRIES = 50


@dataclass(frozen=True)
class Mutant:
    """A damaged copy of a file.

    Attributes:
        words: the damage, for a person.
        data: the file's bytes afterwards; None where it is gone.
    """

    words: str
    data: bytes | None


def chosen_seed(version: str) -> int:
    """The seed of a release: another for each version, unless SOAK_SEED says which."""
    given = os.environ.get("SOAK_SEED")
    return int(given) if given else int.from_bytes(hashlib.sha256(version.encode()).digest()[:4], "big")


def structure_of(name: str) -> Sequence[Mutation]:
    """The mutations that know what a file of this name holds; none where nothing is known."""
    return STRUCTURE.get(name) or STRUCTURE.get(PurePath(name).suffix, ())


def mutant(form: str, name: str, data: bytes, seed: int, number: int) -> Mutant:
    """The `number`-th mutant of a file's bytes: damage to its structure in three of five, to its bytes in the others.

    Args:
        form: name of the file's form.
        name: of the file, which tells its structure.
        data: the whole file.
        seed: of the series.
        number: within the series.
    """
    rng = Random(f"{seed} {form} {number}")
    structure = structure_of(name)
    for _ in range(TRIES):
        mutation = rng.choice(structure if structure and rng.random() < 0.6 else BYTES)
        words, changed = applied(mutation, data, rng)
        if changed != data:
            return Mutant(words, changed)
    raise AssertionError(f"{form}: no mutation changed {len(data)} bytes in {TRIES} tries")


def applied(mutation: Mutation, data: bytes, rng: Random) -> Damaged:
    """What a mutation makes of a file; the file itself where it finds no hold."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries that would rather not write what is meant here
            return mutation(data, rng)
    except (ValueError, IndexError, KeyError, TypeError, OSError, struct.error):
        return "", data
