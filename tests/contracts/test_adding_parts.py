"""docs/adding-parts.md, followed word by word: its files are written, its commands run, its checks called."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from small_world import Finished, data_dir, options, pathsearch, settings
from test_targets import blobs

PAGE = Path(__file__).parents[2] / "docs" / "adding-parts.md"


def files(text: str) -> dict[str, str]:
    """Each file that the page has one write, by its name."""
    found = re.findall(r"Write `(\w+\.py)`.*?```python\n(.*?)```", text, flags=re.S)
    return {name: textwrap.dedent(code) for name, code in found}


def commands(text: str) -> dict[str, list[str]]:
    """The words of each `pathsearch evolve` with a plug-in, by the plug-in's file."""
    found = re.findall(r"`pathsearch (evolve --task NAME --plugin (\w+\.py)[^`]*)`", text)
    return {name: line.split() for line, name in found}


def test_the_page_has_a_file_and_a_command_for_each_part():
    assert list(files(PAGE.read_text())) == list(commands(PAGE.read_text())) == ["mine.py", "hourglass.py", "count.py"]


def follow(folder: Path, name: str, text: str, task: str, where: Path) -> Finished:
    """Write the page's file and run its command on a small task."""
    (folder / name).write_text(files(text)[name])
    given = [str(folder / name) if word == name else task if word == "NAME" else word for word in commands(text)[name]]
    own = [word.partition("=")[0] for word in given if "=" in word]
    small = options(settings("blobs", epochs=2, generations=2))[2:]
    pairs = [pair for pair in zip(small[::2], small[1::2], strict=True) if pair[1].partition("=")[0] not in own]
    return pathsearch(*given, *[word for pair in pairs for word in pair], "--data-dir", where, "--runs-dir", folder)


@pytest.mark.parametrize("name", ["mine.py", "hourglass.py", "count.py"])
def test_its_steps_work(name, tmp_path):
    task, where = ("counted", blobs().task_dir.parent) if name == "count.py" else ("blobs", data_dir())
    found = follow(tmp_path, name, PAGE.read_text(), task, where)
    assert found.code == 0, found.err


def test_a_page_that_is_wrong_is_seen(tmp_path):
    text = PAGE.read_text().replace('@modules.register("tanh")', '@modules.register("tan-h")')
    found = follow(tmp_path, "mine.py", text, "blobs", data_dir())
    assert found.code == 2
    assert "expected a name without -" in found.err


def test_the_toy_of_the_tests_is_that_of_the_page():
    def bare(code: str) -> str:
        return re.sub(r'\s*""".*?"""|\s+', "", code, flags=re.S)

    assert bare(files(PAGE.read_text())["count.py"]) == bare(Path(__file__).with_name("count.py").read_text())
