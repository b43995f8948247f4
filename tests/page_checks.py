"""What a page must be, asked of its text alone; `faults` names every breach."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input", "col", "wbr"}


class Page(HTMLParser):
    """The elements of a page in order, the text of each, and what is not well-formed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[list[str]] = []
        self.broken: list[str] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        self.broken += [f"<{self.elements[i][0]}> is never closed" for i in self._open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts.append([])
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        if tag in ("td", "th", "li", "dt", "dd", "p", "caption"):
            self.handle_data(" ")
        if self._open and self.elements[self._open[-1]][0] == tag:
            self._open.pop()
        else:
            self.broken.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        for i in self._open:
            self.texts[i].append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str = "body") -> str:
        """The text in all elements of a kind, spaces as one."""
        parts = ("".join(text) for (name, _), text in zip(self.elements, self.texts, strict=True) if name == tag)
        return " ".join(" ".join(parts).split())


def faults(text: str) -> list[str]:
    """Every breach of: well-formed, self-contained, no scripts, readable by a screen reader."""
    page = Page(text)
    found = list(page.broken)
    if not text.lstrip().startswith("<!DOCTYPE html>"):
        found.append("no doctype")
    if [one.get("lang") for one in page.all("html")] != ["en"]:
        found.append("no language")
    if not page.text("title"):
        found.append("no title")
    found += _headings([int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)])
    found += [
        f"an image without words: {str(one)[:60]}" for one in page.all("img") if not (one.get("alt") or "").strip()
    ]
    barred = ("script", "iframe", "link", "object", "form")
    found += [f"<{tag}>" for tag, one in page.elements if tag in barred and one.get("href") != "data:,"]
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name.startswith("on"):
                found.append(f"a script in {name}")
            if name in ("src", "href", "srcset", "action", "poster") and not (value or "").startswith(("data:", "#")):
                found.append(f"{tag} {name} leads out: {value}")
            if "url(" in (value or ""):
                found.append(f"{tag} {name} leads out: {value}")
    if re.search(r"url\(|@import", page.text("style")):
        found.append("the style leads out")
    ids = [one["id"] for _, one in page.elements if "id" in one]
    found += [f"id {name} twice" for name in sorted({i for i in ids if ids.count(i) > 1}, key=str)]
    for tag, one in page.elements:
        if "aria-labelledby" in one and one["aria-labelledby"] not in ids:
            found.append(f"{tag} is named by {one['aria-labelledby']}, which is not there")
        if tag == "a" and (one.get("href") or "#")[1:] not in ids:
            found.append(f"a link to {one.get('href')}, which is not there")
        if tag == "th" and one.get("scope") not in ("row", "col"):
            found.append("a head of a table without scope")
    if len(page.all("table")) != len(page.all("caption")):
        found.append("a table without caption")
    return found


def _headings(levels: list[int]) -> list[str]:
    found = [] if levels.count(1) == 1 else [f"{levels.count(1)} headings of level 1"]
    if levels and levels[0] != 1:
        found.append("the first heading is not of level 1")
    return found + [f"heading {b} after {a}" for a, b in itertools.pairwise(levels) if b > a + 1]
