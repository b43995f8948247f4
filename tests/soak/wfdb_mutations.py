"""Damage to WFDB's annotations: codes of 16 bits, six of kind and ten of interval."""

from __future__ import annotations

import struct
from random import Random

from byte_mutations import Damaged, Mutation

SKIP, NUM, SUB, CHN, AUX = 59, 60, 61, 62, 63


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2]))


def _bytes(words: list[int]) -> bytes:
    return struct.pack(f"<{len(words)}H", *words)


def code_changed(data: bytes, rng: Random) -> Damaged:
    words = _words(data)
    i = rng.randrange(len(words))
    kind = rng.choice([0, 1, 8, 28, 50, SKIP, NUM, SUB, CHN, AUX])
    words[i] = kind << 10 | words[i] & 0x3FF
    return f"code {i} of kind {kind}", _bytes(words)


def code_more(data: bytes, rng: Random) -> Damaged:
    """A skip of any length and sign, a note of any length, or the end, in the midst."""
    words = _words(data)
    i = rng.randrange(len(words))
    more = rng.choice(
        [
            [SKIP << 10, 0x7FFF, 0xFFFF],
            [SKIP << 10, 0xFFFF, 0xFFFE],
            [SKIP << 10, 0x8000, 0x0000],
            [SKIP << 10, 0, 0],
            [SKIP << 10 | 5],
            [AUX << 10 | 0x3FF],
            [AUX << 10 | 3, 0x4141, 0x41],
            [NUM << 10 | 0x3FF],
            [0],
            [0, 0, 0],
            [1 << 10],
        ]
    )
    words[i:i] = more
    return f"codes {more} before {i}", _bytes(words)


def interval_changed(data: bytes, rng: Random) -> Damaged:
    words = _words(data)
    i = rng.randrange(len(words))
    words[i] = words[i] & 0xFC00 | rng.randrange(1024)
    return f"interval {i} is {words[i] & 0x3FF}", _bytes(words)


def code_gone(data: bytes, rng: Random) -> Damaged:
    words = _words(data)
    del words[i := rng.randrange(len(words))]
    return f"code {i} gone", _bytes(words)


ATR: tuple[Mutation, ...] = (code_changed, code_more, code_more, interval_changed, code_gone)
