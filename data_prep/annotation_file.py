"""The bytes of a WFDB annotation file, read strictly: what is cut, damaged or of another record is refused.

wfdb's reader never returns on some damaged files and takes a cut one for a short one, so the format, 16-bit words
after PhysioNet's annot(5), is read here: an annotation is a code in the upper six bits and, in the lower ten, the
samples since the one before; pseudo-codes follow it or skip time; a word of zero is the end, and only the end.
"""

from __future__ import annotations

import re
import struct
from itertools import pairwise

LAST_CODE = 49  # of an annotation; the codes to 58 mean nothing
SKIP, NUM, CHN, AUX = 59, 60, 62, 63
NOTE = 22
DEFINITIONS = (b"## annotation type definitions", b"## end of definitions")
SILENCE = 10  # seconds without a mark that any record may end with; with the longest gap inside it where that is longer


def read_annotation_bytes(data: bytes) -> tuple[list[int], list[int], float | None]:
    """The sample number and the code of each annotation, and the rate that the file was made for, if it says so.

    Raises:
        ValueError: in words, what a whole file would not have.
    """
    if not data:
        raise ValueError("an empty file")
    if len(data) % 2:
        raise ValueError(f"an odd number of bytes, {len(data)}")
    words = struct.unpack(f"<{len(data) // 2}H", data)
    samples: list[int] = []
    codes: list[int] = []
    rate = None
    here = now = 0  # the next word; the sample number so far
    while here < len(words):
        start, skipped = 2 * here, False
        while here + 3 < len(words) and words[here] == SKIP << 10:
            high, low = words[here + 1 : here + 3]  # a long of the PDP-11
            now += (high << 16 | low) - (1 << 32 if high >> 15 else 0)
            here, skipped = here + 3, True
        code, step = words[here] >> 10, words[here] & 1023
        here += 1
        if code == step == 0 and not skipped:
            if here < len(words):
                raise ValueError(f"an end at byte {start} of {len(data)}")
            return samples, codes, rate
        if code > LAST_CODE or (code == 0 and now + step):  # 0 only fills, at the beginning: so wfdb writes it
            raise ValueError(f"no annotation but code {code} at byte {start}")
        now += step
        if now < (samples[-1] if samples else 0):
            raise ValueError(f"a step back in time at byte {start}")
        about = b""
        while here < len(words) and NUM <= words[here] >> 10 <= AUX:
            pseudo, size = words[here] >> 10, words[here] & 1023
            here += 1
            if pseudo == AUX:
                about = struct.pack(f"<{len(words[here:])}H", *words[here:])[:size] if size < 256 else b""
                here += (size + 1) // 2
        if now == 0 and code == NOTE:  # of the file, not of the signal
            rate = _rate(about, start) or rate
        elif code or now:
            samples.append(now)
            codes.append(code)
    raise ValueError("no mark of its end")


def _rate(note: bytes, start: int) -> float | None:
    """The rate in a note of the whole file, None in one of the others that there are."""
    found = re.fullmatch(rb"## time resolution: (\d+\.?\d*)", note)
    if not found and note.startswith(b"## ") and note not in DEFINITIONS:
        raise ValueError(f"an unknown note {note[:24]!r} at byte {start}")
    return float(found.group(1)) if found else None


def check_reach(samples: list[int], n_samples: int, rate: float) -> None:
    """Refuse annotations that lie outside the signal, or that end long before it does.

    A record that is annotated to its end has its last mark within `SILENCE` of it: the hearts of MIT-BIH beat again
    after 1.8 s at most. Where marks are sparse, the longest time between two of them is allowed instead.

    Args:
        samples: of the annotations, ascending.
        n_samples: of the signal.
        rate: samples a second.

    Raises:
        ValueError: in words, what is wrong.
    """
    if not samples:
        raise ValueError("none")
    if samples[-1] >= n_samples:
        first = next(sample for sample in samples if sample >= n_samples)
        raise ValueError(f"one at sample {first}")
    longest = max((after - before for before, after in pairwise(samples)), default=0)
    rest = n_samples - 1 - samples[-1]
    if rest > max(SILENCE * rate, longest):
        raise ValueError(f"none in the last {rest / rate:.0f} of {n_samples / rate:.0f} seconds")
