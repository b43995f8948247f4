"""A confusion table in a report: whole for few classes, its filled cells for many, and its largest confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypedDict

import numpy as np

from pathsearch.measures.clusters import Ints

MANY = 100  # classes: above it most cells are 0, and a report of all of them would be hundreds of megabytes


class Counts(TypedDict, total=False):
    """The fields of a table; `cells` of many classes only."""

    confusion: list[list[int]]
    cells: list[list[int]]  # row, column, count


class Confusion(NamedTuple):
    """Images of one class that were answered as another."""

    row: int
    column: int
    images: int
    share: float  # of the images of the class


def fields(table: Ints) -> Counts:
    """A table as fields of a report: `confusion`, all counts; of many classes `cells`, and `confusion` stays empty.

    Args:
        table: int[R, C] counts.

    Returns:
        `cells` are [row, column, count] of every count above 0, row by row.
    """
    if len(table) <= MANY:
        return {"confusion": table.tolist()}
    rows, columns = np.nonzero(table)
    return {"confusion": [], "cells": np.stack([rows, columns, table[rows, columns]], 1).tolist()}


def table_of(part: Mapping[str, object], n_rows: int, n_columns: int, counts: str = "confusion") -> Ints:
    """The int[R, C] counts of a part of a report, whichever fields it has.

    Raises:
        ValueError: the counts do not fit R and C, or one is below 0.
    """
    if "cells" in part:
        cells = np.array(part["cells"], np.int64).reshape(-1, 3)
        table = np.zeros((n_rows, n_columns), np.int64)
        fits = bool((cells[:, :2] >= 0).all() and (cells[:, :2] < [n_rows, n_columns]).all())
        if fits:
            table[cells[:, 0], cells[:, 1]] = cells[:, 2]
    else:
        table = np.array(part[counts], np.int64)
        fits = table.shape == (n_rows, n_columns)
    if not fits or (table < 0).any():
        raise ValueError(f"a confusion of shape {list(table.shape)} for {n_rows} rows and {n_columns} columns")
    return table


def largest(table: Ints, shown: int) -> list[Confusion]:
    """The confusions of most images, the largest first; of equal ones that with the larger share of its class.

    Args:
        table: int[R, C] counts; row and column of one number are one class.
        shown: at most.
    """
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    images, totals = wrong[rows, columns], table.sum(1)
    shares = images / totals[rows]
    order = np.lexsort((columns, rows, -shares, -images))[:shown]
    return [Confusion(int(rows[i]), int(columns[i]), int(images[i]), float(shares[i])) for i in order]


def names(found: Confusion, rows: Sequence[str], columns: Sequence[str]) -> tuple[str, str]:
    """The class that it is and the one that was said."""
    return rows[found.row], columns[found.column]
