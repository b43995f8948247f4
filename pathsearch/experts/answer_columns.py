"""The columns of rows of answers, by what the experts of a model answer with."""

from __future__ import annotations

from collections.abc import Iterable

from data_prep.table_words import BOX
from pathsearch.targets.target import Target

COLUMNS = ("file", "task", "class", "probability", "distance", "unknown", "error")
PROBABILITIES, HEAT_MAP, OVERLAY = "probabilities", "heat_map", "overlay"  # of every class, in JSON lines alone; files


def more_columns(targets: Iterable[Target], *, explained: bool = False) -> tuple[str, ...]:
    """The columns that tasks of these targets need beside those of every answer; none for classes.

    Args:
        targets: of all tasks of a model.
        explained: whether answers come with a picture that explains them.

    Returns:
        `mask`, the file, and of each label but background `LABEL_pixels` and `LABEL_share`; `x_min`, `y_min`, `x_max`
        and `y_max`, in pixels; `image`, the file; and `overlay`, the file, where answers are explained.
    """
    targets = list(targets)
    areas = _areas(targets)
    found = ["mask", *areas] if areas else []
    if any(one.gives == "box" for one in targets):
        found += BOX
    if any(one.gives == "image" for one in targets):
        found.append("image")
    return (*found, OVERLAY) if found and explained else tuple(found)


def number_columns(targets: Iterable[Target]) -> list[str]:
    """The columns of numbers among all of them, where experts of these targets answer."""
    targets = list(targets)
    forms = {one.gives for one in targets}
    return [
        *(["probability"] if "class" in forms else []),
        "distance",
        *_areas(targets),
        *(BOX if "box" in forms else []),
    ]


def reserved_columns(targets: Iterable[Target]) -> set[str]:
    """Names that a column of another kind cannot have."""
    return {*COLUMNS, PROBABILITIES, HEAT_MAP, OVERLAY, *more_columns(targets)}


def area_columns(label: str) -> tuple[str, str]:
    """Of a mask's label."""
    return f"{label}_pixels", f"{label}_share"


def _areas(targets: Iterable[Target]) -> list[str]:
    labels = dict.fromkeys(name for one in targets if one.gives == "mask" for name in one.names[1:])
    return [column for name in labels for column in area_columns(name)]
