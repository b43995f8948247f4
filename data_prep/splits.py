"""Train, val and test: four named ways to divide a task, each with a sentence for the report.

Every function returns the split of each row and a dictionary for `task.json`: `name`, `words`, `seed`,
`fractions` (asked for) and `groups_apart` (whether it promises that no group stands in two splits).
All are functions of their arguments only: the same seed gives the same split.

We draw with NumPy alone. scikit-learn's stratified splits round so that a rare class can miss a split. Its
`StratifiedGroupKFold`, at its best over 20 shuffles and all pairs of folds, left the class shares of the 30
MIT-BIH patients with A, L or R beats further off than the draw here: 0.54 against 0.32 in summed deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from data_prep.errors import BadData, PathsearchError
from data_prep.group_draw import draw_groups, draw_rows
from data_prep.table_words import SPLITS


class SplitFacts(TypedDict):
    """How a split was made, as `task.json` says it."""

    name: str
    words: str
    seed: int
    fractions: dict[str, float] | None  # None: those of the source
    groups_apart: bool


Split = tuple[np.ndarray, SplitFacts]

FRACTIONS = (0.6, 0.2, 0.2)  # the paper holds out 20 % for validation and 20 % for test
VAL_FRACTION = 0.2  # of train + val, where an official validation set is too small
TINY_VAL = 0.05  # below this share of train + val, a validation set is too small to steer a search

# de Chazal, O'Dwyer and Reilly 2004, table III. The four records with paced beats are in neither list.
_DS1 = [101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209, 215]
_DS1 += [220, 223, 230]
_DS2 = [100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210, 212, 213, 214, 219, 221, 222, 228, 231]
_DS2 += [232, 233, 234]
DS1, DS2 = tuple(map(str, _DS1)), tuple(map(str, _DS2))
PACED = ("102", "104", "107", "217")


def assign(
    name: str,
    labels: Sequence[str],
    groups: Sequence[str],
    given: Sequence[str],
    seed: int,
    unit: str = "images",
) -> Split:
    """The split called `name` (`random`, `patient` or `official`) of rows with these labels and groups.

    Args:
        name: which split.
        labels: class of each row.
        groups: group of each row, empty where unknown.
        given: the source's own split of each row, all empty where it has none; only `official` reads it.
        seed: of the draw.
        unit: what a row is, for the words of the report.
    """
    if name == "random":
        return random_split(labels, groups, seed, unit)
    if name == "patient":
        return patient_split(labels, groups, seed, unit)
    if name == "official":
        return official_split(labels, groups, given, seed)
    raise PathsearchError(f"--split: expected random, patient or official for this source, got {name!r}")


def random_split(labels: Sequence[str], groups: Sequence[str], seed: int, unit: str = "images") -> Split:
    """A stratified 60/20/20 split of rows; groups may be divided (the paper's protocol)."""
    split = np.array(SPLITS, dtype=object)[draw_rows(labels, FRACTIONS, seed)]
    words = f"random stratified split of {unit}, 60/20/20"
    known = [(part, group) for part, group in zip(split, groups, strict=True) if group]
    sides = [{group for part, group in known if part == side} for side in ("train", "test")]
    if sides[0] & sides[1]:
        words += f", so {unit} of one patient stand in training and test"
    return split, _facts("random", words, seed, FRACTIONS, groups_apart=False)


def patient_split(labels: Sequence[str], groups: Sequence[str], seed: int, unit: str = "images") -> Split:
    """A split of whole groups, near 60/20/20 for each class, every class in every split.

    Raises:
        BadData: no group is known, or groups leave some split without some class.
    """
    if not any(groups):
        raise BadData(
            "--split patient: expected a group (such as a patient) for the images, got none; "
            "give groups, or use --split random"
        )
    split = np.array(SPLITS, dtype=object)[draw_groups(labels, groups, FRACTIONS, seed)]
    words = f"split by patient, near 60/20/20, so no patient has {unit} in two of training, validation and test"
    return split, _facts("patient", words, seed, FRACTIONS)


def official_split(labels: Sequence[str], groups: Sequence[str], given: Sequence[str], seed: int) -> Split:
    """The source's own test set, and its validation set if that is large enough to be of use.

    A validation set that is missing, or under 5 % of train + val, is pooled with the training set and a
    stratified, group-disjoint 20 % is cut anew. The test set is never touched.
    """
    split = np.asarray(given, dtype=object)
    for needed in ("train", "test"):
        if not (split == needed).any():
            raise BadData(
                f"--split official: expected a {needed} split in the source, got "
                f"{', '.join(sorted(set(given) - {''})) or 'no split'}; use --split random or patient"
            )
    if not np.isin(split, SPLITS).all():
        raise BadData(
            "--split official: expected train, val or test for every image, got "
            f"{sorted(set(given) - set(SPLITS))[0]!r}; correct the source or use --split random"
        )
    pool = np.flatnonzero(split != "test")
    n_val = int((split == "val").sum())
    if n_val >= TINY_VAL * len(pool):
        return split, _facts("official", "official split of the source", seed, None)
    parts = draw_groups(_take(labels, pool), _take(groups, pool), (1 - VAL_FRACTION, VAL_FRACTION), seed)
    split[pool] = np.array(SPLITS, dtype=object)[parts]
    pooled = f"the source's {n_val} validation images pooled with training; " if n_val else ""
    apart = ", no group in both" if any(_take(groups, pool)) else ""
    words = f"official test split; {pooled}a stratified 20 % of training cut for validation{apart}"
    return split, _facts("official", words, seed, (1 - VAL_FRACTION, VAL_FRACTION))


def ds1_ds2_split(labels: Sequence[str], groups: Sequence[str], records: Sequence[str], seed: int) -> Split:
    """The split of MIT-BIH by de Chazal et al.: DS2 for test, whole patients of DS1 for validation.

    Rows of records in neither list have the split `""`: the caller leaves them out. As published, records
    201 (DS1) and 202 (DS2) are one patient; we keep the lists, so that numbers compare, and say it.
    """
    record = np.asarray(records, dtype=object)
    split = np.full(len(record), "", dtype=object)
    split[np.isin(record, DS2)] = "test"
    pool = np.flatnonzero(np.isin(record, DS1))
    if not len(pool) or not (split == "test").any():
        raise BadData(
            "--split ds1-ds2: expected MIT-BIH records of both lists (such as 101 and 100), got "
            f"{', '.join(sorted(set(records))[:5])}; use --split patient"
        )
    parts = draw_groups(_take(labels, pool), _take(groups, pool), (1 - VAL_FRACTION, VAL_FRACTION), seed)
    split[pool] = np.array(SPLITS, dtype=object)[parts]
    words = (
        "split by record after de Chazal 2004, DS2 for test, about 20 % of DS1, by patient, for validation; "
        "as published, one patient (records 201 and 202) is in both DS1 and DS2"
    )
    return split, _facts("ds1-ds2", words, seed, (1 - VAL_FRACTION, VAL_FRACTION), groups_apart=False)


def _facts(
    name: str, words: str, seed: int, fractions: Sequence[float] | None, groups_apart: bool = True
) -> SplitFacts:
    asked = dict(zip(SPLITS, map(float, fractions), strict=False)) if fractions is not None else None
    return {"name": name, "words": words, "seed": int(seed), "fractions": asked, "groups_apart": groups_apart}


def _take(values: Sequence[str], rows: np.ndarray) -> list[str]:
    return [values[row] for row in rows]
