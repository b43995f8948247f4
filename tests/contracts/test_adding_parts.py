"""docs/adding-parts.md, followed word by word: its files are written, its commands run, its checks called."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_world import Finished, pathsearch
from small_world import data_dir, options, settings
from test_toy_target import blobs

from data_prep.manifest import load_task
from pathsearch.encoders.encoder import ENCODERS
from pathsearch.grid import plugins
from pathsearch.grid.blueprint import BLUEPRINTS
from pathsearch.grid.modules import KINDS
from pathsearch.grid.vocabulary import VOCABULARIES
from pathsearch.targets.target import TARGETS

PAGE = Path(__file__).parents[2] / "docs" / "adding-parts.md"
PLUGINS = ["mine.py", "hourglass.py", "tiny.py", "grey.py", "count.py"]  # in the order of the page
CHECKED = ["mine.py", "tiny.py", "grey.py", "count.py", "halves.py"]


def files(text: str) -> dict[str, str]:
    """Each file that the page has one write, by its name."""
    found = re.findall(r"Write `(\w+\.py)`.*?```python\n(.*?)```", text, flags=re.S)
    return {name: textwrap.dedent(code) for name, code in found}


def commands(text: str) -> dict[str, list[str]]:
    """The words of each `pathsearch evolve` with a plug-in, by the plug-in's file."""
    found = re.findall(r"`pathsearch (evolve --task NAME --plugin (\w+\.py)[^`]*)`", text)
    return {name: line.split() for line, name in found}


def scripts(text: str) -> dict[str, str]:
    """The other code of each section, in one script, by the file that the section has one write."""
    found = {}
    for section in text.split("\n## ")[1:]:
        first, *rest = re.findall(r"```python\n(.*?)```", section, flags=re.S)
        (name,) = files(section)
        assert textwrap.dedent(first) == files(section)[name]
        if rest:
            found[name] = "\n".join(map(textwrap.dedent, rest))
    return found


def test_the_page_has_a_file_and_a_command_for_each_part():
    text = PAGE.read_text()
    assert list(files(text)) == [*PLUGINS, "halves.py"]
    assert list(commands(text)) == PLUGINS
    assert list(scripts(text)) == CHECKED
    assert all("check_" in script for script in scripts(text).values())


UNASKED = {"hourglass.py": ["grid.n_modules"]}  # settings of the small world that it has no use for
AS_SET = {"--encoder": "encoder.name", "--encoder-weights": "encoder.weights"}  # options, as `--set` names them


def follow(folder: Path, name: str, text: str, task: str, where: Path) -> Finished:
    """Write the page's file and run its command on a small task."""
    (folder / name).write_text(files(text)[name])
    given = [str(folder / name) if word == name else task if word == "NAME" else word for word in commands(text)[name]]
    own = [AS_SET.get(word, word.partition("=")[0]) for word in given]
    own += UNASKED.get(name, [])
    small = options(settings("blobs", epochs=2, generations=2))[2:]
    pairs = [pair for pair in zip(small[::2], small[1::2], strict=True) if pair[1].partition("=")[0] not in own]
    return pathsearch(*given, *[word for pair in pairs for word in pair], "--data-dir", where, "--runs-dir", folder)


def prepared(folder: Path, text: str) -> Path:
    """A folder of data with the task that the page has one prepare, from folders of images by their number of blobs."""
    for row in blobs().table.to_dict("records"):
        file = folder / "raw" / row["label"] / Path(row["file"]).name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(blobs().task_dir / row["file"], file)
    (folder / "count.py").write_text(files(text)["count.py"])
    (line,) = re.findall(r"`pathsearch (prepare [^`]*)`", text)
    own = {"DIR": folder / "raw", "NAME": "counted", "count.py": folder / "count.py"}
    made = pathsearch(*(own.get(word, word) for word in line.split()), "--data-dir", folder, "--image-size", 48)
    assert made.code == 0, made.err
    assert f"next: pathsearch evolve --task counted --plugin {folder / 'count.py'}" in made.out
    assert load_task(folder, "counted").target == "count"
    return folder


@pytest.mark.parametrize("name", PLUGINS)
def test_its_steps_work(name, tmp_path):
    text = PAGE.read_text()
    task, where = ("counted", prepared(tmp_path, text)) if name == "count.py" else ("blobs", data_dir())
    found = follow(tmp_path, name, text, task, where)
    assert found.code == 0, found.err


@pytest.fixture
def as_before(monkeypatch) -> Iterator[None]:
    """What plug-ins register is forgotten after the test, and so is what it imports."""
    registries = (KINDS, VOCABULARIES, BLUEPRINTS, TARGETS, ENCODERS)
    known = [dict(registry) for registry in registries]
    for name in ("_loaded", "_named", "_origins"):
        monkeypatch.setattr(plugins, name, dict(getattr(plugins, name)))
    yield
    sys.modules.pop("halves", None)
    for registry, before in zip(registries, known, strict=True):
        registry.clear()
        registry.update(before)


def call(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the page's file and run its script beside it, where `data` has a small task."""
    (folder / name).write_text(files(text)[name])
    (folder / "data").symlink_to(data_dir())
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    exec(compile(scripts(text)[name].replace("NAME", "blobs"), f"{name} of the page", "exec"), {})


@pytest.mark.parametrize("name", CHECKED)
def test_its_checks_are_called(name, tmp_path, monkeypatch, as_before):
    call(tmp_path, name, PAGE.read_text(), monkeypatch)


def test_a_page_whose_part_breaks_a_promise_is_seen(tmp_path, monkeypatch, as_before):
    text = PAGE.read_text().replace(
        "super(Halves, self).train(half, 2 * generation + i)", "Progress(float('nan'), 0.0)"
    )
    with pytest.raises(AssertionError):
        call(tmp_path, "halves.py", text, monkeypatch)


def test_a_page_that_is_wrong_is_seen(tmp_path):
    text = PAGE.read_text().replace('@modules.register("tanh")', '@modules.register("tan-h")')
    found = follow(tmp_path, "mine.py", text, "blobs", data_dir())
    assert found.code == 2
    assert "expected a name without -" in found.err


def test_the_toy_of_the_tests_is_that_of_the_page():
    def bare(code: str) -> str:
        return re.sub(r'\s*""".*?"""|\s+', "", code, flags=re.S)

    assert bare(files(PAGE.read_text())["count.py"]) == bare(Path(__file__).with_name("count.py").read_text())
