"""Seeded draws of rows or of whole groups into parts, with every class in every part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_prep.errors import BadData

N_DRAWS = 20_000  # enough that a class of three groups, spread by chance once in 7 draws, is no obstacle
MAX_CELLS = 10_000_000  # draws × groups held at once: with thousands of groups, few draws come close


def draw_rows(labels: Sequence[str], fractions: Sequence[float], seed: int) -> np.ndarray:
    """Part of each row, drawn class by class; each part gets its fraction, and at least one, of each class.

    Args:
        labels: class of each row.
        fractions: share of each part; they sum to 1. The first part takes what rounding leaves.
        seed: of the draw.

    Returns:
        Part numbers, int64, one a row.

    Raises:
        BadData: a class has fewer rows than there are parts.
    """
    rng = np.random.default_rng(seed)
    names, label = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    parts = np.zeros(len(label), dtype=np.int64)
    for index, name in enumerate(names):
        rows = rng.permutation(np.flatnonzero(label == index))
        if len(rows) < len(fractions):
            of_class = f" of class {str(name)!r}" if name else ""
            raise BadData(
                f"split: expected at least {len(fractions)} images{of_class}, one a split, "
                f"got {len(rows)}; add images or leave the class out"
            )
        start = 0
        for part, fraction in enumerate(fractions[1:], start=1):
            size = max(1, round(fraction * len(rows)))
            parts[rows[start : start + size]] = part
            start += size
    return parts


def draw_groups(labels: Sequence[str], groups: Sequence[str], fractions: Sequence[float], seed: int) -> np.ndarray:
    """Part of each row, whole groups together, each class as near its fractions as the best of many draws.

    Every draw sends each group to a part with the parts' fractions as chances. Among the draws with every
    class in every part, the one with the smallest sum of |share of a class in a part - fraction| is kept.

    Args:
        labels: class of each row.
        groups: group of each row; a row without one (`""`) is its own group.
        fractions: share of each part; they sum to 1.
        seed: of the draws.

    Returns:
        Part numbers, int64, one a row.

    Raises:
        BadData: a class has fewer groups than there are parts, or no draw has every class in every part.
    """
    own = [group or f"\0{row}" for row, group in enumerate(groups)]  # \0 is in no real group's name
    group_names, group = np.unique(np.asarray(own, dtype=object), return_inverse=True)
    if len(group_names) == len(own):
        return draw_rows(labels, fractions, seed)  # nothing to keep together: exact shares
    names, label = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    counts = np.zeros((len(group_names), len(names)))  # G×C
    np.add.at(counts, (group, label), 1)
    _check_enough_groups(counts, names, len(fractions))

    rng = np.random.default_rng(seed)
    n_draws = max(1, min(N_DRAWS, MAX_CELLS // len(group_names)))
    draws = rng.choice(len(fractions), size=(n_draws, len(group_names)), p=fractions).astype(np.int8)  # D×G
    found = np.stack([(draws == part).astype(float) @ counts for part in range(len(fractions))], axis=1)  # D×P×C
    shares = found / counts.sum(axis=0)
    deviation = np.abs(shares - np.asarray(fractions)[:, None]).sum(axis=(1, 2))
    deviation[(found == 0).any(axis=(1, 2))] = np.inf
    best = int(deviation.argmin())
    if np.isinf(deviation[best]):
        raise BadData(
            f"split: expected whole groups with every class in each of {len(fractions)} splits, got no "
            f"such split in {n_draws} draws of {len(group_names)} groups; use --split random or "
            "leave a rare class out"
        )
    return draws[best].astype(np.int64)[group]


def _check_enough_groups(counts: np.ndarray, names: np.ndarray, n_parts: int) -> None:
    for name, n_groups in zip(names, (counts > 0).sum(axis=0), strict=True):
        if n_groups < n_parts:
            raise BadData(
                f"split: expected class {str(name)!r} in at least {n_parts} groups, one for each split, got "
                f"{n_groups}; use --split random or leave the class out"
            )
