"""Markdown: tables, links and commands, from plain text that may hold anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

DASH = "–"


def escaped(text: str) -> str:
    """Text as text: no cell ends in it, no tag begins, nothing becomes a link or a heading."""
    return re.sub(r"([\\|<>\[\]*`])", r"\\\1", " ".join(text.split()))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are Markdown already."""
    assert all(len(row) == len(heads) for row in rows), heads
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def link(text: str, address: str) -> str:
    """A link to a file beside the page or to an address of the web; plain text where it would lead elsewhere."""
    if urlsplit(address).scheme not in ("", "http", "https"):
        return escaped(text)
    return f"[{escaped(text)}]({quote(address, safe='/:#.,+=~%?&')})"


def inline_code(text: str) -> str:
    """Text as code within a line: a fence longer than any in it, so that nothing ends it."""
    text = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def code(lines: Sequence[str]) -> str:
    """A block of commands."""
    return "\n".join(["```", *lines, "```"])


def rate(value: float | None) -> str:
    """A rate with four digits."""
    return DASH if value is None else f"{value:.4f}"
