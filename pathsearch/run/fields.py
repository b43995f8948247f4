"""Are the fields of a JSON object there, and of their type? One clear line for the first that is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.errors import PathsearchError

Form = type | tuple[type, ...] | Mapping[str, "Form"]  # of a field: its type, or the fields of an object

NUMBER = (int, float, type(None))  # None: there were no images


def check_fields(values: Any, needed: Mapping[str, Form], file: Path, before: str = "") -> None:
    """Refuse a file in which a needed field is missing or of another type; floats may be whole.

    Args:
        values: what the file holds.
        needed: fields and their types; an object's own fields stand as one more mapping.
        file: for the message.
        before: names of the objects around `values`, each with a dot.

    Raises:
        PathsearchError: names file and field.
    """
    for field, form in needed.items():
        if not isinstance(values, dict) or field not in values:
            raise PathsearchError(f"{file}: field {before}{field} is missing; make the run again with this version")
        value = values[field]
        if isinstance(form, Mapping):
            check_fields(value, form, file, f"{before}{field}.")
            continue
        types = (int, float) if form is float else form
        if not isinstance(value, types):
            raise PathsearchError(
                f"{file}: field {before}{field}: expected {_words(form)}, got {value!r}; restore the file"
            )


def _words(form: Any) -> str:
    known: dict[Any, str] = {str: "a text", int: "a whole number", float: "a number", dict: "an object", list: "a list"}
    return known.get(form, "a number or null")
