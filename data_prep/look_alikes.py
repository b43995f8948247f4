"""Which images have a look-alike in another split: the answer of all comparisons, without making them all.

By the pigeonhole principle: of two hashes at most 40 bits apart, cut into 21 parts, one part is at most 1 bit apart,
or all would differ by 2, which makes 42. So a hash is compared only with those that share a part with it, but for a
bit (multi-index hashing, Norouzi, Punjani and Fleet 2012). We differ: parts are drawn from all over the image, since
neighbouring cells of an X-ray agree in most patients, and an image that has found one look-alike asks no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.fingerprints import ALIKE, N_BITS, Fingerprint

PARTS = ALIKE // 2 + 1
FEW = 1 << 23  # comparisons: so many are made at once, in tenths of a second
BLOCK = 1 << 18  # pairs that are compared at once
DEAR = 4  # what a comparison of one pair costs beside one of many by many


def alike(ours: Sequence[Fingerprint], theirs: Sequence[Fingerprint]) -> np.ndarray:
    """Which of n `ours` have a look-alike, or an identical image, among `theirs`; bool, (n,)."""
    if not ours or not theirs:
        return np.zeros(len(ours), dtype=bool)
    own, other = (np.stack([one.bits for one in prints]) for prints in (ours, theirs))
    return compare_all(own, other) if len(own) * len(other) <= FEW else compare_near(own, other)


def n_alike(ours: Sequence[Fingerprint], theirs: Sequence[Fingerprint]) -> int:
    """How many of `ours` have one."""
    return int(alike(ours, theirs).sum())


def compare_all(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Which of `ours` (n, N_BITS) have one of `theirs` (m, N_BITS) at most `ALIKE` bits apart; bool, (n,).

    Of two vectors of ±1 the product is N_BITS - 2 · distance: exact in float32, and as fast as a matrix product.
    """
    other = theirs.astype(np.float32).T * 2 - 1
    rows = max(1, BLOCK * 64 // len(theirs))
    blocks = (ours[start : start + rows].astype(np.float32) * 2 - 1 for start in range(0, len(ours), rows))
    return np.concatenate([(block @ other).max(axis=1) >= N_BITS - 2 * ALIKE for block in blocks])


def compare_near(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The same as `compare_all`, in nearly linear time where few are nearly alike, and never in more than twice its."""
    found = np.zeros(len(ours), dtype=bool)
    words, other_words = (np.packbits(bits, axis=1).view(np.uint64) for bits in (ours, theirs))
    allowed = len(ours) * len(theirs) // DEAR
    for part in _parts(theirs):
        keys, own_keys = _key(theirs[:, part]), _key(ours[:, part])
        order = np.argsort(keys)
        keys = keys[order]
        there = np.zeros(1 << len(part), dtype=bool)  # asked first: most parts are nobody's
        there[keys] = True
        left = np.argsort(own_keys)  # in the order of memory
        left = left[~found[left]]
        for change in (0, *(1 << bit for bit in range(len(part)))):
            wanted = own_keys[left] ^ change
            asked = there[wanted]
            rows, wanted = left[asked], wanted[asked]
            first, last = (np.searchsorted(keys, wanted, side) for side in ("left", "right"))
            allowed -= int((last - first).sum())
            if allowed < 0:  # a crowd: its members share parts with most others
                found[left] = compare_all(ours[left], theirs)
                return found
            for row, candidate in _pairs(rows, first, last):
                apart = _n_ones(words[row] ^ other_words[order[candidate]])
                found[row[apart <= ALIKE]] = True
            if found[rows].any():
                left = left[~found[left]]
    return found


def _parts(bits: np.ndarray) -> list[np.ndarray]:
    """Places of the bits of each part: those that tell most images apart are dealt out first, one to each part."""
    ones = bits.mean(axis=0)
    order = np.argsort(np.abs(ones - 0.5), kind="stable")
    return [order[start::PARTS] for start in range(PARTS)]


def _key(bits: np.ndarray) -> np.ndarray:
    """One number for each row of bits."""
    return bits.astype(np.int32) @ (1 << np.arange(bits.shape[1], dtype=np.int32))


def _pairs(rows: np.ndarray, first: np.ndarray, last: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each row with every number of its range, in blocks."""
    sizes = last - first
    ends = np.cumsum(sizes)
    for start in range(0, int(ends[-1]) if len(ends) else 0, BLOCK):
        number = np.arange(start, min(start + BLOCK, int(ends[-1])))
        which = np.searchsorted(ends, number, "right")
        yield rows[which], first[which] + number - (ends[which] - sizes[which])


_ONES = np.array([bin(value).count("1") for value in range(1 << 16)], dtype=np.uint8)


def _n_ones(words: np.ndarray) -> np.ndarray:
    return _ONES[words.view(np.uint16)].sum(axis=1, dtype=np.int64)
