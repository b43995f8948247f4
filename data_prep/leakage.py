"""No image in two splits: copies are refused, moved or reported; look-alikes are counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data_prep.errors import BadData, PathsearchError
from data_prep.fingerprints import RULE, Fingerprint
from data_prep.look_alikes import n_alike
from data_prep.splits import SplitFacts
from data_prep.table_words import SPLITS

ACTIONS = ("refuse", "move", "report")
PUBLISHED_TEST = ("official", "ds1-ds2")  # splits whose test set others have numbers on: it is left as it is
Sets = list[list[int]]  # rows of identical images, two or more each


class Copies(TypedDict):
    """Images that are equal pixel for pixel, and what became of them."""

    images: int
    sets: int
    sets_across_splits: int
    sets_with_two_labels: int
    moved_to_train: int
    removed: int


class Leakage(TypedDict):
    """What was found of images in two splits, as `task.json` says it."""

    duplicates: str
    identical: Copies
    look_alikes: dict[str, str | int] | None  # the rule, and images by pair of splits; None: not looked for


@dataclass(frozen=True, eq=False)
class Apart:
    """A table after its copies were dealt with.

    Attributes:
        table: rows that stay, with the splits that they end up in.
        removed: files of the rows that do not.
        facts: for `task.json`, under `leakage`.
        notes: the same for a reader.
    """

    table: pd.DataFrame
    removed: list[str]
    facts: Leakage
    notes: list[str]


def check_action(duplicates: str) -> None:
    """Refuse what is no way to deal with copies."""
    if duplicates not in ACTIONS:
        raise PathsearchError(f"--duplicates: expected {', '.join(ACTIONS)}, got {duplicates!r}; refuse is usual")


def keep_apart(
    table: pd.DataFrame,
    prints: Sequence[Fingerprint],
    split: SplitFacts,
    duplicates: str,
    where: str,
    look_alikes: bool = True,
) -> Apart:
    """Deal with images that are, pixel for pixel, in two splits.

    Args:
        table: one row an image, columns of a manifest.
        prints: of the prepared images, row by row.
        split: its `name`, and `groups_apart`.
        duplicates: `refuse` them; `move` all copies, with their groups where the split keeps groups apart, into
            training; `report` them only. A published test set is never changed: of an image that is in it,
            `move` removes the copies outside it.
        where: names the task in messages.
        look_alikes: count near copies across splits, too.

    Raises:
        BadData: there are some, and `duplicates` is `refuse`.
    """
    sets = _identical(prints)
    torn = _torn(sets, table)
    if torn and duplicates == "refuse":
        raise BadData(_refusal(torn, table, where))
    result, removed, n_moved = table, [], 0
    if torn and duplicates == "move":
        result, keep, n_moved = _moved(table, sets, torn, split)
        removed = table["file"][~keep].tolist()
        result, prints = result[keep].reset_index(drop=True), _taken(prints, keep)
    both = [rows for rows in sets if table["label"].iloc[rows].nunique() > 1]
    facts: Leakage = {
        "duplicates": duplicates,
        "identical": {
            "images": sum(map(len, sets)),
            "sets": len(sets),
            "sets_across_splits": len(torn),
            "sets_with_two_labels": len(both),
            "moved_to_train": n_moved,
            "removed": len(removed),
        },
        "look_alikes": {"rule": RULE, **_look_alikes(result["split"].to_numpy(), prints)} if look_alikes else None,
    }
    return Apart(result, removed, facts, _notes(facts, result, torn, both, table))


def _identical(prints: Sequence[Fingerprint]) -> Sets:
    rows = defaultdict(list)
    for row, one in enumerate(prints):
        rows[one.digest].append(row)
    return [same for same in rows.values() if len(same) > 1]


def _torn(sets: Sets, table: pd.DataFrame) -> Sets:
    split = table["split"].to_numpy()
    return [rows for rows in sets if len(set(split[rows])) > 1]


def _moved(table: pd.DataFrame, sets: Sets, torn: Sets, split: SplitFacts) -> tuple[pd.DataFrame, Any, int]:
    """The table with its new splits, which rows to keep, and how many moved."""
    before = table["split"].to_numpy()
    keep = np.ones(len(table), dtype=bool)
    if split["name"] in PUBLISHED_TEST:
        for rows in torn:
            if "test" in before[rows]:
                keep[[row for row in rows if before[row] != "test"]] = False
    links = [(rows[0], row) for rows in sets for row in rows[1:] if keep[rows[0]] and keep[row]]
    if split.get("groups_apart", True):
        for group, members in table.groupby("group").indices.items():
            links += [(int(members[0]), int(row)) for row in members[1:] if group]
    ends = np.array(links, dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(table), len(table)))
    family = connected_components(graph, directed=False)[1]
    still_torn = [rows for rows in torn if len(set(before[[row for row in rows if keep[row]]])) > 1]
    to_train = np.isin(family, [family[row] for rows in still_torn for row in rows if keep[row]]) & keep
    after = np.where(to_train, "train", before)
    return table.assign(split=after), keep, int((after != before).sum())


def _look_alikes(split: np.ndarray, prints: Sequence[Fingerprint]) -> dict[str, int]:
    of = {name: _taken(prints, split == name) for name in SPLITS}
    pairs = (("val", "train"), ("test", "train"), ("test", "val"))
    return {f"{ours}_in_{theirs}": n_alike(of[ours], of[theirs]) for ours, theirs in pairs}


def _taken(prints: Sequence[Fingerprint], chosen: np.ndarray) -> list[Fingerprint]:
    return [one for one, yes in zip(prints, chosen, strict=True) if yes]


def _pair(rows: Sequence[int], table: pd.DataFrame, column: str) -> str:
    """Two rows of a set that differ in `column`, in words."""
    first = table.loc[rows[0]]
    other = next(table.loc[row] for row in rows if table.loc[row, column] != first[column])
    label = "" if other["label"] == first["label"] else f", labels {first['label']!r} and {other['label']!r}"
    return f"{first['file']} ({first['split']}) and {other['file']} ({other['split']}{label})"


def _refusal(torn: Sets, table: pd.DataFrame, where: str) -> str:
    two = sum(table["label"].iloc[rows].nunique() > 1 for rows in torn)
    also = f", {two} of them under two labels" if two else ""
    return (
        f"{where}: expected each image in one split, got {len(torn)} that are in several{also}, such as "
        f"{_pair(torn[0], table, 'split')}, equal pixel for pixel; --duplicates move puts all copies into one split, "
        "--duplicates report keeps them where they are and says so"
    )


def _notes(facts: Leakage, result: pd.DataFrame, torn: Sets, both: Sets, table: pd.DataFrame) -> list[str]:
    identical, alike = facts["identical"], facts["look_alikes"]
    notes = []
    if identical["sets"]:
        notes.append(
            f"{identical['images']} images are {identical['sets']} pictures in several copies, pixel for pixel"
        )
    if both:
        notes.append(f"{len(both)} pictures stand under two labels, such as {_pair(both[0], table, 'label')}")
    if torn and facts["duplicates"] == "report":
        notes.append(f"LEAK: {len(torn)} pictures stand in two splits, such as {_pair(torn[0], table, 'split')}")
    if identical["moved_to_train"]:
        notes.append(
            f"{identical['moved_to_train']} images were moved to train: copies of theirs stood there or in val"
        )
    if identical["removed"]:
        notes.append(
            f"{identical['removed']} training and validation images were removed: they are test images, and a "
            "published test set is not changed"
        )
    if alike is None:
        return [*notes, "look-alikes across splits were not looked for"]
    total = result["split"].value_counts()
    pairs = [(key.partition("_in_"), n) for key, n in alike.items() if key != "rule" and n]
    if pairs:
        found = ", ".join(f"{n} of {total[ours]} {ours} images in {theirs}" for (ours, _, theirs), n in pairs)
        notes.append(f"look-alikes across splits: {found} ({alike['rule']})")
    return notes
