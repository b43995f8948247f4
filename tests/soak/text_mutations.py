"""Damage to tables and lines of text: cells, columns, rows, numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from random import Random

from byte_mutations import Damaged, Mutation

Rows = list[list[str]]
CELLS = (
    *("", " ", "nan", "inf", "-inf", "1e400", "-1", "0", "9" * 30, "x", "None", "true", "1,5", "\0", '"', "é"),
    *("../../x", "/etc/hostname", "=1+1", "x" * 70_000, "2 147 483 648", "1;2"),
)


def table_mutation(change: Callable[[Rows, Random], str]) -> Mutation:
    def mutate(data: bytes, rng: Random) -> Damaged:
        text = data.decode("utf-8")
        delimiter = max(",;\t", key=text.split("\n")[0].count)
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
        words = change(rows, rng)
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
        return words, out.getvalue().encode()

    return mutate


def other_cell(rows: Rows, rng: Random) -> str:
    i = rng.randrange(len(rows))
    j = rng.randrange(len(rows[i]))
    old, rows[i][j] = rows[i][j], rng.choice(CELLS)
    return f"row {i}, column {j}: {old!r:.40} is {rows[i][j]!r:.40}"


def nudged_cell(rows: Rows, rng: Random) -> str:
    """A cell takes the value of another row, or its number changes a little."""
    i, k = rng.randrange(1, len(rows)), rng.randrange(1, len(rows))
    j = rng.randrange(len(rows[i]))
    old = rows[i][j]
    digits = [n for n, letter in enumerate(old) if letter.isdigit()]
    if rows[k][j] != old or not digits:
        rows[i][j] = rows[k][j]
    else:
        n = rng.choice(digits)
        rows[i][j] = old[:n] + str((int(old[n]) + 1) % 10) + old[n + 1 :]
    return f"row {i}, column {j}: {old!r:.40} is {rows[i][j]!r:.40}"


def other_column(rows: Rows, rng: Random) -> str:
    j = rng.randrange(len(rows[0]))
    old = rows[0][j]
    what = rng.choice(["renamed", "upper", "gone", "twice"])
    if what == "renamed":
        rows[0][j] = old + "_"
    elif what == "upper":
        rows[0][j] = old.capitalize()
    else:
        for row in rows:
            row[j : j + 1] = [] if what == "gone" else row[j : j + 1] * 2
    return f"column {old} {what}"


def other_row(rows: Rows, rng: Random) -> str:
    i, k = rng.randrange(len(rows)), rng.randrange(len(rows))
    what = rng.choice(["removed", "twice", "swapped", "longer", "shorter", "blank", "all gone"])
    if what == "removed":
        del rows[i]
    elif what == "twice":
        rows.insert(i, rows[i])
    elif what == "swapped":
        rows[i], rows[k] = rows[k], rows[i]
    elif what == "longer":
        rows[i] = [*rows[i], "x"]
    elif what == "shorter":
        rows[i] = rows[i][:-1]
    elif what == "blank":
        rows.insert(i, [])
    else:
        del rows[1:]
    return f"row {i} {what}"


def other_delimiter(data: bytes, rng: Random) -> Damaged:
    old = max(b",;\t", key=data.split(b"\n")[0].count)
    new = rng.choice([b",", b";", b"\t", b"|"])
    return f"{new!r} between the cells", data.replace(bytes([old]), new)


def line_mutation(change: Callable[[list[str], int, Random], str]) -> Mutation:
    def mutate(data: bytes, rng: Random) -> Damaged:
        lines = data.decode("utf-8", errors="surrogateescape").split("\n")
        i = rng.randrange(max(1, len(lines) - 1))
        words = change(lines, i, rng)
        return f"line {i}: {words}", "\n".join(lines).encode("utf-8", errors="surrogateescape")

    return mutate


def other_line(lines: list[str], i: int, rng: Random) -> str:
    what = rng.choice(["removed", "twice", "blank", "swapped"])
    if what == "removed":
        del lines[i]
    elif what == "twice":
        lines.insert(i, lines[i])
    elif what == "blank":
        lines[i] = ""
    else:
        lines[i - 1], lines[i] = lines[i], lines[i - 1]
    return what


def other_word(lines: list[str], i: int, rng: Random) -> str:
    parts = re.split(r"([\s=/()]+)", lines[i])
    at = rng.randrange((len(parts) + 1) // 2) * 2
    old, parts[at] = parts[at], rng.choice(CELLS)
    lines[i] = "".join(parts)
    return f"{old!r:.40} is {parts[at]!r:.40}"


def other_digit(lines: list[str], i: int, rng: Random) -> str:
    digits = [n for n, letter in enumerate(lines[i]) if letter.isdigit()]
    if not digits:
        return other_word(lines, i, rng)
    n = rng.choice(digits)
    new = rng.choice(["", "9", "0", "-1", "99999"])
    lines[i] = lines[i][:n] + new + lines[i][n + 1 :]
    return f"digit {n} is {new!r}"


TABLE: tuple[Mutation, ...] = (
    *(table_mutation(other_cell), table_mutation(other_cell), table_mutation(nudged_cell)),
    *(table_mutation(nudged_cell), table_mutation(other_column), table_mutation(other_row), other_delimiter),
)
LINES: tuple[Mutation, ...] = (line_mutation(other_line), line_mutation(other_word), line_mutation(other_digit))
