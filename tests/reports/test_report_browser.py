"""`report.html` in a real browser: no errors, a phone's width, dark mode, contrast, what a screen reader is told.

Needs `pip install '.[browser]'` and a Chromium: on PATH, named by PATHSEARCH_CHROMIUM, or by `playwright install
chromium`. Where no browser can be downloaded, the npm package @sparticuz/chromium carries one, packed with brotli.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pages import changed, given_folder, joint_folder, run_folder

from pathsearch.reports.report_page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install '.[browser]'")

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1200, "height": 800}
PAGES = {"run": run_folder, "joint": joint_folder, "given": given_folder}

# Contrast of every piece of text with what is painted behind it (WCAG 2.2, 1.4.3): those below 4.5.
CONTRAST = """() => {
  const light = (c) => {
    const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.body.querySelectorAll('*')) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const words = e.textContent.trim().slice(0, 40);
    if (ratio < 4.5) found.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)}: ${words}`);
  }
  return found;
}"""
# What sticks out to the right without something to scroll it in.
WIDER = "() => document.documentElement.scrollWidth - window.innerWidth"
OPEN_ALL = "() => document.querySelectorAll('details').forEach((one) => { one.open = true; })"


def chromium() -> str | None:
    """The browser to use: a name, or None where there is none."""
    named = os.environ.get("PATHSEARCH_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        file = chromium() or running.chromium.executable_path
        if not Path(file).exists():
            pytest.skip(
                "no Chromium: put one on PATH, name it in PATHSEARCH_CHROMIUM, or `playwright install chromium`"
            )
        opened = running.chromium.launch(executable_path=file, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@contextmanager
def shown(browser, folder: Path, size=DESK, scheme="light", extra="") -> Iterator[tuple[object, list[str]]]:
    """A folder's page in a window of its own, and the list of what went wrong in it."""
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url[:80]}"))
    page.on("request", lambda request: outside(request.url) and wrong.append(f"asked for {request.url[:80]}"))
    page.goto((folder / "report.html").as_uri())
    if extra:
        page.evaluate("text => document.body.insertAdjacentHTML('beforeend', text)", extra)
    page.evaluate(OPEN_ALL)
    try:
        yield page, wrong
    finally:
        context.close()


def outside(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_page_shows_without_errors_in_every_window(browser, kind, scheme, size):
    with shown(browser, PAGES[kind](), size, scheme) as (page, wrong):
        assert page.evaluate(WIDER) <= 0
        assert page.evaluate(CONTRAST) == []
        broken = "() => [...document.images].filter((one) => !one.naturalWidth).map((one) => one.alt)"
        assert page.evaluate(broken) == []
        assert wrong == []


def test_dark_mode_is_dark_and_keeps_figures_on_white(browser):
    paper = "selector => getComputedStyle(document.querySelector(selector)).backgroundColor"
    with shown(browser, run_folder(), scheme="light") as (page, _):
        light = page.evaluate(paper, "body")
    with shown(browser, run_folder(), scheme="dark") as (page, _):
        assert page.evaluate(paper, "body") != light == "rgb(255, 255, 255)"
        assert page.evaluate(paper, ".card") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("kind", PAGES)
def test_what_a_screen_reader_is_told(browser, kind):
    with shown(browser, PAGES[kind]()) as (page, _):
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
        images = page.get_by_role("img")
        assert images.count() == page.evaluate("() => document.images.length") > 3
        answers = "Answers, worst to best" if kind == "given" else "Confusion"
        for name in ("What was asked, what came out", "Data", "Result", answers, "Limits", "How it was made"):
            assert page.get_by_role("heading", name=name, level=2, exact=True).count() == 1, name
        tables = page.get_by_role("table")
        assert tables.count() > 3
        assert "rowheader" in tables.first.aria_snapshot()
        assert "columnheader" in tables.first.aria_snapshot()


def test_the_keyboard_finds_the_skip_link_first(browser):
    with shown(browser, run_folder()) as (page, _):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.inner_text() == "Skip to the content"
        assert focused.bounding_box()["x"] >= 0, "seen when it has the focus"
        page.keyboard.press("Enter")
        assert page.evaluate("() => document.activeElement.id") == "content"


def test_a_long_name_does_not_break_a_phone(browser, tmp_path):
    long = "x" * 200
    folder = changed(run_folder(), tmp_path, split_in_words=long, verdict=[long])
    write_page(folder)
    with shown(browser, folder, PHONE) as (page, wrong):
        assert page.evaluate(WIDER) <= 0
        assert wrong == []


@pytest.mark.parametrize(
    ("extra", "script", "size"),
    [
        ('<p style="width: 900px">wide</p>', WIDER, PHONE),
        ('<p style="color: #999; background: #fff">pale</p>', CONTRAST, DESK),
    ],
)
def test_the_checks_see_planted_faults(browser, extra, script, size):
    with shown(browser, run_folder(), size, extra=extra) as (page, _):
        assert page.evaluate(script)


def test_an_error_on_the_console_is_seen(browser):
    with shown(browser, run_folder(), extra='<img src="http://127.0.0.1:1/x.png" alt="x">') as (page, wrong):
        page.evaluate("() => console.error('planted')")
        assert any("planted" in one for one in wrong)
        assert any("127.0.0.1" in one for one in wrong)
