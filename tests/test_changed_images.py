"""Images that changed after preparation: no command goes on, even where features of the old ones are kept."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from command_world import pathsearch
from small_world import copied, data_dir, finished, options, settings, task

from data_prep.manifest import load_task

COMMANDS = {
    "evolve": ["evolve", *options(settings("blobs")), "--run-name", "another"],
    "evolve --resume": ["evolve", *options(settings("blobs")), "--run-name", "stopped", "--resume"],
    "joint-eval": ["joint-eval"],
    "bundle": ["bundle"],
}


def swap_test_images(data: Path) -> None:
    """Exchange a test image of each class, with the times that the files had."""
    changed = load_task(data, "blobs")
    rows, labels = changed.rows("test"), changed.labels("test")
    first, second = (changed.files()[rows[labels == k][0]] for k in (0, 1))
    contents = [(file, file.read_bytes(), file.stat()) for file in (first, second)]
    for (file, _, stat), (_, content, _) in zip(contents, reversed(contents), strict=True):
        file.write_bytes(content)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A task of our own with its features, a finished run on it, and one that was killed while it searched."""
    folder = tmp_path_factory.mktemp("world")
    run = finished("blobs")
    shutil.copytree(task("blobs").task_dir, folder / "data" / "blobs")
    shutil.copytree(data_dir() / "features", folder / "data" / "features")
    (folder / "runs").mkdir()
    copied(run, folder / "runs")
    stopped = [*COMMANDS["evolve"][:-1], "stopped", *where(folder)]
    killed = pathsearch(*stopped, kill=("pathsearch.training.kept:Kept.save_generation", 2))
    assert killed.code == -9, killed
    return folder


def where(folder: Path) -> list[str]:
    return ["--data-dir", str(folder / "data"), "--runs-dir", str(folder / "runs")]


def called(command: str, folder: Path, out: Path) -> list[str]:
    more = [finished("blobs").name, "--out", str(out)] if command == "bundle" else []
    more = [finished("blobs").name] if command == "joint-eval" else more
    return [*COMMANDS[command], *more, *where(folder)]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_goes_on_with_swapped_images(world, tmp_path, command):
    shutil.copytree(world, tmp_path / "world")
    if command in ("joint-eval", "bundle"):  # quick ones: with the right images they go on
        assert pathsearch(*called(command, tmp_path / "world", tmp_path / "right")).code == 0
    swap_test_images(tmp_path / "world" / "data")
    refused = pathsearch(*called(command, tmp_path / "world", tmp_path / "out"))
    assert refused.code == 2, refused
    (line,) = [line for line in refused.err.splitlines() if line.startswith("error")]
    assert re.search(r"\(and 1 more\): expected the image that was prepared, .* prepare the task again", line), line
    assert "Traceback" not in refused.err
    assert not (tmp_path / "out").exists()
