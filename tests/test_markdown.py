"""Markdown from plain text: what comes in as text goes out as text."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from pathsearch.markdown import escaped, inline_code, link


def shown(text: str) -> str:
    """What a reader sees of one line of Markdown, its marks apart."""
    (inline,) = [token for token in MarkdownIt("commonmark").parse(text) if token.type == "inline"]
    return "".join(token.content for token in inline.children or [])


@pytest.mark.parametrize("text", ["a|b", "<b>", "[x](javascript:1)", "x * y * z", "`code`", "a\\b", "![i](x)"])
def test_text_is_shown_as_it_was(text):
    assert shown(escaped(text)) == text


@pytest.mark.parametrize("text", ["plain", "with ` one", "`whole`", "``` three", '{"a": "</code>"}', "a `` b ` c"])
def test_code_is_shown_as_it_was(text):
    assert shown(inline_code(text)) == text
    (inline,) = [token for token in MarkdownIt("commonmark").parse(inline_code(text)) if token.type == "inline"]
    assert [token.type for token in inline.children or []] == ["code_inline"]


@pytest.mark.parametrize("address", ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x"])
def test_a_link_leads_to_files_and_to_the_web_only(address):
    assert link("here", address) == "here"
    assert link("here", "https://example.org/a b") == "[here](https://example.org/a%20b)"
    assert link("here", "evidence/a/report.json") == "[here](evidence/a/report.json)"
