"""Damage to JSON that stays JSON, or nearly: fields gone, of the wrong type, out of every range, nested without end."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from byte_mutations import Damaged, Mutation

Place = tuple[Any, Any]  # a container, and a key or an index of it

WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 1e308, 10**400, -(2**63), 2**40, float("nan"), float("inf"), -float("inf")),
    *("", "x", "nan", "../../x", "/etc/hostname", "\0", "=1+1", "<b>x</b>", "x" * 100_000, "\ud800"),
    *([], {}, [None], [[[[[[]]]]]], {"x": {"y": 1}}),
)


def json_mutation(change: Callable[[Place, Random], str]) -> Mutation:
    def mutate(data: bytes, rng: Random) -> Damaged:
        value = json.loads(data)
        if not isinstance(value, (dict, list)) or not value:
            return f"the whole is {(wrong := rng.choice(WRONG))!r:.40}", _written(wrong)
        place, name = _place(value, rng)
        return f"{name} {change(place, rng)}", _written(value)

    return mutate


def gone(place: Place, rng: Random) -> str:
    container, key = place
    del container[key]
    return "removed"


def of_wrong_type(place: Place, rng: Random) -> str:
    container, key = place
    container[key] = rng.choice(WRONG)
    return f"set to {container[key]!r:.40}"


def renamed(place: Place, rng: Random) -> str:
    container, key = place
    if isinstance(container, list):
        container.append(container[key])
        return "appended again"
    container[new := f"{key}_"] = container.pop(key)
    return f"renamed to {new}"


def nudged(place: Place, rng: Random) -> str:
    """A plausible other value: what no check of types finds."""
    container, key = place
    old = container[key]
    if isinstance(old, bool):
        new: Any = not old
    elif isinstance(old, (int, float)):
        new = type(old)(old + rng.choice([-1, 1, 10])) if isinstance(old, int) else old * rng.choice([0.5, 1.01, -1])
    elif isinstance(old, str):
        new = old[:-1] + chr(ord(old[-1]) ^ 1) if old else "x"
    elif isinstance(old, list):
        new = old[::-1] if len(old) > 1 else old * 2
    else:
        new = {}
    container[key] = new
    return f"changed from {old!r:.40} to {new!r:.40}"


def nested(data: bytes, rng: Random) -> Damaged:
    depth = rng.choice([50, 100_000])
    return f"a list nested {depth} deep", b"[" * depth + b"]" * depth


def other_whole(data: bytes, rng: Random) -> Damaged:
    whole = rng.choice(WRONG)
    return f"the whole is {whole!r:.40}", _written(whole)


def other_encoding(data: bytes, rng: Random) -> Damaged:
    text = data.decode("utf-8", errors="replace")
    coding = rng.choice(["utf-16", "utf-8-sig", "latin-1"])
    return f"in {coding}", text.encode(coding, errors="replace")


def _written(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()


def _place(value: Any, rng: Random) -> tuple[Place, str]:
    """Some entry at some depth, the shallow ones as likely as all deep ones together."""
    name = ""
    while True:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        name += f".{key}"
        if not (isinstance(value[key], (dict, list)) and value[key]) or rng.random() < 0.3:
            return (value, key), name[1:]
        value = value[key]


JSON: tuple[Mutation, ...] = (
    *(json_mutation(gone), json_mutation(gone), json_mutation(of_wrong_type), json_mutation(of_wrong_type)),
    *(json_mutation(nudged), json_mutation(nudged), json_mutation(renamed), nested, other_whole, other_encoding),
)
