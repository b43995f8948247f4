"""What `task.json` must say, field by field: everything that is read of it later, checked once when it is read."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from data_prep.table_words import SPLITS

MOST_MASK_CLASSES = 32  # of a mask's pixels: more grey levels are no classes but a photograph, or JPEG's work
PLAIN = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # a name that is a folder's too, or part of one


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_plain_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(PLAIN, value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_size(value: Any) -> bool:
    return value is None or (_is_count(value) and 0 < value <= 1 << 16)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_ratio(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 1


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == set(SPLITS) and all(
        isinstance(row, dict) and all(map(_is_count, row.values())) for row in value.values()
    )  # fmt: skip


def are_masks(value: Any) -> bool:
    """Whether these are names and grey levels of the classes of a mask's pixels."""
    if not isinstance(value, dict) or not _is_list_of_texts(value.get("names")):
        return False
    names, levels = value["names"], value.get("levels")
    return (
        isinstance(levels, list)
        and 2 <= len(names) == len(levels) <= MOST_MASK_CLASSES
        and all(_is_count(level) and level < 256 for level in levels)
        and len(set(names)) == len(set(levels)) == len(names)
        and all(name.strip() and name.isprintable() for name in names)
    )


Field = tuple[str, Callable[[Any], bool], str]

NEEDED: tuple[Field, ...] = (
    ("name", _is_text, "a text"),
    ("classes", _is_list_of_texts, "a list of texts"),
    ("counts", _are_counts, "numbers of images, by split and class"),
    ("source", _is_text, "a text"),
    ("licence", _is_text, "a text"),
    ("split", _is_object, "an object"),
    ("split.name", _is_plain_name, "letters, digits, '.', '_' or '-'"),
    ("split.words", _is_text, "a text"),
    ("options", _is_object, "an object"),
    ("notes", _is_list_of_texts, "a list of texts"),
    ("manifest_sha256", _is_digest, "64 hexadecimal digits"),
    ("images_sha256", _is_digest, "64 hexadecimal digits"),
)
OPTIONAL: tuple[Field, ...] = (
    ("imbalance", _is_ratio, "a number of at least 1"),
    ("image_size", _is_size, "pixels, or null"),
    ("split.groups_apart", _is_flag, "true or false"),
    ("options.mirror", _is_flag, "true or false"),
    ("leakage", lambda value: value is None or _is_object(value), "an object, or null"),
    ("sha256", _is_digest, "64 hexadecimal digits"),
    ("masks", are_masks, f"2 to {MOST_MASK_CLASSES} names and as many grey levels"),
    ("numbers", _is_list_of_texts, "a list of texts"),
    ("target", _is_plain_name, "the name of what the task asks for"),
)


def check_form(info: Any) -> None:
    """Refuse what is no description of a prepared task.

    Raises:
        ValueError: the field, what it should be and what it is, in words.
    """
    if not isinstance(info, dict):
        raise ValueError(f"no object but {info!r:.40}")
    for fields, needed in ((NEEDED, True), (OPTIONAL, False)):
        for name, fits, expected in fields:
            outer, _, inner = name.rpartition(".")
            parent = info[outer] if outer else info
            if inner not in parent:
                if needed:
                    raise ValueError(f"no field {name!r}")
            elif not fits(parent[inner]):
                raise ValueError(f"for {name!r}, where {expected} should be, {parent[inner]!r:.40}")


def with_digest(info: Mapping[str, Any]) -> dict[str, Any]:
    """The fields and, as `sha256`, a digest of all others: what no check of single fields can tell."""
    plain = json.loads(json.dumps({key: value for key, value in info.items() if key != "sha256"}))
    return {**plain, "sha256": hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}
