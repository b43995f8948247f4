"""Damage that knows nothing of a file's form: what disks, copies and kills do."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Damaged = tuple[str, bytes | None]  # in words, and the file afterwards; None: it is gone
Mutation = Callable[[bytes, Random], Damaged]
BLOCK = 64


def flipped(data: bytes, rng: Random) -> Damaged:
    bit = rng.randrange(8 * max(1, len(data)))
    changed = bytearray(data or b"\0")
    changed[bit // 8] ^= 1 << bit % 8
    return f"bit {bit} flipped", bytes(changed)


def flipped_many(data: bytes, rng: Random) -> Damaged:
    changed = bytearray(data or b"\0")
    for _ in range(n := rng.randrange(2, 40)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return f"{n} bits flipped", bytes(changed)


def flipped_early(data: bytes, rng: Random) -> Damaged:
    """In the first bytes, where most forms keep their header."""
    bit = rng.randrange(8 * max(1, min(len(data), BLOCK)))
    changed = bytearray(data or b"\0")
    changed[bit // 8] ^= 1 << bit % 8
    return f"bit {bit} flipped", bytes(changed)


def cut(data: bytes, rng: Random) -> Damaged:
    size = rng.randrange(max(1, len(data)))
    return f"cut to {size} of {len(data)} bytes", data[:size]


def cut_in_front(data: bytes, rng: Random) -> Damaged:
    size = rng.randrange(1, max(2, len(data)))
    return f"first {size} bytes gone", data[size:]


def emptied(data: bytes, rng: Random) -> Damaged:
    return "empty", b""


def removed(data: bytes, rng: Random) -> Damaged:
    return "removed", None


def appended(data: bytes, rng: Random) -> Damaged:
    more = rng.randbytes(rng.randrange(1, 200)) if rng.random() < 0.7 else data
    return f"{len(more)} bytes appended", data + more


def zeroed(data: bytes, rng: Random) -> Damaged:
    start, stop = _block(data, rng)
    return f"bytes {start} to {stop} zeroed", data[:start] + bytes(stop - start) + data[stop:]


def doubled(data: bytes, rng: Random) -> Damaged:
    start, stop = _block(data, rng)
    return f"bytes {start} to {stop} twice", data[:stop] + data[start:]


def dropped(data: bytes, rng: Random) -> Damaged:
    start, stop = _block(data, rng)
    return f"bytes {start} to {stop} dropped", data[:start] + data[stop:]


def swapped(data: bytes, rng: Random) -> Damaged:
    (a, b), (c, d) = sorted((_block(data, rng), _block(data, rng)))
    if b > c:
        return flipped(data, rng)
    return f"bytes {a} to {b} and {c} to {d} swapped", data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def noise(data: bytes, rng: Random) -> Damaged:
    return "noise of the same length", rng.randbytes(min(len(data), 1 << 20))


def _block(data: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(max(1, len(data)))
    return start, min(len(data), start + rng.randrange(1, max(2, min(4096, len(data) // 4))))


BYTES: tuple[Mutation, ...] = (
    *(flipped, flipped, flipped_many, flipped_early, cut, cut_in_front, emptied, removed),
    *(appended, zeroed, doubled, dropped, swapped, noise),
)
